"""RAPTOR's ground with one thing changed: what robots sense, what air they meet, how they are made.

Every variation flies RAPTOR's hold under force and a figure eight without, by the very same robots
as on its own ground wherever the variation does not say otherwise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from acclimate_sim.multirotor import DISTRIBUTIONS, Disturbances
from acclimate_sim.multirotor.sampling import NOISE_STD, ROTOR_RADIUS
from acclimate_sim.randomization import Distribution, LogUniform, ParameterSpace, Uniform
from acclimate_sim.wind import dryden
from acclimate_training.evaluation.figures import Figure, hold, tracking
from acclimate_training.evaluation.flights import Conditions
from acclimate_training.evaluation.pilots import Pilot
from acclimate_training.evaluation.suites.scenario import (
    CHOICES,
    Contestant,
    Episode,
    Fleet,
    Progress,
    Suite,
    SuiteCfg,
    draw_fleet,
    figure_eight_episode,
    flown,
    happening,
    hold_episode,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

FIGURE_EIGHT_PERIOD_S = 5.5
WIND_HEIGHT_M = 10.0
HOLD_FIGURES = ("terminated", "lost", "final_error_median_m", "final_error_p90_m", "action_change")

Happen = Callable[[Disturbances, torch.Generator], Disturbances]


def _published() -> ParameterSpace:
    return DISTRIBUTIONS["published"]()


def _as_it_is(fleet: Fleet) -> Fleet:
    return fleet


def _calm(schedule: Disturbances, generator: torch.Generator) -> Disturbances:
    del generator
    return schedule


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What is different from RAPTOR's ground.

    Attributes:
        space: What robots are drawn from.
        fit: Changes the robots, or their imperfections, after the draw.
        happen: Changes what happens in flight.
        conditions: How else the flight differs.
        above: Robots start above their target and not around it.
    """

    space: Callable[[], ParameterSpace] = _published
    fit: Callable[[Fleet], Fleet] = _as_it_is
    happen: Happen = _calm
    conditions: Conditions = field(default_factory=Conditions)
    above: bool = False


def published_with(*names: str, **wider: Distribution) -> Callable[[], ParameterSpace]:
    """The published space with parameters of `diverse`, and with other ranges for its own."""

    def space() -> ParameterSpace:
        published = _published()
        own = (
            replace(p, distribution=wider.get(p.name, p.distribution)) for p in published.parameters
        )
        added = (p for p in DISTRIBUTIONS["diverse"]().parameters if p.name in names)
        return replace(published, name="quadrotor/varied", parameters=(*own, *added))

    return space


def fitted(**values: float | tuple[float, ...]) -> Callable[[Fleet], Fleet]:
    """Give every robot these imperfections, by the names of `Imperfections`."""

    def fit(fleet: Fleet) -> Fleet:
        old = fleet.imperfections
        new = {
            name: torch.tensor(value).expand_as(getattr(old, name)).clone()
            for name, value in values.items()
        }
        return replace(fleet, imperfections=replace(old, **new))

    return fit


def near_the_floor(fleet: Fleet) -> Fleet:
    """Put the floor one rotor radius below the target."""
    radius_m = ROTOR_RADIUS * fleet.robots.arm_length_m
    floor = replace(fleet.imperfections, rotor_radius_m=radius_m, floor_m=-radius_m)
    return replace(fleet, imperfections=floor)


def wind(mean_m_s: float) -> Happen:
    """Wind of this mean speed, level, from anywhere, with gusts."""

    def happen(schedule: Disturbances, generator: torch.Generator) -> Disturbances:
        num_steps, num_envs = schedule.dropout.shape
        heading = 2.0 * math.pi * torch.rand(num_envs, generator=generator)
        level = torch.stack((heading.cos(), heading.sin(), torch.zeros(num_envs)), dim=-1)
        blowing = dryden(mean_m_s * level, WIND_HEIGHT_M, num_steps, PERIOD_S, generator)
        return replace(schedule, wind_m_s=blowing)

    return happen


