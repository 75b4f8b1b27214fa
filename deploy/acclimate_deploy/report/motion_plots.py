"""Plots of how the robot moved."""

from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate_deploy.report.analysis import inside, reference_at
from acclimate_deploy.report.drawing import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    at_least,
    few_ticks,
    finish,
    legend,
    line,
    new_figure,
    stack,
)
from acclimate_deploy.report.figures import READAPTED_M, DisturbanceFigures
from acclimate_deploy.report.flight import Flight

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_path(flight: Flight) -> "Figure":
    """The path in space and from above."""
    log = flight.log
    figure = new_figure(4.4)
    space: Any = figure.add_axes((-0.02, 0.0, 0.56, 1.0), projection="3d")
    above = figure.add_axes((0.62, 0.13, 0.36, 0.78))
    flown = _spread(log.odometry.position)
    wanted = _spread(log.reference.position)
    space.plot(*wanted.T, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="reference")
    space.plot(*flown.T, color=BLUE, linewidth=1.4, label="flown")
    above.plot(*wanted[:, :2].T, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    above.plot(*flown[:, :2].T, color=BLUE, linewidth=1.4)
    for event in flight.analysis.disturbances:
        at = np.searchsorted(log.odometry.time_s, event.time_s)
        point = log.odometry.position[min(int(at), len(log.odometry.position) - 1)]
        style: dict[str, Any] = {"color": VERMILION, "marker": "o", "markersize": 6}
        style |= {"linestyle": "none", "markeredgecolor": "white"}
        first = event is flight.analysis.disturbances[0]
        space.plot(*point[:, None], label="disturbance" if first else None, **style)
        above.plot(*point[:2, None], **style)
    _equal_space(space, np.concatenate([flown, wanted]))
    space.legend(loc="upper left", bbox_to_anchor=(0.08, 0.98))
    above.set(title="from above", xlabel="east x (m)", ylabel="north y (m)")
    above.set_aspect("equal", adjustable="datalim")
    return figure


def _spread(points: np.ndarray, limit: int = 1500) -> np.ndarray:
    """(m, 3), every so many points of those that are numbers; one NaN if there is none."""
    points = points[np.isfinite(points).all(axis=1)]
    step = max(1, len(points) // limit)
    return points[::step] if len(points) else np.full((1, 3), np.nan)


def _equal_space(axes: Any, points: np.ndarray) -> None:
    """One metre is as long along every axis, and nothing is drawn edge-on."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    low[2] = min(low[2], 0.0) if low[2] > -0.5 and low[2] < 1.0 else low[2]
    span = np.maximum(high - low, 0.35 * max(float((high - low).max()), 0.1))
    middle = (low + high) / 2.0
    middle[2] = low[2] + span[2] / 2.0
    for name, centre, width in zip("xyz", middle, span, strict=True):
        getattr(axes, f"set_{name}lim")(centre - 0.53 * width, centre + 0.53 * width)
        axis = getattr(axes, f"{name}axis")
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis._axinfo["grid"].update(color=FAINT, linewidth=0.7)
        axis.line.set_color("#cbd2d9")
        axis.set_major_locator(few_ticks())
    axes.set_box_aspect(span, zoom=0.92)
    axes.view_init(elev=24, azim=-58)
    axes.tick_params(pad=-1, labelsize=7.5)
    axes.set_xlabel("east x (m)", labelpad=0)
    axes.set_ylabel("north y (m)", labelpad=0)
    axes.set_zlabel("up z (m)", labelpad=-2)


def draw_error(flight: Flight) -> "Figure":
    """Distance to the reference, with every disturbance named."""
    figure, axes = stack(1, 3.3)
    shown = inside(flight.analysis.time_s, flight.analysis.armed)
    error_m = np.where(shown, flight.analysis.error_m, np.nan)
    axes[0].axhspan(0.0, READAPTED_M, color=GREEN, alpha=0.10, linewidth=0)
    line(axes[0], flight.analysis.time_s, error_m, color=BLUE)
    axes[0].set_ylabel("distance to the reference (m)")
    top = np.nanmax(error_m) if np.isfinite(error_m).any() else 0.0
    axes[0].set_ylim(0.0, max(1.25 * float(top), 2.5 * READAPTED_M))
    for disturbance in flight.figures.disturbances:
        _annotate_disturbance(axes[0], disturbance, flight.log.end_s)
    return finish(figure, axes, flight)


def _annotate_disturbance(axes: "Axes", disturbance: DisturbanceFigures, end_s: float) -> None:
    """Name it beside its line, and say when the error was back."""
    on_the_left = disturbance.time_s > 0.6 * end_s  # where there is more room
    axes.annotate(
        disturbance.text,
        (disturbance.time_s, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if on_the_left else 5, -3),
        textcoords="offset points",
        ha="right" if on_the_left else "left",
        va="top",
        color=VERMILION,
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )
    if disturbance.readapted_s:
        back_s = disturbance.time_s + disturbance.readapted_s
        axes.plot(back_s, READAPTED_M, "o", color=GREEN, markersize=6, markeredgecolor="white")
        axes.annotate(
            f"back after {disturbance.readapted_s:.2f} s",
            (back_s, READAPTED_M),
            xytext=(7, 7),
            textcoords="offset points",
            color="#00664b",
            fontsize=8.5,
            fontweight="bold",
        )


def draw_position(flight: Flight) -> "Figure":
    """Each coordinate with its reference."""
    log = flight.log
    figure, axes = stack(3, 5.2)
    wanted = reference_at(log, log.odometry.time_s)
    for index, (one, label) in enumerate(zip(axes, ("x", "y", "z"), strict=True)):
        line(one, log.odometry.time_s, wanted[:, index], color=INK, linestyle=(0, (4, 3)), lw=1.0)
        line(one, log.odometry.time_s, log.odometry.position[:, index], color=BLUE)
        one.set_ylabel(f"{label} (m)")
        at_least(one, 0.5)
    legend(axes[0], (BLUE, "-", "flown"), (INK, (0, (4, 3)), "reference"))
    return finish(figure, axes, flight)


def draw_attitude(flight: Flight) -> "Figure":
    """Tilt, and the body rate about each axis."""
    analysis, rate = flight.analysis, flight.log.odometry.angular_velocity
    figure, axes = stack(2, 4.3)
    line(axes[0], analysis.time_s, np.rad2deg(analysis.tilt_rad), color=BLUE)
    axes[0].set_ylabel("tilt (deg)")
    axes[0].set_ylim(bottom=0.0)
    styles = ((BLUE, "-", "roll"), (ORANGE, "-", "pitch"), (PURPLE, "-", "yaw"))
    for index, (colour, _, _) in enumerate(styles):
        line(axes[1], analysis.time_s, rate[:, index], color=colour, lw=1.0)
    axes[1].set_ylabel("body rate (rad/s)")
    at_least(axes[1], 1.0)
    legend(axes[1], *styles)
    return finish(figure, axes, flight)
