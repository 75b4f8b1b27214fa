"""Run a policy: one robot in a control loop that allocates nothing, or a batch for evaluation."""

from collections.abc import Mapping
from math import inf
from typing import NoReturn

import numpy as np
import onnxruntime as ort

from acclimate_contract import ACTION_OUTPUT, PREVIOUS_ACTION, TIME_STEP, ContractError, Manifest
from acclimate_deploy.policy import Policy, initial_memory

_WARM_UP_STEPS = 20  # the first runs of a session are several times slower than the rest


class PolicyRuntime:
    """One policy on one robot, called at any rate.

    The memory advances at the manifest's nominal rate, at the call nearest to each period's end.
    Calls in between answer from the memory as it is and leave it alone, so a policy trained at
    100 Hz keeps its sense of time at 200 Hz or 500 Hz and still reacts to the newest signals.
    Those signals are fed as they are; `previous_action` is fed as its mean over the time since
    the last advance, weighted by `dt_s`, because the policy knows what one *period* of it does.

    All buffers are made here, once. Not for use from two threads.
    """

    def __init__(self, policy: Policy) -> None:
        manifest = policy.manifest
        self._manifest = manifest
        self._session = policy.session
        self._period_s = manifest.rate.period_s
        self._vocabulary = frozenset(signal.name for signal in manifest.family.signals)

        # One block holds every signal, so that one call tells whether all are finite.
        sizes = [int(np.prod(signal.shape)) for signal in manifest.signals]
        self._block = np.zeros(sum(sizes), dtype=np.float32)
        self._finite = np.zeros(sum(sizes), dtype=bool)
        parts = np.split(self._block, np.cumsum(sizes)[:-1])
        self._inputs = {
            signal.name: part.reshape(1, *signal.shape)
            for signal, part in zip(manifest.signals, parts, strict=True)
        }
        self._targets = tuple(
            (signal.name, signal.shape, self._inputs[signal.name][0])
            for signal in manifest.signals
            if signal.name != TIME_STEP
        )
        self._time_step = self._inputs.get(TIME_STEP)

        previous = self._inputs.get(PREVIOUS_ACTION)
        self._previous = None if previous is None else previous[0]
        self._weighted = np.zeros(len(manifest.action.channels))  # sum of action times seconds
        self._scaled = np.zeros_like(self._weighted)

        self._action = np.zeros((1, len(manifest.action.channels)), dtype=np.float32)
        self._answer = self._action[0]
        self._answer.flags.writeable = False

        # Two memories take turns: the graph reads one and writes the other; advancing swaps them.
        self._memories = (initial_memory(manifest, batch=1), initial_memory(manifest, batch=1))
        self._bindings = (self._bind(0), self._bind(1))
        for _ in range(_WARM_UP_STEPS):
            self._session.run_with_iobinding(self._bindings[0])
        self.reset()

    def reset(self) -> None:
        """Forget the robot: memory to its initial value; the next step advances it."""
        self._current = 0
        for spec in self._manifest.memory:
            self._memories[0][spec.input][0] = spec.initial
        self._fresh = True
        self._since_advance_s = 0.0
        self._start_period(self._period_s)

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """Copy of the memory, graph input name -> (*memory shape,), float32."""
        return {name: value[0].copy() for name, value in self._memories[self._current].items()}

    def step(self, signals: Mapping[str, np.ndarray], dt_s: float) -> np.ndarray:
        """Answer the newest signals.

        Args:
            signals: Name -> one robot's value, in the contract's unit and frame. Signals of the
                family that this policy does not read are ignored; `time_step` is measured here.
            dt_s: Time since the previous call, in seconds. Zero marks a duplicate, which never
                advances the memory. Irrelevant at the first step after a reset.

        Returns:
            (num_channels,) float32, a read-only view that the next step overwrites. NaN if a
            signal is not finite: the memory is then left alone, so that one bad message does not
            poison every later answer.

        Raises:
            ContractError: A signal is missing, unknown or of another shape, or `dt_s` is negative
                or not finite. The runtime is unchanged.
        """
        if not 0.0 <= dt_s < inf:
            raise ContractError(
                f"the runtime was stepped by {dt_s} s. Time must not run backwards or stop "
                "making sense. Fix: reset the runtime when the clock jumps."
            )
        self._fill(signals)
        advance = self._advances(dt_s)
        np.isfinite(self._block, self._finite)
        if not self._finite.all():
            self._action.fill(np.nan)
            return self._answer
        if self._previous is not None and not self._fresh:
            self._average_previous_action(dt_s)
        if self._time_step is not None:
            self._time_step.fill(self._since_advance_s or self._period_s)
        self._session.run_with_iobinding(self._bindings[self._current])
        if advance:
            self._advance()
        return self._answer

    def _fill(self, signals: Mapping[str, np.ndarray]) -> None:
        try:
            for name, shape, target in self._targets:
                value = signals[name]
                if value.shape != shape:
                    break
                target[...] = value
            else:
                if len(signals) == len(self._targets) or signals.keys() <= self._vocabulary:
                    return
        except (KeyError, AttributeError, TypeError, ValueError):
            pass  # found again below, where there is time for words
        _refuse(self._manifest, signals)

    def _advances(self, dt_s: float) -> bool:
        """Account for `dt_s` and say whether this call is the one nearest to the period's end."""
        if self._fresh:
            return True
        self._since_advance_s += dt_s
        self._due_s -= dt_s
        return dt_s > 0.0 and self._due_s <= 0.5 * dt_s

    def _average_previous_action(self, dt_s: float) -> None:
        """Replace `previous_action` by its mean since the last advance, in place."""
        assert self._previous is not None
        np.multiply(self._previous, dt_s, out=self._scaled)
        self._weighted += self._scaled
        self._weight_s += dt_s
        if self._weight_s > dt_s:  # else it is the first of its period and its own mean
            np.divide(self._weighted, self._weight_s, out=self._scaled)
            self._previous[...] = self._scaled

    def _advance(self) -> None:
        self._current = 1 - self._current
        if self._fresh:
            self._fresh = False
            self._start_period(self._period_s)
        else:
            # The remainder is carried over, so that 250 Hz advances 100 times a second; at most
            # half a period of it, so that a stall is not followed by a burst.
            self._start_period(max(self._due_s + self._period_s, 0.5 * self._period_s))
        self._since_advance_s = 0.0

    def _start_period(self, due_s: float) -> None:
        self._due_s = due_s
        self._weighted.fill(0.0)
        self._weight_s = 0.0

    def _bind(self, source: int) -> ort.IOBinding:
        binding = self._session.io_binding()
        for name, buffer in {**self._inputs, **self._memories[source]}.items():
            binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        outputs = {
            spec.output: self._memories[1 - source][spec.input] for spec in self._manifest.memory
        }
        for name, buffer in {ACTION_OUTPUT: self._action, **outputs}.items():
            binding.bind_output(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        return binding


class BatchRunner:
    """Many robots at once, every call one advance of the memory: for evaluation, not for flight."""

    def __init__(self, policy: Policy, batch: int) -> None:
        self._manifest = policy.manifest
        self._session = policy.session
        self._batch = batch
        self._outputs = [ACTION_OUTPUT, *(m.output for m in policy.manifest.memory)]
        self.reset()

    def reset(self, mask: np.ndarray | None = None) -> None:
        """Forget robots.

        Args:
            mask: (batch,) bool, true for the robots to forget; None forgets all.
        """
        fresh = initial_memory(self._manifest, self._batch)
        if mask is None:
            self._memory = fresh
            return
        for name, value in self._memory.items():
            value[mask] = fresh[name][mask]

    @property
    def memory(self) -> dict[str, np.ndarray]:
        """Copy of the memory, graph input name -> (batch, *memory shape), float32.

        It can be set, in the same form, to find out what a policy does with it.

        Raises:
            ContractError: On setting, a tensor is missing, unknown or of another shape.
        """
        return {name: value.copy() for name, value in self._memory.items()}

    @memory.setter
    def memory(self, memory: Mapping[str, np.ndarray]) -> None:
        expected = {name: value.shape for name, value in self._memory.items()}
        given = {name: np.shape(value) for name, value in memory.items()}
        if given != expected:
            raise ContractError(
                f"policy '{self._manifest.name}' cannot take the memory {given}: its graph reads "
                f"{expected}. Fix: set what this property returned for as many robots."
            )
        self._memory = {name: np.array(memory[name], dtype=np.float32) for name in expected}

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer one period of every robot.

        Args:
            signals: Name -> (batch, *signal shape). `time_step` may be left out: it is then the
                nominal period.

        Returns:
            (batch, num_channels) float32.

        Raises:
            ContractError: A signal is missing, unknown or of another shape.
        """
        if TIME_STEP not in signals:
            period = np.full((self._batch, 1), self._manifest.rate.period_s, dtype=np.float32)
            signals = {**signals, TIME_STEP: period}
        if _problem(self._manifest, signals, (self._batch,)):
            _refuse(self._manifest, signals, (self._batch,))
        feed = {
            s.name: np.ascontiguousarray(signals[s.name], dtype=np.float32)
            for s in self._manifest.signals
        }
        action, *memory = self._session.run(self._outputs, {**feed, **self._memory})
        names = [spec.input for spec in self._manifest.memory]
        self._memory = {n: np.asarray(value) for n, value in zip(names, memory, strict=True)}
        return np.asarray(action)


def _refuse(
    manifest: Manifest, signals: Mapping[str, np.ndarray], batch: tuple[int, ...] = ()
) -> NoReturn:
    raise ContractError(
        f"policy '{manifest.name}' cannot use these signals: {_problem(manifest, signals, batch)}. "
        f"It reads { {s.name: (*batch, *s.shape) for s in manifest.signals} }. "
        "Fix: fill every signal it reads with numbers of that shape, by these names."
    )


def _problem(
    manifest: Manifest, signals: Mapping[str, np.ndarray], batch: tuple[int, ...]
) -> str | None:
    """First thing wrong with the signals, in words; None if nothing is."""
    for signal in manifest.signals:
        shape = (*batch, *signal.shape)
        if signal.name not in signals:
            if signal.name != TIME_STEP:
                return f"signal {signal.name!r} is missing"
            continue
        value = signals[signal.name]
        if not isinstance(value, np.ndarray):
            return f"signal {signal.name!r} is a {type(value).__name__} and not a numpy array"
        if value.shape != shape:
            return f"signal {signal.name!r} has shape {value.shape} and should have {shape}"
        if value.dtype.kind not in "fiu":
            return f"signal {signal.name!r} holds {value.dtype} and not numbers"
    known = {signal.name for signal in manifest.family.signals}
    if unknown := sorted(set(signals) - known):
        return f"a {manifest.family.name} has no signals {unknown}"
    return None
