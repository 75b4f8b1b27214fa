"""Controls: the same weights with tampered memory or signals.

A policy that really adapts must fly worse under them, and a table that claims adaptation must
show by how much. Each control takes one control step of a pilot and does something to its memory
or to what it sees; `tampered` makes a pilot of it.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate_contract import PREVIOUS_ACTION
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.pilots import Pilot, PilotMaker
from acclimate_training.problems.multirotor_tracking import PERIOD_S

HISTORY_STEPS = round(0.5 / PERIOD_S)
"""How far back the controls of the history look."""

Signals = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One control step of a flight, as a control finds it.

    Attributes:
        step: Steps flown before this one.
        signals: What the pilot should see now, each (num_envs, k).
        history: What it saw in the last `HISTORY_STEPS` steps before, oldest first.
    """

    step: int
    signals: Signals
    history: Sequence[Signals]


Control = Callable[[Pilot, Moment], np.ndarray]
"""Steps a pilot once, in its own way: setpoints (num_envs, num_motors)."""


def memory_reset_every(period_s: float) -> Control:
    """Forget the robot once per period, the first time at the start."""
    steps = round(period_s / PERIOD_S)

    def control(pilot: Pilot, moment: Moment) -> np.ndarray:
        if moment.step % steps == 0:
            pilot.reset()
        return pilot.step(moment.signals)

    return control


def memory_frozen_after(time_s: float) -> Control:
    """Learn nothing any more from this time on; every later answer starts from the same memory."""
    steps = round(time_s / PERIOD_S)

    def control(pilot: Pilot, moment: Moment) -> np.ndarray:
        kept = pilot.memory
        action = pilot.step(moment.signals)
        if moment.step >= steps:
            pilot.memory = kept
        return action

    return control


def memory_of_another_robot(pilot: Pilot, moment: Moment) -> np.ndarray:
    """Answer from what the pilot remembers of another robot, always the same one.

    Every robot's own memory goes on from its own signals, so that what it lends is true of it.
    The lender is half a batch away: neighbours are often alike.
    """
    own = pilot.memory
    if len(own) < 2:
        raise EvaluationError(
            "one robot flies, and the control 'memory_of_another_robot' swaps memories between "
            "robots: it would change nothing. Fix: fly at least two."
        )
    pilot.step(moment.signals)
    advanced = pilot.memory
    pilot.memory = np.roll(own, len(own) // 2, axis=0)
    action = pilot.step(moment.signals)
    pilot.memory = advanced
    return action


def previous_action_zeroed(pilot: Pilot, moment: Moment) -> np.ndarray:
    """Hide what the motors were last told."""
    blank = np.zeros_like(moment.signals[PREVIOUS_ACTION])
    return pilot.step({**moment.signals, PREVIOUS_ACTION: blank})


def history_cut(pilot: Pilot, moment: Moment) -> np.ndarray:
    """Rebuild the memory, at every step, from nothing but the last half second.

    The fair reference for `history_shuffled`, which differs from it in the order alone.
    """
    pilot.reset()
    for past in moment.history:
        pilot.step(past)
    return pilot.step(moment.signals)


def history_shuffled(pilot: Pilot, moment: Moment) -> np.ndarray:
    """As `history_cut`, but each robot lives through its last half second in a wrong order.

    The order is drawn once per robot and then kept, so that the memory stays as smooth over time
    as the true one: a memory that is a plain average of what it saw loses nothing here.
    """
    pilot.reset()
    for past in _shuffled(moment.history):
        pilot.step(past)
    return pilot.step(moment.signals)


def _shuffled(history: Sequence[Signals]) -> list[Signals]:
    """The same steps in an order of its own for each robot, the same at every call."""
    if not history:
        return []
    envs = np.arange(len(history[0][PREVIOUS_ACTION]))
    order = np.random.default_rng(0).random((len(history), len(envs))).argsort(axis=0)
    stacked = {name: np.stack([past[name] for past in history]) for name in history[0]}
    return [{name: value[steps, envs] for name, value in stacked.items()} for steps in order]


CONTROLS: dict[str, Control] = {
    "memory_reset_every_step": memory_reset_every(PERIOD_S),
    "memory_reset_every_0.1s": memory_reset_every(0.1),
    "memory_reset_every_0.5s": memory_reset_every(0.5),
    "memory_frozen_after_1s": memory_frozen_after(1.0),
    "memory_of_another_robot": memory_of_another_robot,
    "previous_action_zeroed": previous_action_zeroed,
    "history_cut_to_0.5s": history_cut,
    "history_of_0.5s_shuffled": history_shuffled,
}
"""Controls by name, as they stand in an evaluation's record."""


class TamperedPilot:
    """A pilot under a control; its memory is that of the pilot inside."""

    def __init__(self, pilot: Pilot, control: Control) -> None:
        self._pilot = pilot
        self._control = control
        self._history: deque[Signals] = deque(maxlen=HISTORY_STEPS)
        self.reset()

    def reset(self) -> None:
        """Forget every robot and start the time of the control anew."""
        self._pilot.reset()
        self._history.clear()
        self._step = 0

    def step(self, signals: Signals) -> np.ndarray:
        """Setpoints (num_envs, num_motors)."""
        moment = Moment(step=self._step, signals=signals, history=tuple(self._history))
        action = self._control(self._pilot, moment)
        self._history.append(signals)
        self._step += 1
        return action

    @property
    def memory(self) -> np.ndarray:
        """Copy of what the pilot inside remembers, (num_envs, width) float32; can be set."""
        return self._pilot.memory

    @memory.setter
    def memory(self, memory: np.ndarray) -> None:
        self._pilot.memory = memory


def tampered(make_pilot: PilotMaker, control: Control) -> PilotMaker:
    """Builds the same pilot under a control of `CONTROLS`."""
    return lambda num_envs: TamperedPilot(make_pilot(num_envs), control)
