"""Robots that change in mid-flight: how far they are thrown off, and when they are back.

Every robot flies twice, with the change and without it, in otherwise the same flight. It is back
once it stays, to the end, less than 0.1 m farther from the reference than its twin at the same
moment: a moving reference is never met exactly, and the twin says what is normal for this robot.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from acclimate_sim.multirotor import GRAVITY_M_S2, Disturbances, calm, resting
from acclimate_sim.references import figure_eight, hover
from acclimate_training.evaluation.figures import (
    Figure,
    lost,
    median,
    ninth_decile,
    share,
    time_of_return_s,
)
from acclimate_training.evaluation.flights import Conditions, Flight
from acclimate_training.evaluation.suites.scenario import (
    CHOICES,
    Contestant,
    Episode,
    Fleet,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

CHANGE_S, END_S = 4.0, 9.0
CHANGE_STEP, NUM_STEPS = round(CHANGE_S / PERIOD_S), round(END_S / PERIOD_S)
BACK_M = 0.1
MIN_THRUST_TO_WEIGHT = 1.3
"""What must be left, counting all motors as the weakest: its opposite must match it to balance."""
PAYLOAD, WEAK, PUSH, DELAY_S = 1.5, 0.6, 0.3, 0.015
"""Factor on the mass, factor on thrust, push over the weight, control delay before it doubles."""

Happen = Callable[[Fleet, Disturbances, torch.Generator], Disturbances]


def _nothing(fleet: Fleet, schedule: Disturbances, generator: torch.Generator) -> Disturbances:
    del fleet, generator
    return schedule


def _payload(fleet: Fleet, schedule: Disturbances, generator: torch.Generator) -> Disturbances:
    del fleet, generator
    return replace(schedule, mass_factor=PAYLOAD * schedule.mass_factor)


def _one_weak_motor(
    fleet: Fleet, schedule: Disturbances, generator: torch.Generator
) -> Disturbances:
    num_motors = fleet.robots.num_motors
    which = torch.randint(num_motors, (len(fleet),), generator=generator)
    motor = torch.nn.functional.one_hot(which, num_motors)
    return replace(schedule, thrust_factor=schedule.thrust_factor * (1.0 - (1.0 - WEAK) * motor))


def _weak_motors(fleet: Fleet, schedule: Disturbances, generator: torch.Generator) -> Disturbances:
    del fleet, generator
    return replace(schedule, thrust_factor=WEAK * schedule.thrust_factor)


def _push(fleet: Fleet, schedule: Disturbances, generator: torch.Generator) -> Disturbances:
    heading = 2.0 * math.pi * torch.rand(len(fleet), generator=generator)
    level = torch.stack((heading.cos(), heading.sin(), torch.zeros(len(fleet))), dim=-1)
    weight_n = (fleet.robots.mass_kg * GRAVITY_M_S2).unsqueeze(-1)
    return replace(schedule, force_n=schedule.force_n + PUSH * weight_n * level)


def _twice_the_delay(
    fleet: Fleet, schedule: Disturbances, generator: torch.Generator
) -> Disturbances:
    del fleet, generator
    return replace(schedule, delay_factor=2.0 * schedule.delay_factor)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that happens at once and lasts.

    Attributes:
        before: How it is until then, and for the twin always.
        after: How it is from then on.
        thrust_to_weight: Factor on the thrust-to-weight while it is at its worst.
        delay_s: Control delay of the robots.
    """

    before: Happen = _nothing
    after: Happen = _nothing
    thrust_to_weight: float = 1.0
    delay_s: float = 0.0


CHANGES = {
    "payload_picked_up": Change(after=_payload, thrust_to_weight=1.0 / PAYLOAD),
    "payload_dropped": Change(before=_payload, thrust_to_weight=1.0 / PAYLOAD),
    "one_motor_at_60%": Change(after=_one_weak_motor, thrust_to_weight=WEAK),
    "all_motors_at_60%": Change(after=_weak_motors, thrust_to_weight=WEAK),
    "push_of_30%_of_the_weight": Change(after=_push),
    "delay_doubled_to_30ms": Change(after=_twice_the_delay, delay_s=DELAY_S),
}
REFERENCES = {
    "hover": lambda fleet: hover(len(fleet), like=fleet.robots.mass_kg),
    "figure_eight_10s": lambda fleet: figure_eight(
        len(fleet), period_s=10.0, like=fleet.robots.mass_kg
    ),
}


def changes(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """Every change, in hover and along a slow figure eight."""
    figures = {}
    for change_name, change in CHANGES.items():
        fleet = who_can(draw_fleet(cfg), change)
        pilot = contestant.make_pilot(len(fleet))
        for reference_name, make_trajectory in REFERENCES.items():
            name = f"{change_name}/{reference_name}"
            progress(name)
            episode = Episode(
                start=resting(len(fleet), like=fleet.robots.mass_kg, num_motors=cfg.num_motors),
                trajectory=make_trajectory(fleet),
                force_n=fleet.still,
                num_steps=NUM_STEPS,
            )
            twin, changed = (
                flown(pilot, fleet, replace(episode, conditions=Conditions(disturbances=schedule)))
                for schedule in schedules(fleet, change, cfg)
            )
            figures[name] = {"robots": len(fleet), **change_figures(twin, changed)}
    return figures


def change_figures(twin: Flight, changed: Flight) -> dict[str, Figure]:
    """Figures of flights that change at `CHANGE_S`, beside the same flights without the change."""
    with np.errstate(invalid="ignore"):  # both may be gone beyond all numbers
        inside = changed.distance_m <= twin.distance_m + BACK_M
    gone = lost(changed)
    after = changed.time_s[CHANGE_STEP:] - CHANGE_S
    time_s = np.where(gone, np.inf, time_of_return_s(inside[CHANGE_STEP:], after))
    worst_m = np.nan_to_num(changed.distance_m[CHANGE_STEP:].max(0), nan=np.inf, posinf=np.inf)
    return {
        "lost_without_change": share(lost(twin)),
        "lost": share(gone),
        "back": share(np.isfinite(time_s)),
        "time_to_return_median_s": median(time_s),
        "time_to_return_p90_s": ninth_decile(time_s),
        "worst_distance_median_m": median(worst_m),
        "worst_distance_p90_m": ninth_decile(worst_m),
    }


def who_can(fleet: Fleet, change: Change) -> Fleet:
    """The robots that can fly on afterwards, with the delay that the change is about."""
    left = fleet.robots.thrust_to_weight * change.thrust_to_weight
    fleet = fleet[left >= MIN_THRUST_TO_WEIGHT]
    delay = torch.full_like(fleet.imperfections.control_delay_s, change.delay_s)
    return replace(fleet, imperfections=replace(fleet.imperfections, control_delay_s=delay))


def schedules(fleet: Fleet, change: Change, cfg: SuiteCfg) -> tuple[Disturbances, Disturbances]:
    """What happens to the twins, and to those that change."""
    plain = calm(fleet.robots, NUM_STEPS, PERIOD_S)
    before = change.before(fleet, plain, cfg.generator(CHOICES))
    after = change.after(fleet, plain, cfg.generator(CHOICES))
    changed = {
        f.name: torch.cat(
            (getattr(before, f.name)[:CHANGE_STEP], getattr(after, f.name)[CHANGE_STEP:])
        )
        for f in fields(before)
    }
    return before, Disturbances(**changed)
