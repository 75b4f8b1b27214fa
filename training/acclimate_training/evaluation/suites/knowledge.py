"""Knowledge: what the memory knows about the robot, and since when.

Robots of the published distribution with an unknown control delay and unequal motors, held in place
under an unknown force. Each figure is a coefficient of determination on robots that the probe never
learned from, beside the same for a probe that sees one observation and no memory.
"""

from typing import Any

import numpy as np
import torch

from acclimate_sim.multirotor import external_force
from acclimate_training.evaluation.figures import lost
from acclimate_training.evaluation.probes import PROBE_TIMES_S, PROBES, Recorder, probe
from acclimate_training.evaluation.suites.scenario import (
    FORCES,
    Contestant,
    Fleet,
    Progress,
    SuiteCfg,
    draw_fleet,
    flown,
    hold_episode,
)
from acclimate_training.evaluation.suites.variations import published_with

DEVIATIONS = tuple(f"motor_{i}_deviation" for i in range(4))
SHOWN_AFTER_S = (0.1, 1.0, 5.0)
SHOWN_KIND = "mlp"


def knowledge(contestant: Contestant, cfg: SuiteCfg, progress: Progress) -> dict[str, Any]:
    """Fly once, recording, and read every property of the robots off the memory."""
    progress("flight")
    fleet = draw_fleet(cfg, published_with("control_delay", *DEVIATIONS)())
    pilot = Recorder(contestant.make_pilot(len(fleet)))
    flight = flown(pilot, fleet, hold_episode(fleet, cfg))
    progress("probes")
    told = probe(pilot.recording, targets(fleet, cfg), flying=~lost(flight), kinds=tuple(PROBES))
    about = {"robots": told["robots"], "times_s": told["times_s"]}
    return {name: {**about, **_shown(r2), "r2": r2} for name, r2 in told["r2"].items()}


def targets(fleet: Fleet, cfg: SuiteCfg) -> dict[str, np.ndarray]:
    """What there is to know, (num_envs,) or (num_envs, components)."""
    robots = fleet.robots
    force = external_force(robots, cfg.generator(FORCES)) / robots.mass_kg.unsqueeze(-1)
    strength = robots.thrust_curve_n.sum(-1)
    known = {
        "thrust_to_weight": robots.thrust_to_weight,
        "torque_to_inertia": torch.log(robots.torque_to_inertia),
        "motor_rise_time": torch.log(robots.rise_time_s[:, 0]),
        "motor_fall_time": torch.log(robots.fall_time_s[:, 0]),
        "control_delay": fleet.imperfections.control_delay_s,
        "horizontal_force": force[:, :2],
        "vertical_force": force[:, 2],
        "single_motors": strength / strength.mean(-1, keepdim=True),
    }
    return {name: value.numpy() for name, value in known.items()}


def _shown(r2: dict[str, Any] | None) -> dict[str, float | None]:
    """The few figures that stand in a table."""
    if r2 is None:
        return {}
    return {
        f"{source}_after_{time_s:g}s": r2[SHOWN_KIND][source]["r2"][PROBE_TIMES_S.index(time_s)]
        for source in ("memory", "observation")
        for time_s in SHOWN_AFTER_S
    }
