"""RAPTOR's ground: its robots, its episodes, its limits; and every known platform."""

from dataclasses import replace
from typing import Any

import torch

from acclimate_sim.multirotor import InitialStates, concatenate, perfect, reset
from acclimate_sim.robots import ROBOTS, load_robot
from acclimate_training.evaluation.figures import by_band, hold, tracking
from acclimate_training.evaluation.flights import Flight, SensorNoise
from acclimate_training.evaluation.pilots import Pilot
from acclimate_training.evaluation.suites.scenario import (
    PLATFORMS,
    Contestant,
    Episode,
    Fleet,
    Progress,
    SuiteCfg,
    draw_fleet,
    figure_eight_episode,
    flown,
    hold_episode,
    under,
)

FIGURE_EIGHT_PERIODS_S = (10.0, 5.5)
THRUST_TO_WEIGHT_BANDS = (1.5, 2.0, 3.0, 4.0, 5.0)
TORQUE_TO_INERTIA_BANDS = (40.0, 100.0, 300.0, 600.0, 1200.0)
FLIGHTS_PER_PLATFORM = 128
PLATFORM_MAX_DISTANCE_M = 1.0
PLATFORM_FIGURES = ("terminated", "lost", "final_error_median_m", "settled_0.2m")


def ground(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """Holds, figure eights, bands and platforms, as they have always stood in the record."""
    fleet = draw_fleet(cfg)
    pilot = contestant.make_pilot(len(fleet))
    figures = {
        **_holds(pilot, fleet, cfg, progress),
        **_figure_eights(pilot, fleet, progress, foresees=contestant.foresees),
    }
    progress("platforms")
    return {**figures, "platforms": _platforms(contestant, cfg)}


def _holds(pilot: Pilot, fleet: Fleet, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    episode = hold_episode(fleet, cfg)
    progress("hold")
    plain = flown(pilot, fleet, episode)
    figures: dict[str, Any] = {
        "hold": hold(plain),
        "hold_by_thrust_to_weight": by_band(
            plain, fleet.robots.thrust_to_weight.numpy(), THRUST_TO_WEIGHT_BANDS
        ),
        "hold_by_torque_to_inertia": by_band(
            plain, fleet.robots.torque_to_inertia.numpy(), TORQUE_TO_INERTIA_BANDS
        ),
    }
    variants = {
        "hold_without_force": hold_episode(fleet, cfg, with_force=False),
        "hold_clipped": under(episode, max_error=(0.5, 1.0)),
        "hold_noisy": under(episode, noise=SensorNoise(), seed=cfg.seed),
        "hold_without_memory": under(episode, clear_memory=True),
    }
    for name, variant in variants.items():
        progress(name)
        figures[name] = hold(flown(pilot, fleet, variant))
    return figures


def _figure_eights(
    pilot: Pilot, fleet: Fleet, progress: Progress, *, foresees: bool
) -> dict[str, Any]:
    """With an unknown future, and with a known one for a policy that can use it."""
    figures = {}
    for suffix in ("", "_foreseen") if foresees else ("",):
        for period_s in FIGURE_EIGHT_PERIODS_S:
            name = f"figure_eight_{period_s:g}s{suffix}"
            progress(name)
            episode = under(figure_eight_episode(fleet, period_s), foreseen=bool(suffix))
            figures[name] = tracking(flown(pilot, fleet, episode))
    return figures


def _platforms(contestant: Contestant, cfg: SuiteCfg) -> dict[str, Any]:
    """Hold and figure eights on copies of every known robot, without external force."""
    known = {name: load_robot(name) for name in ROBOTS}
    known = {name: robot for name, robot in known.items() if robot.num_motors == cfg.num_motors}
    copies = torch.arange(len(known)).repeat_interleave(FLIGHTS_PER_PLATFORM)
    robots = concatenate(list(known.values())).to(torch.float32)[copies]
    fleet = Fleet(robots=robots, imperfections=perfect(robots), engine=cfg.engine)
    pilot = contestant.make_pilot(len(fleet))
    start = reset(robots, InitialStates(), cfg.generator(PLATFORMS))
    still = replace(hold_episode(fleet, cfg, with_force=False), start=start)

    def fly_near(episode: Episode) -> Flight:
        return flown(pilot, fleet, replace(episode, max_distance_m=PLATFORM_MAX_DISTANCE_M))

    holds = fly_near(still)
    eights = {
        period_s: fly_near(figure_eight_episode(fleet, period_s))
        for period_s in FIGURE_EIGHT_PERIODS_S
    }
    result = {}
    for i, name in enumerate(known):
        mine = slice(i * FLIGHTS_PER_PLATFORM, (i + 1) * FLIGHTS_PER_PLATFORM)
        figures = hold(holds[mine])
        result[name] = {chosen: figures[chosen] for chosen in PLATFORM_FIGURES} | {
            f"figure_eight_{period_s:g}s_rmse_m": tracking(flight[mine])["rmse_median_m"]
            for period_s, flight in eights.items()
        }
    return result
