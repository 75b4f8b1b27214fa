"""What every suite is made of: who flies, on which robots, and in which episodes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    Disturbances,
    Engine,
    Imperfections,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    calm,
    external_force,
    reset,
    resting,
    sample_imperfect,
    step,
)
from acclimate_sim.multirotor.distribution import with_motors
from acclimate_sim.multirotor.task import max_distance_m
from acclimate_sim.randomization import ParameterSpace
from acclimate_sim.references import Trajectory, figure_eight, hover
from acclimate_training.evaluation.flights import Conditions, Flight, fly
from acclimate_training.evaluation.pilots import Pilot, PilotMaker
from acclimate_training.evaluation.suites.multi_rate import Clock, nearest_to_the_period
from acclimate_training.problems.multirotor_tracking import PERIOD_S

HOLD_STEPS = 500
"""RAPTOR's episodes: five seconds."""

ROBOTS, STARTS, FORCES, PLATFORMS, HAPPENINGS, CHOICES = range(6)
"""Random streams of one evaluation; the same for every pilot and every suite."""
STREAM_BITS = 8
"""Of a generator's seed, below those of the evaluation's seed."""

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Who is evaluated.

    Attributes:
        name: In the record.
        make_pilot: Builds the pilot for a number of robots.
        foresees: Reads `reference_preview`.
        make_clock: Its own rule for control rates other than 100 Hz, from the rate in Hz.
    """

    name: str
    make_pilot: PilotMaker
    foresees: bool = False
    make_clock: Callable[[float], Clock] = nearest_to_the_period


@dataclass(frozen=True, kw_only=True)
class SuiteCfg:
    """Size and randomness of a suite, and the engine that it is flown in.

    Attributes:
        robots: Fresh robots per scenario, at most.
        seed: Of everything that is drawn.
        engine: What moves the robots.
        num_motors: Of each robot; whatever is drawn has so many.
    """

    robots: int
    seed: int
    engine: Engine = step
    num_motors: int = 4

    def generator(self, stream: int) -> torch.Generator:
        """An independent random stream of the evaluation."""
        return torch.Generator().manual_seed((self.seed << STREAM_BITS) + stream)


Suite = Callable[[Contestant, SuiteCfg, Progress], dict[str, Any]]
"""Scenario -> figures of one contestant: `Figure`s, or plain data that stands for itself."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Robots with what is wrong with them, in float32, and what moves them."""

    robots: MultirotorParameters
    imperfections: Imperfections
    engine: Engine = step

    def __len__(self) -> int:
        return len(self.robots)

    def __getitem__(self, envs: slice | Tensor) -> "Fleet":
        return replace(self, robots=self.robots[envs], imperfections=self.imperfections[envs])

    @property
    def still(self) -> Tensor:
        """No force on any of them, (num_envs, 3) N."""
        return torch.zeros(len(self), 3)


def draw_fleet(cfg: SuiteCfg, space: ParameterSpace | None = None) -> Fleet:
    """Fresh robots of a space, by default of the published one.

    Spaces that share parameters with it share their draws: what differs is what was added.
    """
    space = with_motors(space or DISTRIBUTIONS["published"](), cfg.num_motors)
    robots, imperfections = sample_imperfect(space, cfg.robots, cfg.generator(ROBOTS))
    return Fleet(
        robots=robots.to(torch.float32),
        imperfections=imperfections.to(torch.float32),
        engine=cfg.engine,
    )


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One flight of a fleet.

    Attributes:
        start: First states.
        trajectory: What to follow.
        force_n: (num_envs, 3), constant external force, world frame.
        num_steps: Control periods.
        max_distance_m: Termination limit on the position error per axis; none is RAPTOR's, 20 arm
            lengths.
        conditions: What is not plain about it; imperfections and engine are the fleet's.
    """

    start: MultirotorState
    trajectory: Trajectory
    force_n: Tensor
    num_steps: int
    max_distance_m: float | None = None
    conditions: Conditions = field(default_factory=Conditions)


def hold_episode(
    fleet: Fleet, cfg: SuiteCfg, ranges: InitialStates | None = None, *, with_force: bool = True
) -> Episode:
    """RAPTOR's episode: anywhere near the target, under a constant random force."""
    force = external_force(fleet.robots, cfg.generator(FORCES))
    return Episode(
        start=reset(fleet.robots, ranges or InitialStates(), cfg.generator(STARTS)),
        trajectory=hover(len(fleet), like=fleet.robots.mass_kg),
        force_n=force if with_force else fleet.still,
        num_steps=HOLD_STEPS,
    )


def figure_eight_episode(fleet: Fleet, period_s: float) -> Episode:
    """One second of ramp and one loop, from rest at its first point, without external force."""
    n, like = len(fleet), fleet.robots.mass_kg
    return Episode(
        start=resting(n, like=like, num_motors=fleet.robots.num_motors),
        trajectory=figure_eight(n, period_s=period_s, like=like),
        force_n=fleet.still,
        num_steps=round((period_s + 1.0) / PERIOD_S),
    )


def under(episode: Episode, **changes: Any) -> Episode:
    """The same episode with some of its `Conditions` changed."""
    return replace(episode, conditions=replace(episode.conditions, **changes))


def happening(fleet: Fleet, num_steps: int, cfg: SuiteCfg) -> Disturbances:
    """Calm air, with the draws that sensor noise is made of."""
    shape = (num_steps, len(fleet), 12)
    draws = torch.randn(shape, generator=cfg.generator(HAPPENINGS))
    return replace(calm(fleet.robots, num_steps, PERIOD_S), sensor_noise=draws)


def flown(pilot: Pilot, fleet: Fleet, episode: Episode) -> Flight:
    """Fly a fleet through an episode, in its engine, imperfections included."""
    limit = max_distance_m(fleet.robots)
    if episode.max_distance_m is not None:
        limit = torch.full_like(limit, episode.max_distance_m)
    return fly(
        pilot,
        fleet.robots,
        episode.start,
        episode.force_n,
        episode.trajectory,
        num_steps=episode.num_steps,
        max_distance_m=limit,
        conditions=replace(
            episode.conditions, imperfections=fleet.imperfections, engine=fleet.engine
        ),
    )
