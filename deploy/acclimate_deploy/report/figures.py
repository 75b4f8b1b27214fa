"""The figures of a flight: plain numbers in SI units, None where the log cannot tell."""

from dataclasses import dataclass

import numpy as np

from acclimate_deploy.flight_log import FlightLog
from acclimate_deploy.flight_tracks import FlightEvent
from acclimate_deploy.report.analysis import Analysis, Window, inside, resting_s

READAPTED_M = 0.1  # adapted again: the error is back within this distance ...
READAPTED_FOR_S = 0.5  # ... and stays there for so long
SETTLING_S = 1.0  # a hover counts from so long after the reference came to rest
MISSED_FACTOR = 1.5  # a period longer than this many usual ones has missed a tick
TOUCHDOWN_M = 0.02  # height above the ground at which the feet touch


@dataclass(frozen=True, kw_only=True)
class DisturbanceFigures:
    """How the flight went on after one disturbance.

    Attributes:
        text: The event as it was announced.
        time_s: When, since the first odometry.
        error_before_m: Mean error in the second before.
        error_peak_m: Largest error afterwards, until the next disturbance, landing or the end.
        error_after_m: Mean error in the last second of that time.
        readapted_s: Time until the error was back within `READAPTED_M` for `READAPTED_FOR_S`;
            0 if it never left, None if it did not come back.
    """

    text: str
    time_s: float
    error_before_m: float | None
    error_peak_m: float | None
    error_after_m: float | None
    readapted_s: float | None


@dataclass(frozen=True, kw_only=True)
class FlightFigures:
    """Figures of a flight, None where the log cannot tell; see `report.rows` for the wording."""

    recorded_s: float
    armed_s: float | None
    hover_rmse_m: float | None
    figure_eight_rmse_m: float | None
    disturbances: tuple[DisturbanceFigures, ...]
    landing_speed_m_s: float | None
    max_tilt_rad: float | None
    max_body_rate_rad_s: float | None
    saturated_fraction: float | None
    period_p50_s: float | None
    period_p99_s: float | None
    period_max_s: float | None
    latency_p50_s: float | None
    latency_p99_s: float | None
    missed_ticks: int | None
    bad_odometry: int


def compute_figures(log: FlightLog, analysis: Analysis) -> FlightFigures:
    """Compute every figure the log allows."""
    armed = inside(analysis.time_s, analysis.armed)
    timed = inside(log.timing.time_s, analysis.armed)
    periods_s = _usable(log.timing.period_s[timed])
    latencies_s = _usable(log.timing.latency_s[timed])
    position = log.odometry.position
    return FlightFigures(
        recorded_s=log.end_s,
        armed_s=sum(end - start for start, end in analysis.armed) if log.safety else None,
        hover_rmse_m=_rms(analysis.error_m[_hovering(log, analysis)]),
        figure_eight_rmse_m=_rms(analysis.error_m[_figure_eight(log, analysis)]),
        disturbances=tuple(_disturbance(analysis, event) for event in analysis.disturbances),
        landing_speed_m_s=_landing_speed(log, analysis),
        max_tilt_rad=_max(analysis.tilt_rad[armed]),
        max_body_rate_rad_s=_max(analysis.body_rate_rad_s[armed]),
        saturated_fraction=_saturated(log, analysis),
        period_p50_s=_percentile(periods_s, 50),
        period_p99_s=_percentile(periods_s, 99),
        period_max_s=_max(periods_s),
        latency_p50_s=_percentile(latencies_s, 50),
        latency_p99_s=_percentile(latencies_s, 99),
        missed_ticks=_missed_ticks(periods_s),
        bad_odometry=int((~np.isfinite(position).all(axis=1)).sum()),
    )


def _undisturbed_until(analysis: Analysis) -> float:
    ends = [event.time_s for event in analysis.disturbances]
    return min([*ends, np.inf if analysis.land_s is None else analysis.land_s])


def _hovering(log: FlightLog, analysis: Analysis) -> np.ndarray:
    """Armed, in the air, reference at rest and settled, before any disturbance or landing."""
    return (
        inside(analysis.time_s, analysis.armed)
        & (analysis.time_s < _undisturbed_until(analysis))
        & (resting_s(log, analysis.time_s) >= SETTLING_S)
        & (log.odometry.position[:, 2] > analysis.ground_m + 0.1)
    )


