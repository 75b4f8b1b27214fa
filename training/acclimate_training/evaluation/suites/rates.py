"""One policy at control rates from 50 to 500 Hz, each pilot by its own multi-rate rule.

The frequency-averaged score is that of Sequence RL (Patel and Siegelmann 2025, arXiv 2410.08979):
the mean of a score over the rates. The score of a flight is RAPTOR's return over the largest one
there could be, between 0 and 1. A return counts per 10 ms, not per step, so that rates can be
compared.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from acclimate_sim.multirotor import Disturbances, calm
from acclimate_training.evaluation.figures import (
    Figure,
    episode_return,
    final_error_m,
    lost,
    mean,
    median,
    ninth_decile,
    share,
)
from acclimate_training.evaluation.flights import Conditions, Flight
from acclimate_training.evaluation.suites.multi_rate import MultiRatePilot
from acclimate_training.evaluation.suites.scenario import (
    CHOICES,
    HOLD_STEPS,
    Contestant,
    Fleet,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
    hold_episode,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

RATES_HZ = (50, 71, 100, 125, 200, 250, 333, 500)
LARGEST_REWARD = 1.5
JITTER, MISSED = 0.2, 0.02
"""Half width of the period's spread, relative; share of the ticks that do not come."""

Steps = Callable[[float, torch.Generator], torch.Tensor]
"""Lengths (steps,) of the control periods of a flight, from its nominal rate in Hz."""


def steady(rate_hz: float, generator: torch.Generator) -> torch.Tensor:
    """Every period as long as it should be."""
    del generator
    return torch.full((round(HOLD_STEPS * PERIOD_S * rate_hz),), 1.0 / rate_hz)


def unsteady(rate_hz: float, generator: torch.Generator) -> torch.Tensor:
    """Periods that jitter, and some that last two because a tick was missed."""
    end_s = HOLD_STEPS * PERIOD_S
    draws = math.ceil(end_s * rate_hz / (1.0 - JITTER))
    jitter = 1.0 + JITTER * (2.0 * torch.rand(draws, generator=generator) - 1.0)
    missed = 1.0 + (torch.rand(draws, generator=generator) < MISSED)
    lengths = jitter * missed / rate_hz
    return lengths[lengths.cumsum(0) <= end_s + 0.5 / rate_hz]


TIMINGS: dict[str, Steps] = {"steady": steady, "unsteady": unsteady}


def rates(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """RAPTOR's hold at every rate, with steady and with unsteady periods."""
    fleet = draw_fleet(cfg)
    figures: dict[str, dict[str, Figure]] = {}
    for timing, steps in TIMINGS.items():
        scores = []
        for rate_hz in RATES_HZ:
            name = f"{timing}/{rate_hz}Hz"
            progress(name)
            flight = _hold_at(contestant, fleet, cfg, rate_hz, steps)
            scores.append(score(flight))
            error = final_error_m(flight)
            figures[name] = {
                "score": mean(scores[-1]),
                "lost": share(lost(flight)),
                "final_error_median_m": median(error),
                "final_error_p90_m": ninth_decile(error),
            }
        figures[f"{timing}/all"] = {"score": mean(np.mean(scores, axis=0))}
    return figures


def score(flight: Flight) -> np.ndarray:
    """Return (num_envs,) over the largest possible one, within [0, 1]."""
    largest = LARGEST_REWARD * flight.time_s[-1] / PERIOD_S
    return np.clip(np.nan_to_num(episode_return(flight), nan=0.0) / largest, 0.0, 1.0)


def _hold_at(
    contestant: Contestant, fleet: Fleet, cfg: SuiteCfg, rate_hz: float, steps: Steps
) -> Flight:
    pilot = MultiRatePilot(contestant.make_pilot(len(fleet)), contestant.make_clock(rate_hz))
    lengths = steps(rate_hz, cfg.generator(CHOICES))
    schedule = _at_these_steps(fleet, lengths)
    episode = replace(
        hold_episode(fleet, cfg),
        num_steps=len(lengths),
        conditions=Conditions(disturbances=schedule),
    )
    return flown(pilot, fleet, episode)


def _at_these_steps(fleet: Fleet, lengths_s: torch.Tensor) -> Disturbances:
    schedule = calm(fleet.robots, len(lengths_s), PERIOD_S)
    return replace(schedule, time_step_s=lengths_s.unsqueeze(-1).expand(-1, len(fleet)))
