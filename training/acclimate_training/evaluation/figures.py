"""Figures of a batch of flights, as RAPTOR's authors and users count them."""

from itertools import pairwise
from typing import Any

import numpy as np

from acclimate_training.evaluation.flights import Flight
from acclimate_training.problems.quadrotor_tracking import PERIOD_S

LOST_M = 1.0
FAR_M = 5.0
LAST_SECOND = slice(-round(1.0 / PERIOD_S), None)


def lost(flight: Flight) -> np.ndarray:
    """Which robots (num_envs,) got out of control.

    Out of control is who was ever farther than 5 m from the reference, or on average farther
    than 1 m from it over the last second.
    """
    distance = np.where(np.isfinite(flight.distance_m), flight.distance_m, np.inf)
    return (distance.max(0) > FAR_M) | (distance[LAST_SECOND].mean(0) > LOST_M)


def final_error_m(flight: Flight) -> np.ndarray:
    """Mean distance (num_envs,) to the reference over the last second."""
    return np.nan_to_num(flight.distance_m[LAST_SECOND].mean(0), nan=np.inf)


def rmse_m(flight: Flight) -> np.ndarray:
    """Root mean square distance (num_envs,) to the reference over the whole flight."""
    return np.sqrt(np.nan_to_num(np.square(flight.distance_m).mean(0), nan=np.inf))


def settling_time_s(flight: Flight, radius_m: float) -> np.ndarray:
    """Time (num_envs,) after which the distance stays below the radius; inf if it never does."""
    outside = ~(flight.distance_m <= radius_m)
    steps = len(outside) - np.argmax(outside[::-1], axis=0)
    steps = np.where(outside.any(0), steps, 0)
    return np.where(outside[-1], np.inf, steps * PERIOD_S)


def episode_return(flight: Flight) -> np.ndarray:
    """RAPTOR's return (num_envs,): the reward until termination, which costs 100."""
    before = ~flight.terminated
    first = flight.terminated.any(0)
    return np.where(before, flight.reward, 0.0).sum(0) - 100.0 * first


def hold_figures(flight: Flight) -> dict[str, Any]:
    """Figures of flights that should come to rest at the reference."""
    error = final_error_m(flight)
    figures: dict[str, Any] = {
        "terminated": flight.terminated[-1].mean(),
        "lost": lost(flight).mean(),
        "final_error_median_m": np.median(error),
        "final_error_p90_m": np.quantile(error, 0.9),
        "final_error_mean_of_survivors_m": error[~flight.terminated[-1]].mean()
        if not flight.terminated[-1].all()
        else np.inf,
        "return": episode_return(flight).mean(),
        "action_change": flight.action_change[LAST_SECOND].mean(),
    }
    for radius in (0.1, 0.2):
        time = settling_time_s(flight, radius)
        settled = np.isfinite(time)
        figures[f"settled_{radius}m"] = settled.mean()
        figures[f"settling_time_{radius}m_median_s"] = (
            np.median(time[settled]) if settled.any() else np.inf
        )
    return plain(figures)


def tracking_figures(flight: Flight) -> dict[str, Any]:
    """Figures of flights along a moving reference."""
    return plain({"rmse_median_m": np.median(rmse_m(flight)), "lost": lost(flight).mean()})


def by_band(flight: Flight, quantity: np.ndarray, edges: tuple[float, ...]) -> list[dict[str, Any]]:
    """Figures of the robots whose quantity (num_envs,) lies between consecutive edges."""
    bands = []
    for low, high in pairwise(edges):
        inside = (quantity >= low) & (quantity < high)
        figures: dict[str, Any] = {"low": low, "high": high, "robots": int(inside.sum())}
        if inside.any():
            figures |= {
                "terminated": flight.terminated[-1][inside].mean(),
                "lost": lost(flight)[inside].mean(),
                "final_error_median_m": np.median(final_error_m(flight)[inside]),
            }
        bands.append(plain(figures))
    return bands


def plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Python numbers with five significant digits; None for what never happened (infinite)."""

    def number(value: Any) -> Any:
        if isinstance(value, int):
            return value
        return float(f"{value:.5g}") if np.isfinite(value) else None

    return {name: number(value) for name, value in figures.items()}
