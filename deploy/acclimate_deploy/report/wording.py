"""Figures in words: units a person likes, and why a figure is not there."""

from dataclasses import dataclass

import numpy as np

from acclimate_deploy.report.figures import (
    MISSED_FACTOR,
    READAPTED_FOR_S,
    READAPTED_M,
    SETTLING_S,
    DisturbanceFigures,
    FlightFigures,
)


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One row of the table of figures: what, how much, and what exactly that means.

    `rank` is "head" for the row that opens a group and "sub" for those of the group.
    """

    label: str
    value: str
    meaning: str
    rank: str = ""


def length(metres: float | None, absent: str) -> str:
    """In centimetres below one metre."""
    if metres is None:
        return absent
    return f"{metres:.2f} m" if metres >= 1.0 else f"{100.0 * metres:.1f} cm"


def milliseconds(seconds: float | None, absent: str = "not recorded") -> str:
    """In milliseconds, three digits."""
    return absent if seconds is None else f"{1e3 * seconds:.3g} ms"


def readapted(figures: DisturbanceFigures) -> str:
    """How long it took to adapt again."""
    if figures.readapted_s is None:
        return "not within the flight" if figures.error_peak_m is not None else "no error recorded"
    if figures.readapted_s == 0.0:
        return f"never left {READAPTED_M:g} m"
    return f"{figures.readapted_s:.2f} s"


def figure_rows(figures: FlightFigures) -> list[FigureRow]:
    """All figures in the order of the report."""
    return [
        *_flight_rows(figures),
        *(row for one in figures.disturbances for row in _disturbance_rows(one)),
        *_limit_rows(figures),
        *_timing_rows(figures),
    ]


def _flight_rows(figures: FlightFigures) -> list[FigureRow]:
    armed = "not recorded" if figures.armed_s is None else f"{figures.armed_s:.1f} s"
    return [
        FigureRow(
            label="Duration",
            value=armed,
            meaning=f"motors armed; the recording lasts {figures.recorded_s:.1f} s",
        ),
        FigureRow(
            label="Hover RMSE",
            value=length(figures.hover_rmse_m, "no undisturbed hover"),
            meaning="distance to the reference, in the air, once the reference has rested for "
            f"{SETTLING_S:g} s, before any disturbance",
        ),
        FigureRow(
            label="Figure-eight RMSE",
            value=length(figures.figure_eight_rmse_m, "no figure eight"),
            meaning="distance to the moving reference, from its announcement to the next event",
        ),
    ]


def _disturbance_rows(one: DisturbanceFigures) -> list[FigureRow]:
    return [
        FigureRow(
            label="Disturbance",
            value=f"at {one.time_s:.2f} s",
            meaning=one.text,
            rank="head",
        ),
        FigureRow(
            label="Error before",
            value=length(one.error_before_m, "not recorded"),
            meaning="mean over the second before",
            rank="sub",
        ),
        FigureRow(
            label="Peak error after",
            value=length(one.error_peak_m, "not recorded"),
            meaning="largest until the next disturbance, the landing or the end",
            rank="sub",
        ),
        FigureRow(
            label="Re-adaptation time",
            value=readapted(one),
            meaning=f"until the error is back within {READAPTED_M:g} m for at least "
            f"{READAPTED_FOR_S:g} s",
            rank="sub",
        ),
        FigureRow(
            label="Error in the end",
            value=length(one.error_after_m, "not recorded"),
            meaning="mean over the last second of that time",
            rank="sub",
        ),
    ]


def _limit_rows(figures: FlightFigures) -> list[FigureRow]:
    landing, tilt = figures.landing_speed_m_s, figures.max_tilt_rad
    rate, saturated = figures.max_body_rate_rad_s, figures.saturated_fraction
    return [
        FigureRow(
            label="Landing speed",
            value="no landing" if landing is None else f"{landing:.2f} m/s",
            meaning="fastest descent in the 50 ms before touchdown",
        ),
        FigureRow(
            label="Largest tilt",
            value="not recorded" if tilt is None else f"{np.rad2deg(tilt):.1f}°",
            meaning="of the body's z axis, while armed",
        ),
        FigureRow(
            label="Largest body rate",
            value="not recorded" if rate is None else f"{rate:.1f} rad/s",
            meaning="magnitude, while armed",
        ),
        FigureRow(
            label="A motor at its limit",
            value="not recorded" if saturated is None else f"{saturated:.1%} of the flight",
            meaning="from take-off to landing, at least one setpoint at -1 or 1",
        ),
    ]


def _timing_rows(figures: FlightFigures) -> list[FigureRow]:
    periods = (figures.period_p50_s, figures.period_p99_s, figures.period_max_s)
    latencies = (figures.latency_p50_s, figures.latency_p99_s)
    missed = figures.missed_ticks
    return [
        FigureRow(
            label="Loop period p50 / p99 / max",
            value=_together(periods),
            meaning="between two steps of the policy, while armed",
        ),
        FigureRow(
            label="Latency p50 / p99",
            value=_together(latencies),
            meaning="from the stamp of the odometry to the published command, while armed",
        ),
        FigureRow(
            label="Missed ticks",
            value="not recorded" if missed is None else str(missed),
            meaning=f"steps left out in periods over {MISSED_FACTOR:g} times the median",
        ),
    ]


def _together(seconds: tuple[float | None, ...]) -> str:
    known = [1e3 * value for value in seconds if value is not None]
    if len(known) < len(seconds):
        return "not recorded"
    return " / ".join(f"{value:.2f}" for value in known) + " ms"
