"""The analytic equations in one compiled loop over robots: the fastest way forward on a CPU."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.watched import Watched
from acclimate_sim.fused import FusedStep, Rows
from acclimate_sim.multirotor.distribution import published, with_motors
from acclimate_sim.multirotor.dynamics import step
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.sampling import sample
from acclimate_sim.multirotor.state import MultirotorState, resting


@dataclass(frozen=True, kw_only=True)
class _Period:
    """What acts on robots during a control period; see `step`."""

    action: Tensor
    length_s: Tensor
    force_n: Tensor
    torque_nm: Tensor


class FusedSteps:
    """`step` for float32 on a CPU, without gradients; compiled on the first call.

    Threads share the robots, as many as torch uses. Robots that stay the same are kept in an order
    that is read faster.

    Raises:
        ConfigError: Another device or float type, or somebody waits for gradients.
        CompilerError: There is no C++ compiler.
    """

    def __init__(self) -> None:
        self._watched = Watched()
        self._blocks: Rows | None = None

    def __call__(
        self,
        parameters: MultirotorParameters,
        state: MultirotorState,
        action: Tensor,
        dt_s: float | Tensor,
        *,
        external_force_n: Tensor | None = None,
        external_torque_nm: Tensor | None = None,
    ) -> MultirotorState:
        """Advance every robot by one control period; see `step`."""
        like = state.position
        zeros = like.new_zeros(1, 1).expand(len(state), 3)
        period = _Period(
            action=action,
            length_s=torch.as_tensor(dt_s, dtype=like.dtype).expand(len(state)),
            force_n=zeros if external_force_n is None else external_force_n,
            torque_nm=zeros if external_torque_nm is None else external_torque_nm,
        )
        _refuse_others([*vars(parameters).values(), *vars(state).values(), *vars(period).values()])
        return _compiled(parameters.num_motors)(self._world(parameters), state, period)

    def _world(self, robots: MultirotorParameters) -> Rows:
        """Robots as they lie; from their second step on, a copy in blocks."""
        compiled = _compiled(robots.num_motors)
        tensors = vars(robots).values()
        if not self._watched.unchanged(tensors):
            self._watched.watch(tensors)
            self._blocks = None
            return compiled.rows(robots)
        if self._blocks is None:
            self._blocks = compiled.blocks(robots)
        return self._blocks


@cache
def _compiled(num_motors: int) -> FusedStep:
    """The step, from any robot with so many motors as an example."""
    space = with_motors(published(), num_motors)
    robot = sample(space, 1, torch.Generator()).to(torch.float32)
    state = resting(1, like=robot.mass_kg, num_motors=num_motors)
    nothing = torch.zeros(1, 3)
    period = _Period(
        action=torch.zeros(1, num_motors),
        length_s=torch.ones(1),
        force_n=nothing,
        torque_nm=nothing + 0.0,
    )
    return FusedStep(_step, ((robot,), state, period))


def _step(
    parameters: MultirotorParameters, state: MultirotorState, period: _Period
) -> tuple[MultirotorState]:
    after = step(
        parameters,
        state,
        period.action,
        period.length_s,
        external_force_n=period.force_n,
        external_torque_nm=period.torque_nm,
    )
    return (after,)


def _refuse_others(tensors: list[Tensor]) -> None:
    if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors):
        raise ConfigError(
            "the engine 'fused' computes in float32 on a CPU, and was given something else. "
            "Fix: robots.to(torch.float32), or use the engine 'analytic'."
        )
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        raise ConfigError(
            "the engine 'fused' has no gradients. Fix: use 'analytic', or torch.no_grad()."
        )
