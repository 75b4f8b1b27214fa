"""Figures of a batch of flights, as RAPTOR's authors and users count them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from acclimate_sim.multirotor.task import TERMINATION_REWARD
from acclimate_training.evaluation.flights import Flight
from acclimate_training.problems.multirotor_tracking import PERIOD_S

LOST_M = 1.0
FAR_M = 5.0
RESAMPLES = 1000
NORMAL_95 = 1.96
"""Half width of the middle 95 % of a normal distribution over its spread."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number about a batch of robots, and how far chance alone may have moved it.

    Attributes:
        values: (num_envs,), one per robot; bool where a share of robots is meant.
        reduce: Makes one number of them, over the last axis.
    """

    values: np.ndarray
    reduce: Callable[[np.ndarray], np.ndarray]

    @property
    def value(self) -> float:
        """The number; infinite if there are no robots or it never happened."""
        return float(self.reduce(self.values)) if len(self.values) else np.inf

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of its 95 % interval: Wilson 1927 for shares, else bootstrap over the robots."""
        if not len(self.values):
            return (np.inf, np.inf)
        if self.values.dtype == bool:
            return wilson(float(self.values.mean()), len(self.values))
        with np.errstate(invalid="ignore"):
            resampled = self.reduce(self.values[_resamples(len(self.values))])
        bounds = np.quantile(
            np.nan_to_num(resampled, nan=np.inf, posinf=np.inf), (0.025, 0.975), method="nearest"
        )
        return float(bounds[0]), float(bounds[1])


def share(mask: np.ndarray) -> Figure:
    """Share of the robots (num_envs,) for which it is true."""
    return Figure(values=mask, reduce=_mean)


def mean(values: np.ndarray) -> Figure:
    """Mean over robots (num_envs,)."""
    return Figure(values=values, reduce=_mean)


def median(values: np.ndarray) -> Figure:
    """Median over robots (num_envs,)."""
    return Figure(values=values, reduce=lambda v: np.median(v, axis=-1))


def ninth_decile(values: np.ndarray) -> Figure:
    """What nine robots (num_envs,) in ten stay below."""
    return Figure(values=values, reduce=_ninth_decile)


def wilson(fraction: float, n: int) -> tuple[float, float]:
    """95 % interval of a share that was seen in `n` cases (Wilson 1927, JASA 22, p. 209)."""
    z2 = NORMAL_95**2 / n
    centre = (fraction + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * fraction * (1 - fraction) + z2**2 / 4) / (1 + z2)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1)


def _ninth_decile(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # between two robots that ran away there is no number
        return np.quantile(values, 0.9, axis=-1)


@lru_cache(maxsize=4)
def _resamples(n: int) -> np.ndarray:
    """Which robots each resample takes, (RESAMPLES, n); the same at every call."""
    return np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))


def lost(flight: Flight) -> np.ndarray:
    """Which robots (num_envs,) got out of control.

    Out of control is who was ever farther than 5 m from the reference, or on average farther
    than 1 m from it over the last second.
    """
    distance = np.where(np.isfinite(flight.distance_m), flight.distance_m, np.inf)
    return (distance.max(0) > FAR_M) | away_at_the_end(flight)


def away_at_the_end(flight: Flight) -> np.ndarray:
    """Which robots (num_envs,) were on average farther than 1 m away over the last second."""
    return ~(final_error_m(flight) <= LOST_M)


def final_error_m(flight: Flight) -> np.ndarray:
    """Mean distance (num_envs,) to the reference over the last second."""
    return error_m(flight, until_s=flight.time_s[-1])


def error_m(flight: Flight, *, until_s: float) -> np.ndarray:
    """Mean distance (num_envs,) to the reference over the second that ends then."""
    half_a_step = 0.5 * flight.time_s[0]
    after = flight.time_s > until_s - 1.0 + half_a_step
    window = after & (flight.time_s < until_s + half_a_step)
    return np.nan_to_num(flight.distance_m[window].mean(0), nan=np.inf, posinf=np.inf)


def rmse_m(flight: Flight) -> np.ndarray:
    """Root mean square distance (num_envs,) to the reference over the whole flight."""
    return np.sqrt(np.nan_to_num(np.square(flight.distance_m).mean(0), nan=np.inf, posinf=np.inf))


