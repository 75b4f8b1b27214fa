"""The plan of a short flight: where the robot should be at each moment, and what happens when.

Plain numpy, no ROS. Phases: take-off, hover, figure eight with a payload in the middle, return,
land. A plan starts where the robot stands and flies along its heading.
"""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np

from acclimate_contract import ConfigError
from acclimate_deploy.multirotor_signals import Reference

MIN_DURATION_S = 8.0
MAX_DURATION_S = 600.0

TAKE_OFF = "take-off"
HOVER = "hover"
FIGURE_EIGHT = "figure eight"
RETURN = "return"
LAND = "land"

# Parts of the flight; a long flight spends what is left on the figure eight.
_PARTS = {TAKE_OFF: 0.15, HOVER: 0.12, FIGURE_EIGHT: 0.45, RETURN: 0.08, LAND: 0.20}
_LONGEST_S = {TAKE_OFF: 4.0, HOVER: 5.0, RETURN: 3.0, LAND: 6.0}
_LOOP_S = 9.0
_RAMP = 0.2  # part of the figure eight spent on getting up to speed, and again on slowing down
_BELOW_FLOOR_M = 0.15  # the landing aims below the floor and then sinks on, so that no steady
_SINK_M_S = 0.1  # error of the policy can keep the robot hovering above it


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a plan."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class FlightPlan:
    """A reference trajectory with named phases.

    Attributes:
        duration_s: From take-off to touchdown.
        origin: (3,) m, world: where the robot stands.
        heading_rad: Heading it stands with; kept all the way, and the figure eight's long axis.
        height_m: Flight height above the origin.
        amplitude_m: Half length of the figure eight; smaller where it would be too fast.
        max_speed_m_s: Speed the figure eight stays under.
    """

    duration_s: float
    origin: np.ndarray
    heading_rad: float = 0.0
    height_m: float = 1.0
    amplitude_m: float = 1.0
    max_speed_m_s: float = 1.5

    def __post_init__(self) -> None:
        check_duration(self.duration_s)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases in order, without gaps."""
        lengths = {
            name: min(part * self.duration_s, _LONGEST_S.get(name, self.duration_s))
            for name, part in _PARTS.items()
        }
        lengths[FIGURE_EIGHT] += self.duration_s - sum(lengths.values())
        ends = np.cumsum(list(lengths.values()))
        return tuple(
            Phase(name=name, start_s=float(end - length), end_s=float(end))
            for (name, length), end in zip(lengths.items(), ends, strict=True)
        )

    def phase(self, time_s: float) -> Phase:
        """Phase at a time since take-off; before it the first, after the end the last."""
        phases = self.phases
        return next((phase for phase in phases if time_s < phase.end_s), phases[-1])

    @property
    def payload_s(self) -> float:
        """When the payload is attached: in the middle of the figure eight."""
        eight = self.phases[2]
        return 0.5 * (eight.start_s + eight.end_s)

    def reference(self, time_s: float) -> Reference:
        """Where to be at a time since take-off; from rest to rest, then sinking slowly on."""
        phase = self.phase(time_s)
        position, velocity = np.zeros(3), np.zeros(3)
        elapsed_s = min(max(time_s - phase.start_s, 0.0), phase.end_s - phase.start_s)
        share = elapsed_s / (phase.end_s - phase.start_s)
        rate = 1.0 / (phase.end_s - phase.start_s)
        position[2] = self.height_m
        if phase.name == TAKE_OFF:
            rise, speed = _smooth(share)
            position[2], velocity[2] = self.height_m * rise, self.height_m * speed * rate
        elif phase.name == FIGURE_EIGHT:
            position[:2], velocity[:2] = self._eight(phase, elapsed_s)
        elif phase.name == LAND:
            fall, speed = _settling(share)
            drop_m = self.height_m + _BELOW_FLOOR_M
            late_s = max(0.0, time_s - phase.end_s)
            position[2] -= drop_m * fall + _SINK_M_S * late_s
            velocity[2] = -drop_m * speed * rate if late_s == 0.0 else -_SINK_M_S
        return Reference(
            position=self.origin + _turn(position, self.heading_rad),
            linear_velocity=_turn(velocity, self.heading_rad),
            heading_rad=self.heading_rad,
        )

    def _eight(self, phase: Phase, elapsed_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity (2,) on x = sin, y = 0.5 sin 2, from rest to rest."""
        length_s = phase.end_s - phase.start_s
        total_rad = 2.0 * pi * max(1, round(length_s / _LOOP_S))
        cruise_rad_s = total_rad / (length_s * (1.0 - _RAMP))
        angle, rate = _ramped(elapsed_s, length_s, cruise_rad_s)
        # The curve is fastest in its crossing, where both axes move at `rate` times amplitude.
        amplitude_m = min(self.amplitude_m, self.max_speed_m_s / (sqrt(2.0) * cruise_rad_s))
        position = amplitude_m * np.array([sin(angle), 0.5 * sin(2.0 * angle)])
        velocity = amplitude_m * rate * np.array([cos(angle), cos(2.0 * angle)])
        return position, velocity


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """Straight down from where the robot is: how an interrupted flight ends.

    Attributes:
        start: Reference at the moment of interruption.
        floor_m: Height of the floor, world z.
        speed_m_s: Speed of the descent.
    """

    start: Reference
    floor_m: float
    speed_m_s: float = 0.5

    @property
    def duration_s(self) -> float:
        """Time until the reference is below the floor, sinking on slowly."""
        height_m = float(self.start.position[2]) - self.floor_m + _BELOW_FLOOR_M
        return max(height_m, 0.1) / self.speed_m_s

    def reference(self, time_s: float) -> Reference:
        """Where to be at a time since the interruption."""
        late_s = max(0.0, time_s - self.duration_s)
        down_m = self.speed_m_s * min(time_s, self.duration_s) + _SINK_M_S * late_s
        speed_m_s = self.speed_m_s if late_s == 0.0 else _SINK_M_S
        return Reference(
            position=self.start.position - np.array([0.0, 0.0, down_m]),
            linear_velocity=np.array([0.0, 0.0, -speed_m_s]),
            heading_rad=self.start.heading_rad,
        )


