"""Tampering: the same weights with a memory or signals that were meddled with.

Whoever adapts must fly worse. On robots of the published distribution, and on the same robots with
an unknown control delay, where more must be learned about the robot in flight.
"""

from dataclasses import replace
from typing import Any

from acclimate_training.evaluation.controls import CONTROLS, tampered
from acclimate_training.evaluation.figures import hold
from acclimate_training.evaluation.pilots import PilotMaker
from acclimate_training.evaluation.suites.scenario import (
    Contestant,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
    hold_episode,
)
from acclimate_training.evaluation.suites.variations import published_with

UNTOUCHED = "untouched"
FLEETS = {"published": published_with(), "delayed": published_with("control_delay")}
MAX_ROBOTS = 512
"""Some controls live through half a second of history at every step."""


def tampering(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """RAPTOR's episode under every control, and none, on every fleet."""
    cfg = replace(cfg, robots=min(MAX_ROBOTS, cfg.robots))
    figures = {}
    for fleet_name, space in FLEETS.items():
        fleet = draw_fleet(cfg, space())
        episode = hold_episode(fleet, cfg)
        for control_name in (UNTOUCHED, *CONTROLS):
            name = f"{fleet_name}/{control_name}"
            progress(name)
            pilot = _maker(contestant, control_name)(len(fleet))
            figures[name] = {"robots": len(fleet), **hold(flown(pilot, fleet, episode))}
    return figures


def _maker(contestant: Contestant, control_name: str) -> PilotMaker:
    if control_name == UNTOUCHED:
        return contestant.make_pilot
    return tampered(contestant.make_pilot, CONTROLS[control_name])
