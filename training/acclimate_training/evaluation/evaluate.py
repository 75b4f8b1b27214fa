"""The evaluation of a policy: scenarios, record, summary."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acclimate_deploy.files import write_json
from acclimate_deploy.provenance import provenance
from acclimate_sim.quadrotor import (
    InitialStates,
    QuadrotorParameters,
    concatenate,
    external_force,
    published,
    reset,
    resting,
    sample,
)
from acclimate_sim.references import figure_eight, hover
from acclimate_sim.robots import ROBOTS, load_robot
from acclimate_training.commands import EvaluateCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.figures import by_band, hold_figures, tracking_figures
from acclimate_training.evaluation.flights import Conditions, Flight, SensorNoise, fly
from acclimate_training.evaluation.pilots import PEERS, Pilot, PilotMaker, onnx_pilot
from acclimate_training.problems.quadrotor_tracking import PERIOD_S

logger = logging.getLogger(__name__)

HOLD_STEPS = 500
FIGURE_EIGHT_PERIODS_S = (10.0, 5.5)
THRUST_TO_WEIGHT_BANDS = (1.5, 2.0, 3.0, 4.0, 5.0)
TORQUE_TO_INERTIA_BANDS = (40.0, 100.0, 300.0, 600.0, 1200.0)
FLIGHTS_PER_PLATFORM = 128
PLATFORM_MAX_DISTANCE_M = 1.0
PLATFORM_FIGURES = ("terminated", "lost", "final_error_median_m", "settled_0.2m")

Progress = Callable[[str], None]


def evaluate(
    cfg: EvaluateCfg, progress: Progress = lambda scenario: None
) -> tuple[dict[str, Any], Path]:
    """Fly a policy, and its peer if asked for, and write the record.

    Returns:
        The record and where it was written.

    Raises:
        ContractError: The policy file is refused.
        EvaluationError: The settings are impossible or the record cannot be written.
    """
    if cfg.robots < 1:
        raise EvaluationError(f"--robots is {cfg.robots}. Fix: fly at least one.")
    out = cfg.out or cfg.policy.parent / "evaluation.json"
    pilots: dict[str, PilotMaker] = {"policy": onnx_pilot(cfg.policy)}
    if cfg.peer != "none":
        PEERS[cfg.peer](1)  # a missing peer is told before the long flights
        pilots[cfg.peer] = PEERS[cfg.peer]
    torch.set_num_threads(1)
    started = time.monotonic()
    robots = sample(published(), cfg.robots, _generator(cfg.seed, 0)).to(torch.float32)
    flown = {
        name: _fly_all(
            make_pilot, robots, cfg.seed, lambda scenario, n=name: progress(f"{n}: {scenario}")
        )
        for name, make_pilot in pilots.items()
    }
    record = {
        "policy_sha256": hashlib.sha256(cfg.policy.read_bytes()).hexdigest(),
        "settings": {**asdict(cfg), "policy": cfg.policy.name, "out": out.name},
        "seconds": round(time.monotonic() - started, 1),
        "provenance": provenance(cfg.seed),
        "figures": flown,
    }
    try:
        write_json(out, record)
    except OSError as error:
        raise EvaluationError(
            f"cannot write the record {out} ({error}). Fix: choose another --out."
        ) from error
    return record, out


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """The few figures that go into the policy file itself."""
    figures = record["figures"]["policy"]
    hold = figures["hold"]
    return {
        "robots": record["settings"]["robots"],
        "seed": record["settings"]["seed"],
        "lost": hold["lost"],
        "terminated": hold["terminated"],
        "settled_0.2m": hold["settled_0.2m"],
        "final_error_median_m": hold["final_error_median_m"],
        "figure_eight_10s_rmse_median_m": figures["figure_eight_10s"]["rmse_median_m"],
        "figure_eight_5.5s_rmse_median_m": figures["figure_eight_5.5s"]["rmse_median_m"],
    }


def read_record(path: Path) -> dict[str, Any]:
    """Read an evaluation record; raises EvaluationError if there is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise EvaluationError(
            f"no evaluation record at {path} ({error}). Fix: run acclimate evaluate first."
        ) from error


def _fly_all(
    make_pilot: PilotMaker, robots: QuadrotorParameters, seed: int, progress: Progress
) -> dict[str, Any]:
    platforms = _fly_platforms(make_pilot, seed, progress)
    return {**_fly_population(make_pilot, robots, seed, progress), "platforms": platforms}