def settling_time_s(flight: Flight, radius_m: float) -> np.ndarray:
    """Time (num_envs,) after which the distance stays below the radius; inf if it never does."""
    return time_of_return_s(flight.distance_m <= radius_m, flight.time_s)


def time_of_return_s(inside: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Time (num_envs,) after which `inside` (steps, num_envs) stays true; inf if it never does."""
    steps = len(inside) - np.argmax(~inside[::-1], axis=0)  # up to the last step outside
    steps = np.where(inside.all(0), 0, steps)
    return np.where(inside[-1], np.concatenate(([0.0], time_s))[steps], np.inf)


def episode_return(flight: Flight) -> np.ndarray:
    """RAPTOR's return (num_envs,): the reward per 10 ms until termination, which costs 100."""
    lengths_s = np.diff(flight.time_s, prepend=0.0)[:, None]
    before = ~flight.terminated
    first = flight.terminated.any(0)
    earned = np.where(before, flight.reward * (lengths_s / PERIOD_S), 0.0).sum(0)
    return earned + TERMINATION_REWARD * first


def final_action_change(flight: Flight) -> np.ndarray:
    """Mean length (num_envs,) of the setpoints' change per step over the last second."""
    after = flight.time_s > flight.time_s[-1] - 1.0 + 0.5 * flight.time_s[0]
    return flight.action_change[after].mean(0)


def hold(flight: Flight) -> dict[str, Figure]:
    """Figures of flights that should come to rest at the reference."""
    error = final_error_m(flight)
    figures = {
        "terminated": share(flight.terminated[-1]),
        "lost": share(lost(flight)),
        "final_error_median_m": median(error),
        "final_error_p90_m": ninth_decile(error),
        "final_error_mean_of_survivors_m": mean(error[~flight.terminated[-1]]),
        "return": mean(episode_return(flight)),
        "action_change": mean(final_action_change(flight)),
    }
    for radius in (0.1, 0.2):
        time = settling_time_s(flight, radius)
        settled = np.isfinite(time)
        figures[f"settled_{radius}m"] = share(settled)
        figures[f"settling_time_{radius}m_median_s"] = median(time[settled])
    return figures


def tracking(flight: Flight) -> dict[str, Figure]:
    """Figures of flights along a moving reference."""
    rmse = rmse_m(flight)
    return {
        "rmse_median_m": median(rmse),
        "rmse_p90_m": ninth_decile(rmse),
        "lost": share(lost(flight)),
    }


def hold_figures(flight: Flight) -> dict[str, Any]:
    """`hold` as plain numbers."""
    return numbers(hold(flight))


def by_band(flight: Flight, quantity: np.ndarray, edges: tuple[float, ...]) -> list[dict[str, Any]]:
    """Figures of the robots whose quantity (num_envs,) lies between consecutive edges."""
    bands = []
    for low, high in pairwise(edges):
        inside = (quantity >= low) & (quantity < high)
        figures: dict[str, Any] = {"low": low, "high": high, "robots": int(inside.sum())}
        if inside.any():
            figures |= {
                "terminated": share(flight.terminated[-1][inside]),
                "lost": share(lost(flight)[inside]),
                "final_error_median_m": median(final_error_m(flight)[inside]),
            }
        bands.append(figures)
    return bands


def numbers(tree: Any) -> Any:
    """Every figure in nested dicts and lists as its number; what is plain already stays."""
    if isinstance(tree, Figure):
        return _plain(tree.value)
    if isinstance(tree, dict):
        return {name: numbers(part) for name, part in tree.items()}
    return [numbers(part) for part in tree] if isinstance(tree, list) else tree


def intervals(tree: Any) -> Any:
    """Every figure in nested dicts and lists as [low, high]; nothing of what is plain already."""
    if isinstance(tree, Figure):
        return [_plain(bound) for bound in tree.interval]
    if isinstance(tree, list):
        return [intervals(part) for part in tree]
    parts = {name: intervals(part) for name, part in tree.items() if _uncertain(part)}
    return {name: part for name, part in parts.items() if part}


def _uncertain(part: Any) -> bool:
    return isinstance(part, Figure | dict) or (
        isinstance(part, list) and any(isinstance(item, dict) for item in part)
    )


def _plain(value: float) -> float | None:
    """Five significant digits; None for what never happened (infinite)."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