def _figure_eight(log: FlightLog, analysis: Analysis) -> np.ndarray:
    """From the announcement to the next event, whatever it is."""
    windows: list[Window] = []
    for index, event in enumerate(log.events):
        if "figure eight" in event.text.lower().replace("-", " "):
            later = [e.time_s for e in log.events[index + 1 :] if e.time_s > event.time_s]
            windows.append((event.time_s, min([*later, np.inf])))
    armed = inside(analysis.time_s, analysis.armed)
    return armed & inside(analysis.time_s, windows)


def _disturbance(analysis: Analysis, event: FlightEvent) -> DisturbanceFigures:
    start_s = event.time_s
    ends = [other.time_s for other in analysis.disturbances if other.time_s > start_s]
    ends += [analysis.land_s] if analysis.land_s is not None and analysis.land_s > start_s else []
    ends += [end_s for begin_s, end_s in analysis.armed if begin_s <= start_s < end_s]
    end_s = min([*ends, np.inf])
    time_s, error_m = analysis.time_s, analysis.error_m
    known = np.isfinite(error_m)
    during = known & (time_s >= start_s) & (time_s < end_s)
    last_s = time_s[during][-1] if during.any() else start_s
    return DisturbanceFigures(
        text=event.text,
        time_s=start_s,
        error_before_m=_mean(error_m[known & (time_s >= start_s - 1.0) & (time_s < start_s)]),
        error_peak_m=_max(error_m[during]),
        error_after_m=_mean(error_m[during & (time_s >= last_s - 1.0)]),
        readapted_s=_readapted(time_s[during] - start_s, error_m[during]),
    )


def _readapted(since_s: np.ndarray, error_m: np.ndarray) -> float | None:
    """First time within the distance for long enough, once it has been left."""
    outside = error_m > READAPTED_M
    if not len(since_s):
        return None
    if not outside.any():
        return 0.0
    for entry in np.flatnonzero(outside[:-1] & ~outside[1:]) + 1:
        leaves = np.flatnonzero(outside[entry:])
        stays_until_s = since_s[entry + leaves[0]] if len(leaves) else since_s[-1]
        if stays_until_s - since_s[entry] >= READAPTED_FOR_S:
            return float(since_s[entry])
    return None


def _landing_speed(log: FlightLog, analysis: Analysis) -> float | None:
    """Fastest descent in the last 50 ms before the feet touch."""
    if analysis.land_s is None:
        return None
    time_s, height_m = analysis.time_s, log.odometry.position[:, 2] - analysis.ground_m
    landing = (time_s >= analysis.land_s) & inside(time_s, analysis.armed)
    touching = np.flatnonzero(landing & (height_m <= TOUCHDOWN_M))
    if not len(touching):
        return None
    touch_s = time_s[touching[0]]
    return _max(-log.odometry.linear_velocity[(time_s > touch_s - 0.05) & (time_s <= touch_s), 2])


def _saturated(log: FlightLog, analysis: Analysis) -> float | None:
    """Part of the time in the air with at least one motor at the end of its range."""
    track = log.actuators
    end_s = np.inf if analysis.land_s is None else analysis.land_s
    starts = [e.time_s for e in log.events if e.text.lower().startswith(("take-off", "takeoff"))]
    flying = inside(track.time_s, analysis.armed) & (track.time_s < end_s)
    flying &= track.time_s >= (starts[0] if starts else -np.inf)
    if not flying.any():
        return None
    return float((np.abs(track.setpoint[flying]) >= 0.999).any(axis=1).mean())


def _missed_ticks(periods_s: np.ndarray) -> int | None:
    if not len(periods_s):
        return None
    usual_s = float(np.median(periods_s))
    late_s = periods_s[periods_s > MISSED_FACTOR * usual_s]
    return int(np.round(late_s / usual_s - 1.0).sum())


def _usable(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values) & (values > 0.0)]  # the first period may be unknown


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _max(values: np.ndarray) -> float | None:
    values = _finite(values)
    return float(values.max()) if len(values) else None


def _mean(values: np.ndarray) -> float | None:
    values = _finite(values)
    return float(values.mean()) if len(values) else None


def _rms(values: np.ndarray) -> float | None:
    values = _finite(values)
    return float(np.sqrt((values**2).mean())) if len(values) else None


def _percentile(values: np.ndarray, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None
