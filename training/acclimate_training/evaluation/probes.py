"""Probes: what a policy's memory knows about the robot it flies.

A probe is a small regression from the memory to a property of the robot. On its own it proves
little: the last setpoints alone already tell thrust-to-weight, and a memory may merely repeat
them. Every figure therefore stands beside the same probe on what the policy sees in that one step
and on its previous action alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate_contract import PREVIOUS_ACTION
from acclimate_sim.rotations import rotation_matrix
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.pilots import Pilot
from acclimate_training.problems.multirotor_tracking import PERIOD_S

PROBE_TIMES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)

TRAIN, VALIDATION = 0.5, 0.2
"""Shares of the robots that a probe learns from and is chosen by; the rest judges it."""

MIN_ROBOTS, MIN_APART = 200, 0.05
"""Fewer robots, or a smaller share that differs in the target, give no figures worth reading."""

RESAMPLES = 500
RIDGE_PENALTIES = tuple(10.0**k for k in range(-6, 3))
HIDDEN, MLP_STEPS, MLP_BATCH, MLP_RATE, CHECK_EVERY = 64, 300, 256, 1e-2, 15


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a pilot saw and remembered at some times of a flight.

    Attributes:
        times_s: (times,), since the start of the flight.
        memory: (times, num_envs, width), after the steps up to that time.
        observation: (times, num_envs, k), all signals of the last of these steps side by side,
            the orientation as a rotation matrix, which a linear probe can read.
        previous_action: (times, num_envs, num_motors), the part of it that says what the motors
            were told.
    """

    times_s: np.ndarray
    memory: np.ndarray
    observation: np.ndarray
    previous_action: np.ndarray


class Recorder:
    """A pilot that keeps a recording of its last flight; outermost if there is also a control."""

    def __init__(self, pilot: Pilot, times_s: tuple[float, ...] = PROBE_TIMES_S) -> None:
        self._pilot = pilot
        self._times_s = {max(1, round(time_s / PERIOD_S)): time_s for time_s in times_s}
        self.reset()

    def reset(self) -> None:
        """Forget every robot and start a new recording."""
        self._pilot.reset()
        self._steps = 0
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """Setpoints (num_envs, num_motors)."""
        action = self._pilot.step(signals)
        self._steps += 1
        if self._steps in self._times_s:
            previous = np.array(signals[PREVIOUS_ACTION])
            self._rows.append((self._pilot.memory, observation(signals), previous))
        return action

    @property
    def memory(self) -> np.ndarray:
        """Copy of what the pilot remembers, (num_envs, width) float32; can be set."""
        return self._pilot.memory

    @memory.setter
    def memory(self, memory: np.ndarray) -> None:
        self._pilot.memory = memory

    @property
    def recording(self) -> Recording:
        """The flight so far.

        Raises:
            EvaluationError: It ended before the last time to record.
        """
        if len(self._rows) < len(self._times_s):
            raise EvaluationError(
                f"the flight of {self._steps * PERIOD_S:g} s is shorter than the last time to "
                f"probe, {max(self._times_s.values()):g} s. Fix: fly longer or probe earlier."
            )
        memory, seen, previous = (np.stack(rows) for rows in zip(*self._rows, strict=True))
        return Recording(
            times_s=np.array([self._times_s[step] for step in sorted(self._times_s)]),
            memory=memory,
            observation=seen,
            previous_action=previous,
        )


