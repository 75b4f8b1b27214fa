"""Recovery: thrown into the air in any attitude.

Recovered is who is within 0.2 m of the target and upright after five seconds. Robots thrown at
5 m/s leave every usual limit at first; lost is therefore who is still away at the end.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.evaluation.figures import (
    Figure,
    away_at_the_end,
    final_error_m,
    median,
    ninth_decile,
    settling_time_s,
    share,
)
from acclimate_training.evaluation.flights import Conditions, Flight
from acclimate_training.evaluation.suites.scenario import (
    Contestant,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
    happening,
    hold_episode,
)
from acclimate_training.problems.episodes import ANYHOW

RECOVERED_M, UPRIGHT_RAD = 0.2, math.radians(30.0)
THROWN = replace(ANYHOW, at_rest_fraction=0.0)


def recovery(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """Thrown, with all errors seen or clipped as RAPTOR's own adapter does; diverse robots too."""
    scenarios = {
        "any_attitude": ("published", THROWN, Conditions()),
        "any_attitude_errors_clipped": ("published", THROWN, Conditions(max_error=(0.5, 1.0))),
        "any_attitude_diverse_robots": ("diverse", THROWN, Conditions()),
    }
    pilot = contestant.make_pilot(cfg.robots)
    figures = {}
    for name, (space, ranges, conditions) in scenarios.items():
        progress(name)
        fleet = draw_fleet(cfg, DISTRIBUTIONS[space]())
        episode = hold_episode(fleet, cfg, ranges)
        schedule = happening(fleet, episode.num_steps, cfg)
        thrown = replace(episode, conditions=replace(conditions, disturbances=schedule))
        figures[name] = recovery_figures(flown(pilot, fleet, thrown))
    return figures


def recovery_figures(flight: Flight) -> dict[str, Figure]:
    """Figures of flights that should end upright at the target."""
    error = final_error_m(flight)
    upright = flight.tilt_rad[-1] <= UPRIGHT_RAD
    time_s = settling_time_s(flight, RECOVERED_M)
    furthest = np.nan_to_num(flight.distance_m.max(0), nan=np.inf, posinf=np.inf)
    return {
        "recovered": share((flight.distance_m[-1] <= RECOVERED_M) & upright),
        "lost": share(away_at_the_end(flight)),
        "time_to_recover_median_s": median(time_s),
        "worst_distance_median_m": median(furthest),
        "final_error_median_m": median(error),
        "final_error_p90_m": ninth_decile(error),
    }