def check_duration(duration_s: float) -> None:
    """Refuse a flight that cannot be flown in the time.

    Raises:
        ConfigError: Too short for every phase, or longer than a field test should be.
    """
    if not MIN_DURATION_S <= duration_s <= MAX_DURATION_S:
        raise ConfigError(
            f"a flight of {duration_s:g} s is not possible: take-off, figure eight and landing "
            f"need at least {MIN_DURATION_S:g} s, and {MAX_DURATION_S:g} s is the longest. "
            "Fix: choose a duration in between."
        )


def _smooth(share: float) -> tuple[float, float]:
    """Value and slope of the polynomial 3 s^2 - 2 s^3: from rest to rest, 0 to 1."""
    return share * share * (3.0 - 2.0 * share), 6.0 * share * (1.0 - share)


def _settling(share: float) -> tuple[float, float]:
    """Value and slope of 1 - (1 - s)^3 (1 + 3 s): from rest to rest, with a long, slow end."""
    left = 1.0 - share
    return 1.0 - left**3 * (1.0 + 3.0 * share), 12.0 * share * left**2


def _ramped(elapsed_s: float, length_s: float, cruise_rad_s: float) -> tuple[float, float]:
    """Angle and its rate when the rate ramps up linearly, cruises, and ramps down again."""
    ramp_s = _RAMP * length_s
    if elapsed_s < ramp_s:
        rate = cruise_rad_s * elapsed_s / ramp_s
        return 0.5 * rate * elapsed_s, rate
    if elapsed_s <= length_s - ramp_s:
        return cruise_rad_s * (elapsed_s - 0.5 * ramp_s), cruise_rad_s
    left_s = length_s - elapsed_s
    rate = cruise_rad_s * left_s / ramp_s
    return cruise_rad_s * (length_s - ramp_s) - 0.5 * rate * left_s, rate


def _turn(vector: np.ndarray, heading_rad: float) -> np.ndarray:
    """Turn (3,) about world z."""
    c, s = cos(heading_rad), sin(heading_rad)
    x, y, z = vector
    return np.array([c * x - s * y, s * x + c * y, z])
