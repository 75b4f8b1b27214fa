"""The plots of a flight, each as inline SVG with one sentence that says what to look at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from acclimate_deploy.flight_log import ACTUATORS, MEMORY, ODOM, REFERENCE, TIMING
from acclimate_deploy.report.drawing import plot_style, to_svg
from acclimate_deploy.report.figures import READAPTED_M
from acclimate_deploy.report.flight import Flight
from acclimate_deploy.report.machine_plots import draw_memory, draw_motors, draw_timing
from acclimate_deploy.report.motion_plots import (
    draw_attitude,
    draw_error,
    draw_path,
    draw_position,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot as the page shows it; `svg` is None where it could not be drawn.

    Attributes:
        name: Short word, unique in the page.
        title: Heading.
        look_at: One sentence: what to look at.
        svg: The picture, None if it cannot be drawn.
        absent: Why there is no picture; empty if there is one.
    """

    name: str
    title: str
    look_at: str
    svg: str | None
    absent: str


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    name: str
    title: str
    look_at: str
    needs: tuple[str, ...]
    shows: Callable[[Flight], np.ndarray]  # without a single number in there it is not drawn
    draw: Callable[[Flight], "Figure"]


def draw_plots(flight: Flight) -> list[Plot]:
    """Draw every plot for which the topics were recorded."""
    plots: list[Plot] = []
    for recipe in RECIPES:
        missing = [name for name in recipe.needs if name in flight.log.missing]
        absent = f"{' and '.join(missing)} not recorded" if missing else ""
        if not missing and not np.isfinite(recipe.shows(flight)).any():
            absent = f"{' and '.join(recipe.needs)} recorded, but without a single usable value"
        svg = None
        if not absent:
            with plot_style(recipe.name):
                svg = to_svg(recipe.draw(flight), recipe.name, f"{recipe.title}: {recipe.look_at}")
        plots.append(
            Plot(
                name=recipe.name,
                title=recipe.title,
                look_at=recipe.look_at,
                svg=svg,
                absent=absent,
            )
        )
    return plots


RECIPES = (
    _Recipe(
        name="path",
        title="Flight path",
        look_at="The closer the blue line stays to the dashed one, the better it flew; "
        "the orange dot is where the robot was disturbed.",
        needs=(ODOM,),
        shows=lambda f: f.log.odometry.position.sum(axis=1),
        draw=draw_path,
    ),
    _Recipe(
        name="error",
        title="Error over time",
        look_at="After a disturbance (solid vertical line) the error jumps; how fast it falls back "
        f"into the green band (within {READAPTED_M:g} m) is how fast the policy adapts.",
        needs=(ODOM, REFERENCE),
        shows=lambda f: f.analysis.error_m,
        draw=draw_error,
    ),
    _Recipe(
        name="position",
        title="Position per axis",
        look_at="Look for lag behind the dashed reference in x and y, and for a lasting offset in "
        "z after the mass has changed.",
        needs=(ODOM,),
        shows=lambda f: f.log.odometry.position,
        draw=draw_position,
    ),
    _Recipe(
        name="memory",
        title="Memory over time",
        look_at="Rows are the units of the policy's memory, those that changed most with the first "
        "disturbance on top; a lasting change of colour is what the policy has learnt about "
        "its robot.",
        needs=(MEMORY,),
        shows=lambda f: f.log.memory.value,
        draw=draw_memory,
    ),
    _Recipe(
        name="motors",
        title="Motor setpoints",
        look_at="Lines that touch the limits at -1 or 1 mean that the robot had no thrust left to "
        "give; the four should be alike in a hover.",
        needs=(ACTUATORS,),
        shows=lambda f: f.log.actuators.setpoint,
        draw=draw_motors,
    ),
    _Recipe(
        name="attitude",
        title="Tilt and body rate",
        look_at="Fast, growing oscillation of the rates is the first sign of trouble; tilt should "
        "be small wherever the reference stands still.",
        needs=(ODOM,),
        shows=lambda f: f.analysis.tilt_rad,
        draw=draw_attitude,
    ),
    _Recipe(
        name="timing",
        title="Loop period and latency",
        look_at="The period should be a flat line and its histogram one narrow bar; every spike is "
        "a control step that came late.",
        needs=(TIMING,),
        shows=lambda f: f.log.timing.period_s,
        draw=draw_timing,
    ),
)
