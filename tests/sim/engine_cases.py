"""Engines under test, and flights to compare them by."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    Engine,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    reset,
    sample,
    step,
)

PERIOD_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Case:
    """An engine under test.

    Attributes:
        name: In `ENGINES`.
        dtype: Of the states that it is given.
        rounding: What arithmetic in another order may change in a step, relative to 1.
        drift: How far a second may move what should stay, relative.
        half_second_error: Of half a second of tumbling, position in m.
    """

    name: str
    dtype: torch.dtype
    rounding: float
    drift: float
    half_second_error: float

    def make(self) -> Engine:
        return make_engine(self.name)


EXACT = Case(
    name="analytic",
    dtype=torch.float64,
    rounding=1e-12,
    drift=2e-5,
    half_second_error=1e-4,  # one Runge-Kutta step per period
)
CASES = {
    "analytic": EXACT,
    "analytic-float32": replace(EXACT, dtype=torch.float32, rounding=2e-6),
    "fused": replace(EXACT, name="fused", dtype=torch.float32, rounding=2e-6),
    "mujoco": replace(EXACT, name="mujoco", half_second_error=2e-5),
    "mujoco_warp": replace(  # rounds a thousand times in a second
        EXACT, name="mujoco_warp", dtype=torch.float32, rounding=2e-6, drift=1e-3
    ),
    "mujoco-float32": replace(EXACT, name="mujoco", dtype=torch.float32, rounding=2e-6),
}


def crew(
    n: int, dtype: torch.dtype, seed: int = 0, *, space: str = "diverse"
) -> tuple[MultirotorParameters, MultirotorState]:
    """Robots anywhere, their motors at hover speed."""
    generator = torch.Generator().manual_seed(seed)
    robots = sample(DISTRIBUTIONS[space](), n, generator)
    state = reset(robots, InitialStates(), generator)
    hover = robots.hover_speed.unsqueeze(-1).expand(-1, robots.num_motors)
    return robots.to(dtype), cast(replace(state, motor_speed=hover), dtype)


def cast(state: MultirotorState, dtype: torch.dtype) -> MultirotorState:
    return replace(state, **{name: value.to(dtype) for name, value in vars(state).items()})


def commands(robots: MultirotorParameters, count: int, turn: float, seed: int = 0) -> Tensor:
    """Setpoints (count, n, num_motors) near hover, new ones every tenth of a second.

    Args:
        robots: Of whom.
        count: Periods.
        turn: Angular acceleration about roll and pitch at most, rad/s^2.
        seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (-(-count // 10), len(robots), robots.num_motors)
    unit = torch.rand(shape, generator=generator, dtype=torch.float64)
    share = turn / robots.torque_to_inertia.double().unsqueeze(-1)
    speed = (robots.hover_speed.double().unsqueeze(-1) + share * (unit - 0.5)).clamp(0.05, 0.95)
    return (2.0 * speed - 1.0).repeat_interleave(10, dim=0)[:count]


def fly(
    engine: Engine,
    robots: MultirotorParameters,
    state: MultirotorState,
    actions: Tensor,
    *,
    parts: int = 1,
) -> MultirotorState:
    """One period per action, each in equal parts."""
    for action in actions.to(robots.mass_kg.dtype):
        for _ in range(parts):
            state = engine(robots, state, action, PERIOD_S / parts)
    return state


def exactly(
    robots: MultirotorParameters, state: MultirotorState, actions: Tensor, *, parts: int = 20
) -> MultirotorState:
    """The same by the equations of motion, 20 times finer, in float64."""
    double = torch.float64
    return fly(step, robots.to(double), cast(state, double), actions, parts=parts)


def apart(one: MultirotorState, other: MultirotorState) -> float:
    """Largest difference between two states of any robot, m, m/s, rad/s or 1."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