def observation(signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """All signals side by side, (num_envs, k), the orientation as a rotation matrix."""
    rotation = rotation_matrix(torch.from_numpy(signals["orientation"])).numpy()
    parts = {**signals, "orientation": rotation}.values()
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def probe(
    recording: Recording,
    targets: Mapping[str, np.ndarray],
    *,
    flying: np.ndarray | None = None,
    kinds: Sequence[str] = ("linear", "mlp"),
    seed: int = 0,
) -> dict[str, Any]:
    """How well every target can be read from memory, observation and previous action over time.

    The coefficient of determination on robots that the probe has not learned from: one if they
    are told apart perfectly, zero if the probe knows no more than their mean, below zero if less.
    Its 95 % interval is a bootstrap over those robots; it leaves out that another draw of
    training robots would give another probe.

    Args:
        recording: Of one flight.
        targets: Name -> (num_envs,) or (num_envs, components); of several components the mean
            coefficient is given, over those that differ between robots.
        flying: (num_envs,) bool, the robots to use; a few that ran away would set every scale.
            None uses all. Robots with values that are not finite are left out in any case.
        kinds: Regressions to make, of `PROBES`.
        seed: Of the split of the robots, the probes' first weights and the bootstrap.

    Returns:
        Plain numbers: "times_s", "robots" used, and "r2": target -> kind -> input
        ("memory", "observation", "previous_action") -> {"r2", "low", "high"}, each a list over
        the times. A target that is the same for 95 % of the robots or more is None, and so is every
        target if there are fewer than 200 robots.
    """
    columns = {name: v.reshape(len(v), math.prod(v.shape[1:])) for name, v in targets.items()}
    inputs = {
        "memory": recording.memory,
        "observation": recording.observation,
        "previous_action": recording.previous_action,
    }
    usable = _usable(inputs, columns, flying)
    known = {name: _varying(value[usable]) for name, value in columns.items()}
    known = {name: value for name, value in known.items() if value.shape[1]}
    figures: dict[str, Any] = dict.fromkeys(targets)
    result = {
        "times_s": recording.times_s.tolist(),
        "robots": int(usable.sum()),
        "r2": figures,
    }
    if result["robots"] < MIN_ROBOTS or not known:
        return result
    figures |= {name: {kind: {} for kind in kinds} for name in known}
    split = _split(result["robots"], np.random.default_rng(seed))
    y = _standardised(np.hstack(list(known.values())), split.train)
    counts = _resamples(len(split.test), np.random.default_rng(seed))
    ends = np.cumsum([value.shape[1] for value in known.values()])
    for name, values in inputs.items():
        x = _standardised(_clipped(values[:, usable], split.train), split.train)
        for kind in kinds:
            predicted = PROBES[kind](x, y, split, seed)
            r2 = _r2(y[split.test], predicted, counts)
            for target, part in zip(known, np.split(r2, ends[:-1], axis=-1), strict=True):
                figures[target][kind][name] = _interval(part.mean(axis=-1))
    return result


@dataclass(frozen=True, kw_only=True)
class Split:
    """Robots, by index: to learn from, to choose by, to judge by."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def ridge_predictions(x: np.ndarray, y: np.ndarray, split: Split, seed: int) -> np.ndarray:
    """Linear regression with a squared penalty, which the validation robots choose per target.

    Args:
        x: (times, robots, k), standardised.
        y: (robots, components), standardised.
        split: Of the robots.
        seed: Nothing here is random.

    Returns:
        (times, test robots, components).
    """
    del seed
    train, validation, test = (x[:, part] for part in vars(split).values())
    values, vectors = np.linalg.eigh(train.transpose(0, 2, 1) @ train / train.shape[1])
    moments = vectors.transpose(0, 2, 1) @ train.transpose(0, 2, 1) @ y[split.train]
    moments = moments / train.shape[1]
    weights = np.stack(
        [
            vectors @ (moments / (values.clip(0.0) + penalty)[..., None])
            for penalty in RIDGE_PENALTIES
        ]
    )  # (penalties, times, k, components)
    errors = np.square(validation @ weights - y[split.validation]).mean(axis=2)
    best = errors.argmin(axis=0)[None, :, None, :]
    return test @ np.take_along_axis(weights, best, axis=0)[0]


def mlp_predictions(x: np.ndarray, y: np.ndarray, split: Split, seed: int) -> np.ndarray:
    """Networks of one hidden tanh layer, one per time and component, all trained at once by Adam.

    Each starts as the mean of the training robots and keeps the weights with which it did best on
    the validation robots; what cannot be known is left at the mean.

    Args:
        x: (times, robots, k), standardised.
        y: (robots, components), standardised.
        split: Of the robots.
        seed: Of the first weights and the batches.

    Returns:
        (times, test robots, components).
    """
    times, components = len(x), y.shape[1]
    inputs = torch.from_numpy(x).float().repeat_interleave(components, dim=0)
    goals = torch.from_numpy(y).float().T.unsqueeze(-1).repeat(times, 1, 1)
    weights = _trained(inputs, goals, split, torch.Generator().manual_seed(seed))
    answers = _answers(weights, inputs[:, torch.from_numpy(split.test)])
    return answers.reshape(times, components, -1).transpose(1, 2).double().numpy()


def _answers(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Answers (networks, robots, 1) of every network to its own inputs (networks, robots, k)."""
    hidden = torch.tanh(torch.baddbmm(weights[1], inputs, weights[0]))
    return torch.baddbmm(weights[3], hidden, weights[2])


def _trained(
    inputs: Tensor, goals: Tensor, split: Split, generator: torch.Generator
) -> list[Tensor]:
    """Weights of all networks, each as it did best on the validation robots."""
    train, validation = torch.from_numpy(split.train), torch.from_numpy(split.validation)

    def errors(weights: Sequence[Tensor], robots: Tensor) -> Tensor:
        difference = _answers(weights, inputs[:, robots]) - goals[:, robots]
        return difference.square().mean(1, keepdim=True)  # (networks, 1, 1)

    networks, _, width = inputs.shape
    first = torch.randn(networks, width, HIDDEN, generator=generator) * max(width, 1) ** -0.5
    zeros = [torch.zeros(networks, *w) for w in ((1, HIDDEN), (HIDDEN, 1), (1, 1))]
    best = [first, *zeros]
    least = errors(best, validation)
    weights = [w.clone().requires_grad_() for w in best]
    optimizer = torch.optim.Adam(weights, lr=MLP_RATE)
    for step in range(1, MLP_STEPS + 1):
        robots = train[torch.randint(len(train), (MLP_BATCH,), generator=generator)]
        optimizer.zero_grad()
        errors(weights, robots).sum().backward()
        optimizer.step()
        if step % CHECK_EVERY == 0:
            with torch.no_grad():
                now = errors(weights, validation)
                pairs = zip(weights, best, strict=True)
                best = [torch.where(now < least, new, old) for new, old in pairs]
                least = torch.minimum(now, least)
    return best


PROBES: dict[str, Callable[[np.ndarray, np.ndarray, Split, int], np.ndarray]] = {
    "linear": ridge_predictions,
    "mlp": mlp_predictions,
}
"""Kinds of regression, by name."""


def _usable(
    inputs: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], flying: np.ndarray | None
) -> np.ndarray:
    """Which robots (num_envs,) to use."""
    finite = [np.isfinite(value).all(axis=(0, 2)) for value in inputs.values()]
    finite += [np.isfinite(value).all(axis=1) for value in columns.values()]
    return np.logical_and.reduce([*finite, *([] if flying is None else [flying])])


