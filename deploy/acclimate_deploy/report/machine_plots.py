"""Plots of what the machine did: motors, control loop, memory."""

from typing import TYPE_CHECKING

import numpy as np

from acclimate_deploy.report.drawing import (
    BLUE,
    GREY,
    INK,
    SKY,
    few_ticks,
    finish,
    legend,
    line,
    new_figure,
    plain_numbers,
    stack,
)
from acclimate_deploy.report.flight import Flight

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_motors(flight: Flight) -> "Figure":
    """One row per motor."""
    track = flight.log.actuators
    count = len(track.channels)
    figure, axes = stack(count, 1.4 + 1.05 * count)
    for index, (one, name) in enumerate(zip(axes, track.channels, strict=True)):
        line(one, track.time_s, track.setpoint[:, index], color=BLUE, lw=1.0)
        for limit in (-1.0, 1.0):
            one.axhline(limit, color=GREY, linewidth=0.7)
        one.set(ylim=(-1.12, 1.12), yticks=(-1, 0, 1))
        one.set_ylabel(name.replace("_", " ") + "\n(1)")
    return finish(figure, axes, flight)


def draw_timing(flight: Flight) -> "Figure":
    """Loop period and latency, over time and counted; logarithmic."""
    timing = flight.log.timing
    figure = new_figure(4.4)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(3.4, 1.0), left=0.085, right=0.985, top=0.915, bottom=0.11, wspace=0.05
    )
    left: list[Axes] = []
    rows = (("loop period (ms)", timing.period_s, BLUE), ("latency (ms)", timing.latency_s, SKY))
    for row, (label, values_s, colour) in enumerate(rows):
        over_time = figure.add_subplot(grid[row, 0])
        counted = figure.add_subplot(grid[row, 1], sharey=over_time)
        usable = np.isfinite(values_s) & (values_s > 0.0)
        time_s, values_ms = timing.time_s[usable], 1e3 * values_s[usable]
        line(over_time, time_s, values_ms, color=colour, lw=0.9)
        over_time.set(yscale="log", ylabel=label)
        _plain_log_ticks(over_time, values_ms)
        if len(values_ms):
            edges = np.geomspace(0.97 * values_ms.min(), 1.03 * values_ms.max(), 60)
            counted.hist(values_ms, edges, orientation="horizontal", color=colour, log=True)
            for percent, style in ((50, "-"), (99, (0, (2, 2)))):
                value = float(np.percentile(values_ms, percent))
                counted.axhline(value, color=INK, linewidth=0.9, linestyle=style)
        counted.tick_params(labelleft=False, labelbottom=row == 1, which="both", left=False)
        counted.xaxis.set_major_formatter(plain_numbers())
        counted.grid(visible=False, axis="x", which="minor")
        counted.set_xlabel("steps" if row == 1 else "")
        left.append(over_time)
        if row == 0:
            legend(counted, (INK, "-", "p50"), (INK, (0, (2, 2)), "p99"))
    return finish(figure, left, flight)


def _plain_log_ticks(axes: "Axes", values_ms: np.ndarray) -> None:
    """Ticks at 1, 2, 5 with plain numbers, and at least a decade, so that jitter looks small."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter(plain_numbers())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    if len(values_ms):
        low, high = float(values_ms.min()), float(values_ms.max())
        wider = max(1.0, np.sqrt(10.0 * low / high))
        axes.set_ylim(low / wider / 1.15, high * wider * 1.15)


def draw_memory(flight: Flight) -> "Figure":
    """Heat map of the memory: time to the right, one row per unit."""
    track, events = flight.log.memory, flight.analysis.disturbances
    figure = new_figure(4.0)
    axes = figure.add_axes((0.085, 0.12, 0.83, 0.79))
    bar = figure.add_axes((0.935, 0.12, 0.014, 0.79))
    values = track.value[:, _by_change(track.time_s, track.value, [e.time_s for e in events])]
    even_s = np.linspace(0.0, flight.log.end_s, min(700, max(2, len(values))))
    latest = np.searchsorted(track.time_s, even_s, side="right") - 1
    shown = np.where(latest[:, None] >= 0, values[np.maximum(latest, 0)], np.nan)
    limit = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 1.0
    image = axes.imshow(
        shown.T,
        cmap="PuOr",
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="none",
        extent=(0.0, flight.log.end_s, values.shape[1] + 0.5, 0.5),
    )
    axes.grid(visible=False)
    axes.set_ylabel("memory unit, by change")
    axes.yaxis.set_major_locator(few_ticks())
    figure.colorbar(image, cax=bar).outline.set_visible(False)
    bar.set_title("value (1)", fontsize=8, loc="center")
    return finish(figure, [axes], flight)


def _by_change(time_s: np.ndarray, values: np.ndarray, events_s: list[float]) -> np.ndarray:
    """Order of the units: those that changed most with the first disturbance come first."""
    if not events_s:
        return np.argsort(-np.nanstd(values, axis=0))
    before = values[(time_s >= events_s[0] - 1.0) & (time_s < events_s[0])]
    after = values[(time_s >= events_s[0] + 1.0) & (time_s < events_s[0] + 3.0)]
    if not len(before) or not len(after):
        return np.arange(values.shape[1])
    return np.argsort(-np.abs(np.nanmean(after, axis=0) - np.nanmean(before, axis=0)))
