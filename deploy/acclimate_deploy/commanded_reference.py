"""Which of the commanded references counts now."""

import numpy as np

from acclimate_deploy.multirotor_signals import MultirotorState, Reference
from acclimate_deploy.reference_trajectory import ReferenceTrajectory
from acclimate_deploy.rotations import heading


class CommandedReference:
    """Keeps what was commanded and says where to be: the last word counts.

    A single reference counts for `timeout_s`; its future is unknown. A trajectory counts until
    another word comes, and the robot rests at its last point. Where nothing counts, the robot
    holds the pose at which that began. Who sends both kinds side by side means the trajectory,
    which says more: a single reference replaces it only `timeout_s` after the last trajectory.

    Arguments named `now_s` are on a monotonic clock, `stamp_s` on the clock of the odometry.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._single: Reference | None = None
        self._single_came_s = -np.inf
        self._trajectory: ReferenceTrajectory | None = None
        self._trajectory_came_s = -np.inf
        self._hold: Reference | None = None

    def command(self, reference: Reference, now_s: float) -> None:
        """Take a single reference."""
        self._single = reference
        self._single_came_s = now_s
        if now_s - self._trajectory_came_s > self._timeout_s:
            self._trajectory = None

    def command_trajectory(self, trajectory: ReferenceTrajectory, now_s: float) -> None:
        """Take a trajectory."""
        self._trajectory = trajectory
        self._trajectory_came_s = now_s

    def current(self, state: MultirotorState, now_s: float) -> Reference:
        """Where the robot should be at the moment it was measured."""
        if self._trajectory is not None:
            self._hold = None
            return self._trajectory.reference(state.stamp_s)
        if self._single is not None and now_s - self._single_came_s <= self._timeout_s:
            self._hold = None
            return self._single
        if self._hold is None and np.isfinite(state.position).all():
            self._hold = Reference(
                position=state.position.copy(),
                linear_velocity=np.zeros(3),
                heading_rad=float(heading(state.orientation)),
            )
        return self._hold or Reference(position=np.zeros(3), linear_velocity=np.zeros(3))

    def forget(self, stamp_s: float) -> None:
        """Drop the held pose, and a trajectory of an earlier flight or of another clock."""
        self._hold = None
        if self._trajectory is not None and self._trajectory.untimely(stamp_s):
            self._trajectory = None