def dropout(share: float) -> Happen:
    """Lose this share of the measurements; the last one stands."""

    def happen(schedule: Disturbances, generator: torch.Generator) -> Disturbances:
        drawn = torch.rand(schedule.dropout.shape, generator=generator)
        return replace(schedule, dropout=(drawn < share).float())

    return happen


def late(milliseconds: int) -> int:
    """Control steps of a delay."""
    return round(milliseconds / 1000 / PERIOD_S)


_BIASES = ("bias_level", *(f"bias_{i}" for i in range(12)))
_DRAG = ("body_drag", "rotor_drag")
_TILTS = tuple(f"motor_{i}_tilt_{axis}" for i in range(4) for axis in "xy")

SENSES = {
    "noise": Variation(fit=fitted(sensor_noise=NOISE_STD)),
    "bias": Variation(space=published_with(*_BIASES)),
    **{
        f"control_delay_{ms}ms": Variation(fit=fitted(control_delay_s=ms / 1000))
        for ms in (10, 20, 30)
    },
    **{
        f"velocity_delay_{ms}ms": Variation(conditions=Conditions(velocity_delay_steps=late(ms)))
        for ms in (10, 20, 30)
    },
    "sensing_delay_20ms": Variation(conditions=Conditions(sensing_delay_steps=late(20))),
    "dropout_30%": Variation(happen=dropout(0.3)),
}
AIR = {
    "body_drag": Variation(fit=fitted(body_drag_1_m=0.1)),
    "rotor_drag": Variation(fit=fitted(rotor_drag_1_s=1.0)),
    "wind_5m/s": Variation(space=published_with(*_DRAG), happen=wind(5.0)),
    "wind_8m/s": Variation(space=published_with(*_DRAG), happen=wind(8.0)),
    "ground_effect": Variation(fit=near_the_floor, above=True),
}
BODY = {
    "voltage_sag": Variation(space=published_with("voltage_sag")),
    "unequal_motors": Variation(space=published_with(*(f"motor_{i}_deviation" for i in range(4)))),
    "tilted_and_off_centre": Variation(space=published_with("offset_x", "offset_y", *_TILTS)),
    "thrust_to_weight_5_to_12": Variation(
        space=published_with(thrust_to_weight=LogUniform(low=5.0, high=12.0))
    ),
    "real_arm_lengths": Variation(space=published_with(arm_deviation=Uniform(low=-0.25, high=0.9))),
    "everything": Variation(space=DISTRIBUTIONS["diverse"]),
}


def suite_of(variations: dict[str, Variation]) -> Suite:
    """A suite with one scenario per variation."""

    def suite(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
        pilot = contestant.make_pilot(cfg.robots)
        figures = {}
        for name, variation in variations.items():
            progress(name)
            figures[name] = _vary(pilot, cfg, variation)
        return figures

    return suite


def _vary(pilot: Pilot, cfg: SuiteCfg, variation: Variation) -> dict[str, Figure]:
    fleet = variation.fit(draw_fleet(cfg, variation.space()))
    held = hold(flown(pilot, fleet, _varied(hold_episode(fleet, cfg), fleet, cfg, variation)))
    eight = figure_eight_episode(fleet, FIGURE_EIGHT_PERIOD_S)
    tracked = tracking(flown(pilot, fleet, _varied(eight, fleet, cfg, variation)))
    return {name: held[name] for name in HOLD_FIGURES} | {
        f"figure_eight_5.5s_{name}": figure for name, figure in tracked.items()
    }


def _varied(episode: Episode, fleet: Fleet, cfg: SuiteCfg, variation: Variation) -> Episode:
    schedule = happening(fleet, episode.num_steps, cfg)
    schedule = variation.happen(schedule, cfg.generator(CHOICES))
    if variation.above:
        position = episode.start.position.clone()
        position[:, 2] = position[:, 2].abs()
        episode = replace(episode, start=replace(episode.start, position=position))
    conditions = replace(variation.conditions, disturbances=schedule)
    return replace(episode, conditions=conditions)
