"""Tells when a landing robot stands on the floor. Plain Python, no ROS."""

from dataclasses import dataclass

import numpy as np

from acclimate_deploy.multirotor_signals import MultirotorState


@dataclass(kw_only=True)
class TouchdownDetector:
    """Low and still for a while means landed.

    Attributes:
        floor_m: Height at which the robot stood before take-off, world z.
        height_m: Still counts as on the floor up to this height above it.
        speed_m_s: Still counts as not moving up to this speed.
        dwell_s: How long both must hold.
    """

    floor_m: float
    height_m: float = 0.08
    speed_m_s: float = 0.1
    dwell_s: float = 0.3
    _since_s: float | None = None

    def update(self, state: MultirotorState) -> bool:
        """Take one state; true once the robot has landed."""
        low = float(state.position[2]) - self.floor_m <= self.height_m
        still = float(np.linalg.norm(state.linear_velocity)) <= self.speed_m_s
        if not (low and still):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = state.stamp_s
        return state.stamp_s - self._since_s >= self.dwell_s
