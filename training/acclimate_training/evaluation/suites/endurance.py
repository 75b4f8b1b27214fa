"""Long flights: does the error, or the memory, drift away?"""

from dataclasses import replace
from typing import Any

import numpy as np

from acclimate_sim.multirotor import external_force, resting
from acclimate_sim.references import figure_eight, hover
from acclimate_training.evaluation.figures import (
    Figure,
    error_m,
    final_error_m,
    lost,
    median,
    ninth_decile,
    share,
)
from acclimate_training.evaluation.flights import Flight
from acclimate_training.evaluation.probes import Recorder, Recording
from acclimate_training.evaluation.suites.scenario import (
    FORCES,
    HOLD_STEPS,
    Contestant,
    Episode,
    Fleet,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

EARLY_S = HOLD_STEPS * PERIOD_S
"""Robots have arrived by then: where RAPTOR's episodes end."""
FLIGHTS = {
    "hover_5000_steps": (5_000, 256),
    "figure_eight_10s_5000_steps": (5_000, 256),
    "hover_50000_steps": (50_000, 64),
}
"""Control steps, and robots at most."""


def endurance(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """Hover under force, and a figure eight, for very long."""
    figures = {}
    for name, (num_steps, most) in FLIGHTS.items():
        progress(name)
        fleet = draw_fleet(replace(cfg, robots=min(most, cfg.robots)))
        pilot = Recorder(contestant.make_pilot(len(fleet)), (EARLY_S, num_steps * PERIOD_S))
        episode = _long(fleet, cfg, num_steps, moving=name.startswith("figure_eight"))
        flight = flown(pilot, fleet, episode)
        figures[name] = {"robots": len(fleet), **endurance_figures(flight, pilot.recording)}
    return figures


def endurance_figures(flight: Flight, recording: Recording) -> dict[str, Figure]:
    """Error and length of the memory after five seconds, and at the end."""
    early, late = error_m(flight, until_s=EARLY_S), final_error_m(flight)
    early_norm, late_norm = np.linalg.norm(recording.memory, axis=-1)
    return {
        "lost": share(lost(flight)),
        "error_after_5s_median_m": median(early),
        "error_at_the_end_median_m": median(late),
        "error_after_5s_p90_m": ninth_decile(early),
        "error_at_the_end_p90_m": ninth_decile(late),
        "memory_norm_after_5s": median(early_norm),
        "memory_norm_at_the_end": median(late_norm),
    }


def _long(fleet: Fleet, cfg: SuiteCfg, num_steps: int, *, moving: bool) -> Episode:
    n, like = len(fleet), fleet.robots.mass_kg
    force = external_force(fleet.robots, cfg.generator(FORCES))
    return Episode(
        start=resting(n, like=like, num_motors=fleet.robots.num_motors),
        trajectory=figure_eight(n, period_s=10.0, like=like) if moving else hover(n, like=like),
        force_n=fleet.still if moving else force,
        num_steps=num_steps,
    )
