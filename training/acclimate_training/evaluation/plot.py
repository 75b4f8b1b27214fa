"""One picture of adaptation: what happens in the first second on an unknown robot."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate_deploy.files import replacing
from acclimate_deploy.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    new_figure,
    plot_style,
)
from acclimate_sim.multirotor import InitialStates
from acclimate_training.commands import PlotCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.controls import memory_reset_every, tampered
from acclimate_training.evaluation.evaluate import POLICY, read_record
from acclimate_training.evaluation.pilots import PEERS, PilotMaker, onnx_pilot
from acclimate_training.evaluation.suites.knowledge import SHOWN_KIND
from acclimate_training.evaluation.suites.scenario import (
    SuiteCfg,
    draw_fleet,
    flown,
    hold_episode,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT_THE_TARGET = InitialStates(at_rest_fraction=1.0)
SHOWN_S = 1.5
PROPERTIES = {
    "thrust_to_weight": ("thrust-to-weight", BLUE),
    "control_delay": ("control delay", VERMILION),
    "horizontal_force": ("horizontal force", GREEN),
    "single_motors": ("single motors", ORANGE),
    "torque_to_inertia": ("torque-to-inertia", PURPLE),
}
"""Of the suite `knowledge`, with label and colour."""


def plot(cfg: PlotCfg) -> Path:
    """Draw where robots go and what the memory knows, and write it as SVG.

    Raises:
        ContractError: The policy file is refused.
        EvaluationError: The record lacks the suite `knowledge`, matplotlib is missing, or the
            picture cannot be written.
    """
    figures = read_record(cfg.policy.parent / "evaluation.json")["figures"][POLICY]
    if "knowledge" not in figures.get("suites", {}):
        raise EvaluationError(
            f"the record beside {cfg.policy} lacks the suite knowledge, half of the picture. "
            "Fix: run acclimate evaluate with --suite full."
        )
    distances = _first_seconds(cfg)
    try:
        with plot_style("adaptation"):
            figure = new_figure(3.4)
            left, right = figure.subplots(1, 2)
            draw_distances(left, distances)
            draw_knowledge(right, figures["suites"]["knowledge"])
            figure.tight_layout()
            with replacing(cfg.out) as temporary:
                figure.savefig(temporary, format="svg", facecolor="white", metadata={"Date": None})
    except ImportError as error:
        raise EvaluationError(
            f"plots need matplotlib ({error}). Fix: pip install 'acclimate[report]'."
        ) from error
    except OSError as error:
        raise EvaluationError(
            f"cannot write {cfg.out} ({error}). Fix: choose another --out."
        ) from error
    return cfg.out


def draw_distances(axes: "Axes", distances: Mapping[str, np.ndarray]) -> None:
    """Median and middle half of the distance (steps, num_envs) to the target, per pilot."""
    for (name, distance_m), colour in zip(distances.items(), (BLUE, VERMILION, GREY), strict=False):
        time_s = PERIOD_S * np.arange(1, len(distance_m) + 1)
        low, middle, high = np.quantile(100.0 * distance_m, (0.25, 0.5, 0.75), axis=1)
        axes.plot(time_s, middle, color=colour, label=name)
        axes.fill_between(time_s, low, high, color=colour, alpha=0.15, linewidth=0.0)
    axes.set(xlim=(0.0, SHOWN_S), ylim=(0.1, None), yscale="log")
    axes.set_xlabel("time since waking up on the robot (s)")
    axes.set_ylabel("distance to the target (cm)")
    axes.legend(loc="lower right")


def draw_knowledge(axes: "Axes", knowledge: Mapping[str, Any]) -> None:
    """What a probe reads off the memory, over time, and off one observation (dotted)."""
    for name, (label, colour) in PROPERTIES.items():
        told = knowledge[name]
        if told.get("r2") is None:
            continue
        for source, style in (("memory", "-"), ("observation", ":")):
            r2 = np.array(told["r2"][SHOWN_KIND][source]["r2"], float)
            shown = label if source == "memory" else None
            axes.plot(told["times_s"], r2, style, color=colour, label=shown)
    axes.axvline(1.0, color=INK, linewidth=0.6)
    axes.set(xscale="log", ylim=(0.0, 1.0))
    axes.set_xlabel("time since waking up on the robot (s)")
    axes.set_ylabel("known to the memory (R²)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _first_seconds(cfg: PlotCfg) -> dict[str, np.ndarray]:
    """Distance (steps, num_envs) of robots that wake up at the target, motors at random."""
    make_pilot = onnx_pilot(cfg.policy)
    pilots: dict[str, PilotMaker] = {
        "policy": make_pilot,
        "the same without memory": tampered(make_pilot, memory_reset_every(PERIOD_S)),
    }
    if cfg.peer != "none":
        pilots[cfg.peer] = PEERS[cfg.peer]
    suite = SuiteCfg(robots=cfg.robots, seed=cfg.seed)
    fleet = draw_fleet(suite)
    episode = hold_episode(fleet, suite, AT_THE_TARGET)
    episode = replace(episode, num_steps=round(SHOWN_S / PERIOD_S))
    return {
        name: flown(make(len(fleet)), fleet, episode).distance_m for name, make in pilots.items()
    }
