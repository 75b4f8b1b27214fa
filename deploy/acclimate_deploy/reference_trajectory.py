"""A reference that knows its future: points in time, and the curve between them."""

import numpy as np

from acclimate_contract import PREVIEW_TIMES_S, ContractError
from acclimate_deploy.multirotor_signals import Reference

MAX_LEAD_S = 10.0
"""A trajectory that begins later than this was stamped by another clock."""

_LOOK_S = np.array((0.0, *PREVIEW_TIMES_S))


class ReferenceTrajectory:
    """Where a multirotor should be from a first point to a last one; at rest before and after.

    With velocities, the curve between two points is the cubic that meets both positions and both
    velocities; without, it is the straight line. Headings turn the short way at a constant rate.

    Args:
        start_s: Time that `time_s` counts from, on the clock of whoever asks.
        time_s: (n,) when each point is due; n is at least 2.
        position: (n, 3) m, world.
        linear_velocity: (n, 3) m/s, world; None for straight lines.
        heading_rad: (n,) angle of the body's x axis about world z; None for zero.

    Raises:
        ContractError: There are too few points, their times do not grow, or a number is not
            finite or too large to compute with.
    """

    def __init__(
        self,
        *,
        start_s: float,
        time_s: np.ndarray,
        position: np.ndarray,
        linear_velocity: np.ndarray | None = None,
        heading_rad: np.ndarray | None = None,
    ) -> None:
        heading_rad = np.zeros(len(time_s)) if heading_rad is None else heading_rad
        _check(time_s, position, linear_velocity, heading_rad)
        with np.errstate(all="ignore"):  # what is not finite is refused below
            turn_rad = np.unwrap(heading_rad)
            coefficients = _coefficients(time_s, position, linear_velocity)
        if not all(np.isfinite(part).all() for part in (start_s, time_s, coefficients, turn_rad)):
            raise ContractError(
                "a reference trajectory holds numbers that are not finite or too large, and a "
                "robot cannot fly to them. Fix: check the planner that made it."
            )
        self._start_s = start_s
        self._time_s = time_s
        self._coefficients = coefficients
        self._turn_rad = turn_rad

    @property
    def end_s(self) -> float:
        """When the last point is due."""
        return self._start_s + float(self._time_s[-1])

    def reference(self, time_s: float) -> Reference:
        """Where to be at a time, and the preview from there."""
        elapsed_s = time_s - self._start_s
        due_s = np.clip(elapsed_s + _LOOK_S, self._time_s[0], self._time_s[-1])
        segment = np.searchsorted(self._time_s[1:-1], due_s, side="right")
        u = (due_s - self._time_s[segment])[:, None]
        cubic, square, linear, constant = self._coefficients[:, segment]  # each (5, 3)
        position = ((cubic * u + square) * u + linear) * u + constant
        velocity = (3.0 * cubic[0] * u[0] + 2.0 * square[0]) * u[0] + linear[0]
        moves = self._time_s[0] <= elapsed_s < self._time_s[-1]
        return Reference(
            position=position[0],
            linear_velocity=velocity if moves else np.zeros(3),
            heading_rad=float(np.interp(due_s[0], self._time_s, self._turn_rad)),
            preview=position[1:] - position[0],
        )

    def untimely(self, now_s: float) -> str:
        """Why it does not belong to the present; empty if it does."""
        lead_s = self._start_s + float(self._time_s[0]) - now_s
        if lead_s > MAX_LEAD_S:
            return f"begins in {lead_s:.3g} s, later than the {MAX_LEAD_S:g} s allowed"
        if now_s > self.end_s:
            return f"ended {now_s - self.end_s:.3g} s ago"
        return ""


def _check(
    time_s: np.ndarray,
    position: np.ndarray,
    linear_velocity: np.ndarray | None,
    heading_rad: np.ndarray,
) -> None:
    count = len(time_s)
    if count < 2 or not (np.diff(time_s) > 0.0).all():
        raise ContractError(
            f"a reference trajectory has {count} points, and needs two or more whose times grow "
            "from one to the next. Fix: set every time_from_start; send a single point as a "
            "reference."
        )
    found = (position.shape, heading_rad.shape)
    velocity = (count, 3) if linear_velocity is None else linear_velocity.shape
    if found != ((count, 3), (count,)) or velocity != (count, 3):
        raise ContractError(
            f"a reference trajectory of {count} points has position {found[0]}, velocity "
            f"{velocity} and heading {found[1]}, and needs ({count}, 3), ({count}, 3) and "
            f"({count},). Fix: give every point each of them once."
        )


def _coefficients(
    time_s: np.ndarray, position: np.ndarray, linear_velocity: np.ndarray | None
) -> np.ndarray:
    """(4, n - 1, 3): factors of u^3, u^2, u and 1, where u is the time since a segment's start."""
    span_s = np.diff(time_s)[:, None]
    slope = np.diff(position, axis=0) / span_s
    start, end = slope, slope
    if linear_velocity is not None:
        start, end = linear_velocity[:-1], linear_velocity[1:]
    cubic = (start + end - 2.0 * slope) / span_s**2
    square = (3.0 * slope - 2.0 * start - end) / span_s
    return np.stack((cubic, square, start, position[:-1]))
