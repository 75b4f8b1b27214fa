"""Flying a policy of one period at any rate: when its memory advances, what it is told between.

Between two advances a policy answers the newest signals from the memory as it is, and its previous
action is the mean of all since the last advance. What counts as the moment to advance is the only
thing in which the rules differ.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from acclimate_contract import PREVIOUS_ACTION, TIME_STEP
from acclimate_training.evaluation.pilots import Pilot
from acclimate_training.problems.multirotor_tracking import PERIOD_S


class Clock(Protocol):
    """Says when a memory advances."""

    def reset(self) -> None:
        """Start anew; the first call advances."""
        ...

    def advances(self, dt_s: float) -> bool:
        """Whether this call, `dt_s` after the one before, is one that advances."""
        ...

    def weight(self, dt_s: float) -> float:
        """Of the action before this call in the mean since the last advance."""
        ...


class NearestToThePeriod:
    """The rule of `acclimate_deploy.runtime.PolicyRuntime`: the call nearest to the period's end.

    At most half a period is carried over, so that a stall is not followed by a burst.
    """

    def reset(self) -> None:
        """Start anew; the first call advances."""
        self._fresh = True
        self._due_s = PERIOD_S

    def advances(self, dt_s: float) -> bool:
        """Whether no later call comes nearer to the period's end."""
        if self._fresh:
            self._fresh = False
            return True
        self._due_s -= dt_s
        if self._due_s > 0.5 * dt_s:
            return False
        self._due_s = max(self._due_s + PERIOD_S, 0.5 * PERIOD_S)
        return True

    def weight(self, dt_s: float) -> float:
        """Actions count for as long as they lasted."""
        return dt_s


class EveryNthCall:
    """RAPTOR's rule: count calls, whatever time passed (Eschmann et al. 2025, released code)."""

    def __init__(self, calls: int) -> None:
        self._calls = calls

    def reset(self) -> None:
        """Start anew; the first call advances."""
        self._count = -1

    def advances(self, dt_s: float) -> bool:
        """Whether the number of calls since the last advance is full."""
        del dt_s
        self._count = (self._count + 1) % self._calls
        return self._count == 0

    def weight(self, dt_s: float) -> float:
        """Actions count alike."""
        del dt_s
        return 1.0


def nearest_to_the_period(rate_hz: float) -> Clock:
    """The clock of policies that our runtime flies; it measures the rate by itself."""
    del rate_hz
    return NearestToThePeriod()


def every_nth_call(rate_hz: float) -> Clock:
    """RAPTOR's clock at a nominal rate; below 100 Hz every call advances."""
    return EveryNthCall(max(1, round(rate_hz * PERIOD_S)))


CLOCKS: dict[str, Callable[[float], Clock]] = {"raptor": every_nth_call}
"""Rules of published peers, by name."""


class MultiRatePilot:
    """A pilot that may be called at any rate; the time since the last call is `time_step`."""

    def __init__(self, pilot: Pilot, clock: Clock) -> None:
        self._pilot = pilot
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget every robot; the next call advances the memory."""
        self._pilot.reset()
        self._clock.reset()
        self._since_advance_s = 0.0
        self._fresh = True
        self._start_period()

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Setpoints (num_envs, num_motors)."""
        dt_s = float(signals[TIME_STEP][0, 0])  # common to all robots
        self._since_advance_s += 0.0 if self._fresh else dt_s
        self._fresh = False
        weight = self._clock.weight(dt_s)
        self._weighted = self._weighted + weight * signals[PREVIOUS_ACTION].astype(np.float64)
        self._weight += weight
        told = {
            **signals,
            PREVIOUS_ACTION: (self._weighted / self._weight).astype(np.float32),
            TIME_STEP: np.full_like(signals[TIME_STEP], self._since_advance_s or PERIOD_S),
        }
        if self._clock.advances(dt_s):
            action = self._pilot.step(told)
            self._since_advance_s = 0.0
            self._start_period()
            return action
        kept = self._pilot.memory
        action = self._pilot.step(told)
        self._pilot.memory = kept
        return action

    @property
    def memory(self) -> np.ndarray:
        """Copy of what the pilot remembers, (num_envs, width) float32; can be set."""
        return self._pilot.memory

    @memory.setter
    def memory(self, memory: np.ndarray) -> None:
        self._pilot.memory = memory

    def _start_period(self) -> None:
        self._weighted: np.ndarray | float = 0.0
        self._weight = 0.0
