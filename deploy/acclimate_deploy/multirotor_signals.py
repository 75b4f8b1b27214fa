"""From what a multirotor measures, and what it should do, to the signals a policy reads."""

from dataclasses import dataclass, field
from math import cos, inf, isfinite, nan, sin, sqrt

import numpy as np

from acclimate_contract import (
    PREVIEW_TIMES_S,
    PREVIOUS_ACTION,
    QUADROTOR,
    REFERENCE_PREVIEW,
    TIME_STEP,
    ContractError,
    RobotFamily,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class MultirotorState:
    """One measurement of a multirotor. Values are taken as they come; the supervisor judges them.

    Attributes:
        position: (3,) m, world (ENU).
        orientation: (4,) quaternion w x y z, body (FLU) to world.
        linear_velocity: (3,) m/s, WORLD frame (`nav_msgs/Odometry` carries it in the body's).
        angular_velocity: (3,) rad/s, body frame.
        stamp_s: When it was measured, on the clock of whoever judges its age.
    """

    position: np.ndarray
    orientation: np.ndarray
    linear_velocity: np.ndarray
    angular_velocity: np.ndarray
    stamp_s: float

    def __post_init__(self) -> None:
        for name, size in (
            ("position", 3),
            ("orientation", 4),
            ("linear_velocity", 3),
            ("angular_velocity", 3),
        ):
            if getattr(self, name).shape != (size,):
                raise ContractError(
                    f"quadrotor state: {name} has shape {getattr(self, name).shape} and should "
                    f"have ({size},). Fix: convert the message before building the state."
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Where a multirotor should be, and where it goes from there.

    Attributes:
        position: (3,) m, world.
        linear_velocity: (3,) m/s, world.
        heading_rad: Angle of the body's x axis about world z.
        preview: (4, 3) m, world: positions `PREVIEW_TIMES_S` ahead minus `position`; zeros where
            the future is unknown.
    """

    position: np.ndarray
    linear_velocity: np.ndarray
    heading_rad: float = 0.0
    preview: np.ndarray = field(default_factory=lambda: np.zeros((len(PREVIEW_TIMES_S), 3)))


class SignalBuilder:
    """Fills a multirotor family's signals into buffers made once.

    A policy holds heading zero, so everything in the world frame is turned by minus the reference
    heading. The quaternion is normalised and its sign chosen with w >= 0, so that one attitude is
    always one value. Nothing is clipped here: the policy's graph does that.
    """

    def __init__(self, family: RobotFamily = QUADROTOR) -> None:
        self._signals = {s.name: np.zeros(s.shape, dtype=np.float32) for s in family.signals}
        self._difference = np.zeros(3)

    def fill(
        self,
        state: MultirotorState,
        reference: Reference,
        previous_action: np.ndarray,
        dt_s: float,
    ) -> dict[str, np.ndarray]:
        """Compute all signals.

        Args:
            state: What the robot measured.
            reference: Where it should be.
            previous_action: (num_motors,) in [-1, 1], what was really applied since the last call.
            dt_s: Time since the last call, in seconds.

        Returns:
            Signal name -> value; the same dictionary and arrays at every call. An orientation
            that is no rotation (all zero, not finite) becomes NaN, which the runtime answers with
            NaN and the supervisor with a trip.
        """
        signals = self._signals
        heading_rad = reference.heading_rad if isfinite(reference.heading_rad) else nan
        c, s = cos(heading_rad), sin(heading_rad)
        np.subtract(state.position, reference.position, out=self._difference)
        _turn(self._difference, c, s, signals["position_error"])
        np.subtract(state.linear_velocity, reference.linear_velocity, out=self._difference)
        _turn(self._difference, c, s, signals["linear_velocity_error"])
        _relative_orientation(state.orientation, heading_rad, signals["orientation"])
        for ahead, out in zip(reference.preview, signals[REFERENCE_PREVIEW], strict=True):
            _turn(ahead, c, s, out)
        signals["angular_velocity"][:] = state.angular_velocity
        signals[PREVIOUS_ACTION][:] = previous_action
        signals[TIME_STEP][0] = dt_s
        return signals


def _turn(vec_world: np.ndarray, c: float, s: float, out: np.ndarray) -> None:
    """Turn (3,) by minus the angle with cosine `c` and sine `s` about world z, into `out`."""
    x, y, z = vec_world.tolist()
    out[0] = c * x + s * y
    out[1] = c * y - s * x
    out[2] = z


def _relative_orientation(quat: np.ndarray, heading_rad: float, out: np.ndarray) -> None:
    """Turn a quaternion by minus the heading about world z, normalise it, choose w >= 0."""
    w, x, y, z = quat.tolist()
    norm = sqrt(w * w + x * x + y * y + z * z)
    if not 0.0 < norm < inf:
        out.fill(nan)
        return
    c, s = cos(0.5 * heading_rad) / norm, sin(0.5 * heading_rad) / norm
    turned_w = c * w + s * z
    if turned_w < 0.0:
        c, s, turned_w = -c, -s, -turned_w
    out[0] = turned_w
    out[1] = c * x + s * y
    out[2] = c * y - s * x
    out[3] = c * z - s * w
