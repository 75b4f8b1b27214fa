"""Which episodes a policy is meta-trained on: fresh robots and what they run into."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_contract import PREVIEW_TIMES_S
from acclimate_sim.multirotor import (
    Disturbances,
    Imperfections,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    between,
    calm,
    changed,
    external_force,
    reset,
    sample_imperfect,
)
from acclimate_sim.randomization import ParameterSpace
from acclimate_sim.references import Reference, random_smooth
from acclimate_sim.wind import dryden
from acclimate_training.problems.multirotor_tracking import PERIOD_S, Episodes

ANYHOW = InitialStates(tilt_rad=3.14159, speed_m_s=3.0, body_rate_rad_s=6.0)
"""Thrown into the air: any attitude, up to 5 m/s and 10 rad/s in length."""


@dataclass(frozen=True, kw_only=True)
class Situations:
    """Shares of robots that meet something; independent of each other.

    Attributes:
        moving: Follow a smooth reference instead of holding a point.
        anyhow: Start in any attitude, fast and spinning.
        windy: Fly in wind with gusts.
        changing: Change in mid-flight: payload, one motor, all motors, force or delay.
        unsteady: Fly at another control rate, with jitter and missed ticks.
        deaf: Lose measurements.
        low: Come near the floor, which is below all of the reference.
        foreseeing: Know the future of the reference; the others see zeros.
    """

    moving: float = 0.5
    anyhow: float = 0.0
    windy: float = 0.0
    changing: float = 0.0
    unsteady: float = 0.0
    deaf: float = 0.0
    low: float = 0.0
    foreseeing: float = 0.5


SITUATIONS = {
    "calm": Situations(),
    "harsh": Situations(
        moving=0.6,
        anyhow=0.1,
        windy=0.3,
        changing=0.4,
        unsteady=0.3,
        deaf=0.15,
        low=0.1,
        foreseeing=0.65,
    ),
}

MAX_DELAY_TAPS = 7
"""Reaches back 60 ms at the nominal rate: the longest delay of the distributions, doubled."""
MIN_THRUST_TO_WEIGHT = 1.2
"""No change in mid-flight leaves a robot with less, battery included; it could not fly."""


def draw_episodes(
    space: ParameterSpace,
    situations: Situations,
    num_envs: int,
    num_steps: int,
    generator: torch.Generator,
    *,
    preview: bool = False,
) -> Episodes:
    """Draw fresh robots, first states, references and what happens, in float32 on the CPU.

    Parameters that have a process in the space change in flight, whatever the situations add.
    """
    robots, imperfections = sample_imperfect(space, num_envs, generator)
    robots, imperfections = robots.to(torch.float32), imperfections.to(torch.float32)
    drawn = episodes_of(robots, imperfections, situations, num_steps, generator, preview=preview)
    lengths_s = drawn.disturbances.time_step_s
    factors = space.factors(lengths_s.cumsum(0) - lengths_s, num_envs, generator)
    return replace(drawn, disturbances=changed(drawn.disturbances, factors))


def episodes_of(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    situations: Situations,
    num_steps: int,
    generator: torch.Generator,
    *,
    preview: bool = False,
) -> Episodes:
    """Draw first states, references and what happens to given robots; see `draw_episodes`."""
    draw = _Draw(len(robots), generator)
    happening = _draw_disturbances(robots, imperfections, situations, num_steps, draw)
    low = draw.chosen(situations.low)
    clearance = torch.exp(draw.uniform(-3.0, 0.0))
    reference, future = _draw_reference(situations, happening, draw, preview=preview)
    floor = reference.position[..., 2].amin(0) - clearance
    imperfections = replace(
        imperfections, floor_m=torch.where(low > 0, floor, imperfections.floor_m)
    )
    return Episodes(
        robots=robots,
        imperfections=imperfections,
        start=_draw_start(robots, situations, draw),
        reference=reference,
        preview=future,
        disturbances=happening,
        delay_taps=MAX_DELAY_TAPS if bool(imperfections.control_delay_s.any()) else 1,
    )


@dataclass(frozen=True)
class _Draw:
    """Random numbers, one per robot."""

    num_envs: int
    generator: torch.Generator

    def uniform(self, low: float, high: float, *width: int) -> Tensor:
        unit = torch.rand(self.num_envs, *width, generator=self.generator)
        return low + (high - low) * unit

    def chosen(self, share: float) -> Tensor:
        """1 for about this share of the robots, else 0."""
        return (self.uniform(0.0, 1.0) < share).float()


def _draw_start(
    robots: MultirotorParameters, situations: Situations, draw: _Draw
) -> MultirotorState:
    start = reset(robots, InitialStates(), draw.generator)
    if not situations.anyhow:
        return start
    wild = reset(robots, ANYHOW, draw.generator)
    anyhow = draw.chosen(situations.anyhow).bool().unsqueeze(-1)
    mixed = {
        f.name: torch.where(anyhow, getattr(wild, f.name), getattr(start, f.name))
        for f in fields(start)
    }
    return replace(start, **mixed)


def _draw_reference(
    situations: Situations, happening: Disturbances, draw: _Draw, *, preview: bool
) -> tuple[Reference, Tensor | None]:
    trajectory = random_smooth(
        draw.num_envs,
        amplitude_m=2.0,
        max_rate_rad_s=2.5,
        generator=draw.generator,
        like=happening.force_n,
    )
    moving = draw.chosen(situations.moving).unsqueeze(-1)
    times = happening.time_step_s.cumsum(0).unsqueeze(-1)
    positions, velocities = torch.vmap(lambda t: tuple(vars(trajectory(t)).values()))(times)
    reference = Reference(position=positions * moving, linear_velocity=velocities * moving)
    if not preview:
        return reference, None
    foreseeing = moving * draw.chosen(situations.foreseeing).unsqueeze(-1)
    ahead = torch.vmap(
        lambda t: torch.stack([trajectory(t + s).position for s in PREVIEW_TIMES_S], dim=1)
    )(times)
    return reference, (ahead - positions.unsqueeze(2)) * foreseeing.unsqueeze(-1)


def _draw_disturbances(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    situations: Situations,
    num_steps: int,
    draw: _Draw,
) -> Disturbances:
    plain = calm(robots, num_steps, PERIOD_S)
    force = external_force(robots, draw.generator)
    happening = replace(
        plain,
        force_n=force.expand(num_steps, -1, -1),
        sensor_noise=torch.randn(num_steps, draw.num_envs, 12, generator=draw.generator),
    )
    if situations.unsteady:
        happening = replace(happening, time_step_s=_unsteady_steps(situations, num_steps, draw))
    if situations.deaf:
        happening = replace(happening, dropout=_dropouts(situations, num_steps, draw))
    if situations.windy:
        happening = replace(happening, wind_m_s=_wind(situations, num_steps, draw))
    if situations.changing:
        happening = _changes(robots, imperfections, situations, happening, draw)
    return happening


def _unsteady_steps(situations: Situations, num_steps: int, draw: _Draw) -> Tensor:
    """Time steps (time, num_envs): another rate, jitter of a fifth, one tick in fifty missed."""
    shape = (num_steps, draw.num_envs)
    period = draw.uniform(0.6, 2.0) * PERIOD_S
    jitter = 0.8 + 0.4 * torch.rand(shape, generator=draw.generator)
    missed = 1.0 + (torch.rand(shape, generator=draw.generator) < 0.02)
    unsteady = (period * jitter * missed).clamp_max(0.03)
    return torch.where(draw.chosen(situations.unsteady) > 0, unsteady, PERIOD_S)


def _dropouts(situations: Situations, num_steps: int, draw: _Draw) -> Tensor:
    shape = (num_steps, draw.num_envs)
    chance = draw.chosen(situations.deaf) * draw.uniform(0.0, 0.3)
    return (torch.rand(shape, generator=draw.generator) < chance).float()


def _wind(situations: Situations, num_steps: int, draw: _Draw) -> Tensor:
    mean = draw.uniform(-1.0, 1.0, 3) * torch.tensor([5.0, 5.0, 0.5])
    mean = mean * draw.chosen(situations.windy).unsqueeze(-1)
    return dryden(mean, 10.0, num_steps, PERIOD_S, draw.generator)


def _changes(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    situations: Situations,
    happening: Disturbances,
    draw: _Draw,
) -> Disturbances:
    """One change per changing robot, at a random time and for a random while."""
    times = happening.time_step_s.cumsum(0)
    end = times[-1]
    begin = draw.uniform(0.1, 0.8) * end
    window = between(times, begin, begin + draw.uniform(0.1, 1.5) * end)
    battery = (1.0 - imperfections.voltage_sag).square()
    spare = battery * robots.thrust_to_weight / MIN_THRUST_TO_WEIGHT
    weakest = (1.0 / spare).clamp(0.0, 1.0)
    heavier = draw.uniform(1.0, 1.5).minimum(spare.clamp_min(1.0))
    fade = draw.uniform(0.6, 1.0).maximum(weakest)
    which = torch.randint(robots.num_motors, (draw.num_envs,), generator=draw.generator)
    motor = torch.nn.functional.one_hot(which, robots.num_motors)
    push = external_force(robots, draw.generator)
    kind = torch.floor(draw.uniform(0.0, 5.0)) + 10.0 * (1.0 - draw.chosen(situations.changing))

    def during(this: int, factor: Tensor) -> Tensor:
        """1, and `factor` (num_envs, *width) while the change lasts on robots of this kind."""
        active = window * (kind == this)
        return 1.0 + active.reshape(*active.shape, *[1] * (factor.dim() - 1)) * (factor - 1.0)

    one_motor = 1.0 + motor * (fade.unsqueeze(-1) - 1.0)
    all_motors = fade.unsqueeze(-1).expand(-1, robots.num_motors)
    pushed = (window * (kind == 3)).unsqueeze(-1) * push
    return replace(
        happening,
        mass_factor=during(0, heavier),
        thrust_factor=during(1, one_motor) * during(2, all_motors),
        force_n=happening.force_n + pushed,
        delay_factor=during(4, torch.full_like(fade, 2.0)),
    )