def _varying(columns: np.ndarray) -> np.ndarray:
    """The columns in which more than a few robots differ, by more than rounding, from the rest."""
    if not len(columns):
        return columns[:, :0]
    apart = np.abs(columns - np.median(columns, axis=0)) > 1e-6 * np.abs(columns).max(axis=0)
    return columns[:, apart.mean(axis=0) > MIN_APART]


def _split(robots: int, rng: np.random.Generator) -> Split:
    ends = np.cumsum([round(TRAIN * robots), round(VALIDATION * robots)])
    train, validation, test = np.split(rng.permutation(robots), ends)
    return Split(train=train, validation=validation, test=test)


def _clipped(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Into the range of the middle 98 % of training robots: a few that shake must not lever."""
    if not values.shape[-1]:
        return values
    low, high = np.quantile(values[:, train], (0.01, 0.99), axis=1, keepdims=True)
    return values.clip(low, high)


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Mean zero and spread one over the training robots, second axis from the end, in float64."""
    values = values.astype(np.float64)
    known = values[..., train, :]
    spread = known.std(axis=-2, keepdims=True)
    return (values - known.mean(axis=-2, keepdims=True)) / np.where(spread > 1e-9, spread, 1.0)


def _resamples(robots: int, rng: np.random.Generator) -> np.ndarray:
    """How often each robot counts, (1 + resamples, robots); the first row counts each once."""
    drawn = rng.multinomial(robots, np.full(robots, 1.0 / robots), size=RESAMPLES)
    return np.vstack([np.ones((1, robots)), drawn])


def _r2(y: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Coefficient of determination, (1 + resamples, times, components)."""
    unexplained = counts @ np.square(y - predicted)  # (times, 1 + resamples, components)
    mean = counts @ y / counts.sum(axis=1, keepdims=True)
    total = counts @ np.square(y) - counts.sum(axis=1, keepdims=True) * np.square(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1.0 - unexplained / total).transpose(1, 0, 2)


def _interval(r2: np.ndarray) -> dict[str, list[float | None]]:
    """Estimate and 95 % interval from (1 + resamples, times); None where nothing varied."""
    low, high = np.quantile(r2[1:], (0.025, 0.975), axis=0)
    rows = {"r2": r2[0], "low": low, "high": high}
    return {
        name: [round(float(v), 4) if np.isfinite(v) else None for v in row]
        for name, row in rows.items()
    }
