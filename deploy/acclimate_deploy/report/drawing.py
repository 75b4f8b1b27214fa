"""One look for all plots, and matplotlib figures as inline SVG.

Colours are those of Okabe and Ito (2008), which people with colour-blindness tell apart.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate_deploy.flight_tracks import FlightEvent
from acclimate_deploy.report.analysis import is_disturbance
from acclimate_deploy.report.flight import Flight

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
)
INK, GREY, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
WIDTH_IN = 9.2
MAX_POINTS = 1600  # per line: twice the pixels it is drawn on

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": "#cbd2d9",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#52606d",
    "ytick.labelcolor": "#52606d",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.facecolor": "white",
    "legend.fancybox": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.3,
    "path.simplify": True,
    "path.simplify_threshold": 0.25,
    "svg.fonttype": "path",  # the same picture on every machine
    "svg.image_inline": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def plot_style(name: str) -> Iterator[None]:
    """Draw and save inside of this; `name` makes the ids of the SVG unique and repeatable."""
    from matplotlib import rc_context

    with rc_context({**STYLE, "svg.hashsalt": name}):  # pyright: ignore[reportArgumentType]
        yield


def new_figure(height_in: float) -> "Figure":
    """Empty figure of the page's width; needs no display and leaves no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_IN, height_in))


def to_svg(figure: "Figure", name: str, label: str) -> str:
    """SVG element to put into a page.

    Args:
        figure: What was drawn, in `plot_style`.
        name: Short word, unique in the page: all ids in the SVG start with it.
        label: What the picture shows, for people who cannot see it.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Several SVGs share one page, and matplotlib counts its ids from one in each.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    size = re.search(r'<svg[^>]*?( width="[^"]*")', svg)
    if size:
        svg = svg.replace(size.group(1), "", 1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def thin(
    time_s: np.ndarray, values: np.ndarray, limit: int = MAX_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Fewer points that draw the same line: the lowest and the highest of each bucket.

    Args:
        time_s: (n,).
        values: (n,); NaN is a gap and stays one.
        limit: Largest number of points, about.
    """
    if len(time_s) <= limit:
        return time_s, values
    edges = np.linspace(0, len(time_s), limit // 2 + 1).astype(int)
    keep: set[int] = set()
    for start, end in pairwise(edges):
        bucket = values[start:end]
        known = np.isfinite(bucket)
        if not known.all():
            keep.add(start + int(np.argmin(known)))
        if known.any():
            keep.add(start + int(np.argmin(np.where(known, bucket, np.inf))))
            keep.add(start + int(np.argmax(np.where(known, bucket, -np.inf))))
    chosen = np.array(sorted(keep))
    return time_s[chosen], values[chosen]


def line(axes: "Axes", time_s: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Draw a line over time, thinned."""
    axes.plot(*thin(time_s, values), solid_joinstyle="round", **style)


def time_axes(axes: Sequence["Axes"], end_s: float) -> None:
    """Give stacked axes one time axis, labelled at the bottom."""
    for one in axes:
        one.set_xlim(0.0, max(end_s, 1e-3))
        one.tick_params(labelbottom=one is axes[-1])
    axes[-1].set_xlabel("time since the first odometry (s)")


def mark_events(
    axes: Sequence["Axes"], events: Sequence[FlightEvent], trip_s: float | None, end_s: float
) -> None:
    """Vertical lines at the events, numbered as in the timeline on the topmost axes.

    Args:
        axes: Stacked axes, topmost first.
        events: In time order; the first has number 1.
        trip_s: When the safety supervisor acted, if it did.
        end_s: Right end of the time axis.
    """
    marks = [
        (event.time_s, str(number), VERMILION if is_disturbance(event) else GREY)
        for number, event in enumerate(events, start=1)
    ]
    marks += [(trip_s, "trip", INK)] if trip_s is not None else []
    # A recorder may get the first events a moment before the first odometry: they go to the edge.
    marks = [(max(at_s, 0.0), text, hue) for at_s, text, hue in marks if -1.0 < at_s <= end_s]
    for time_s, _, colour in marks:
        important = colour != GREY
        for one in axes:
            one.axvline(
                time_s,
                color=colour,
                linewidth=1.2 if important else 0.8,
                linestyle="-" if important else (0, (3, 2)),
                alpha=0.9 if important else 0.7,
                zorder=1.5,
            )
    for time_s, text, colour in _labels(sorted(marks), too_close_s=0.024 * end_s):
        axes[0].annotate(
            text,
            (time_s, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": "round,pad=0.28", "facecolor": colour, "edgecolor": "none"},
            annotation_clip=False,
        )


Mark = tuple[float, str, str]  # time, text, colour


def _labels(marks: Sequence[Mark], too_close_s: float) -> list[Mark]:
    """One label for marks that are so close that their own would overlap."""
    groups: list[list[Mark]] = []
    for mark in marks:
        if groups and mark[0] - groups[-1][-1][0] < too_close_s:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    labels: list[Mark] = []
    for group in groups:
        numbers = [text for _, text, _ in group if text.isdigit()]
        words = [text for _, text, _ in group if not text.isdigit()]
        if len(numbers) > 1:
            numbers = [f"{numbers[0]}-{numbers[-1]}"]
        colour = min((colour for _, _, colour in group), key=(INK, VERMILION, GREY).index)
        labels.append((float(np.mean([m[0] for m in group])), " ".join(numbers + words), colour))
    return labels


def stack(count: int, height_in: float) -> "tuple[Figure, list[Axes]]":
    """Figure with axes on top of each other."""
    figure = new_figure(height_in)
    top, bottom = 1.0 - 0.34 / height_in, 0.46 / height_in
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.085, right=0.985, top=top, bottom=bottom, hspace=0.16)
    return figure, list(axes)


def finish(figure: "Figure", axes: "list[Axes]", flight: Flight) -> "Figure":
    """Time axis and events for stacked axes, topmost first."""
    time_axes(axes, flight.log.end_s)
    mark_events(axes, flight.log.events, flight.verdict.tripped_s, flight.log.end_s)
    figure.align_ylabels(axes)
    return figure


def legend(axes: "Axes", *entries: tuple[str, Any, str]) -> None:
    """Legend in the right upper corner, in one row."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, linestyle=style) for colour, style, _ in entries]
    axes.legend(
        lines,
        [label for _, _, label in entries],
        loc="upper right",
        ncols=len(entries),
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.8,
    )


def at_least(axes: "Axes", span: float) -> None:
    """Do not blow noise up to the height of the plot."""
    low, high = axes.get_ylim()
    if high - low < span:
        middle = (low + high) / 2.0
        axes.set_ylim(middle - span / 2.0, middle + span / 2.0)


def plain_numbers() -> Any:
    """Numbers as people write them, instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:g}")


def few_ticks() -> Any:
    """About four round numbers along an axis."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