def _fly_population(
    make_pilot: PilotMaker, robots: QuadrotorParameters, seed: int, progress: Progress
) -> dict[str, Any]:
    """All scenarios on robots of the published distribution."""
    n, like = len(robots), robots.mass_kg
    start = reset(robots, InitialStates(), _generator(seed, 1))
    force = external_force(robots, _generator(seed, 2))
    still = torch.zeros_like(force)
    limit = 20.0 * robots.arm_length_m
    pilot = make_pilot(n)

    def hold(name: str, *, with_force: bool = True, conditions: Conditions | None = None) -> Flight:
        progress(name)
        return fly(
            pilot,
            robots,
            start,
            force if with_force else still,
            hover(n, like=like),
            num_steps=HOLD_STEPS,
            max_distance_m=limit,
            conditions=conditions,
        )

    plain_hold = hold("hold")
    figures: dict[str, Any] = {
        "hold": hold_figures(plain_hold),
        "hold_by_thrust_to_weight": by_band(
            plain_hold, robots.thrust_to_weight.numpy(), THRUST_TO_WEIGHT_BANDS
        ),
        "hold_by_torque_to_inertia": by_band(
            plain_hold, robots.torque_to_inertia.numpy(), TORQUE_TO_INERTIA_BANDS
        ),
        "hold_without_force": hold_figures(hold("hold without force", with_force=False)),
        "hold_clipped": hold_figures(
            hold("hold, errors clipped", conditions=Conditions(max_error=(0.5, 1.0)))
        ),
        "hold_noisy": hold_figures(
            hold("hold, sensor noise", conditions=Conditions(noise=SensorNoise(), seed=seed))
        ),
        "hold_without_memory": hold_figures(
            hold("hold, memory cleared", conditions=Conditions(clear_memory=True))
        ),
    }
    for period_s in FIGURE_EIGHT_PERIODS_S:
        name = f"figure_eight_{period_s:g}s"
        progress(name)
        figures[name] = tracking_figures(_figure_eight(pilot, robots, period_s, limit))
    return figures


def _fly_platforms(make_pilot: PilotMaker, seed: int, progress: Progress) -> dict[str, Any]:
    """Hold and figure eights on copies of every known robot, without external force."""
    copies = torch.arange(len(ROBOTS)).repeat_interleave(FLIGHTS_PER_PLATFORM)
    robots = concatenate([load_robot(name) for name in ROBOTS]).to(torch.float32)[copies]
    n, like = len(robots), robots.mass_kg
    limit = torch.full((n,), PLATFORM_MAX_DISTANCE_M)
    still = torch.zeros(n, 3)
    pilot = make_pilot(n)
    progress("platforms")
    start = reset(robots, InitialStates(), _generator(seed, 3))
    holds = fly(
        pilot,
        robots,
        start,
        still,
        hover(n, like=like),
        num_steps=HOLD_STEPS,
        max_distance_m=limit,
    )
    eights = {
        period_s: _figure_eight(pilot, robots, period_s, limit)
        for period_s in FIGURE_EIGHT_PERIODS_S
    }
    result = {}
    for i, name in enumerate(ROBOTS):
        mine = slice(i * FLIGHTS_PER_PLATFORM, (i + 1) * FLIGHTS_PER_PLATFORM)
        figures = hold_figures(holds[mine])
        result[name] = {chosen: figures[chosen] for chosen in PLATFORM_FIGURES} | {
            f"figure_eight_{period_s:g}s_rmse_m": tracking_figures(flight[mine])["rmse_median_m"]
            for period_s, flight in eights.items()
        }
    return result


def _figure_eight(
    pilot: Pilot, robots: QuadrotorParameters, period_s: float, max_distance_m: Tensor
) -> Flight:
    """One second of ramp and one loop, from rest at its first point, without external force."""
    n, like = len(robots), robots.mass_kg
    return fly(
        pilot,
        robots,
        resting(n, like=like),
        torch.zeros(n, 3),
        figure_eight(n, period_s=period_s, like=like),
        num_steps=round((period_s + 1.0) / PERIOD_S),
        max_distance_m=max_distance_m,
    )


def _generator(seed: int, stream: int) -> torch.Generator:
    """Independent random streams of one evaluation."""
    return torch.Generator().manual_seed((seed << 8) + stream)
