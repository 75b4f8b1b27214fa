"""The manifest: what a policy file says about itself, as one JSON in the model's metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acclimate_contract.errors import ContractError
from acclimate_contract.golden import GoldenSequence
from acclimate_contract.signals import ROBOT_FAMILIES, ActionSpec, RobotFamily, Signal

MANIFEST_KEY = "acclimate.manifest"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MemorySpec:
    """One memory tensor: where it enters and leaves the graph, and what it holds at a reset.

    Attributes:
        input: Graph input that takes the memory.
        output: Graph output that returns it.
        initial: One robot's memory at a reset, float32, without the batch axis.
    """

    input: str
    output: str
    initial: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one robot's memory."""
        return self.initial.shape


@dataclass(frozen=True, kw_only=True)
class RateSpec:
    """Control rates: memory advances at `nominal_hz`; inputs may come at `min_hz`..`max_hz`."""

    nominal_hz: float
    min_hz: float
    max_hz: float

    def __post_init__(self) -> None:
        if not 0.0 < self.min_hz <= self.nominal_hz <= self.max_hz < np.inf:
            raise ContractError(
                f"control rates {self} need 0 < min_hz <= nominal_hz <= max_hz. "
                "Fix: export the policy with the rate it was trained at between its bounds."
            )

    @property
    def period_s(self) -> float:
        """Nominal time between two advances of the memory."""
        return 1.0 / self.nominal_hz


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """Everything a runtime must know about a policy, and everything a person wants to know.

    A manifest that contradicts itself or its family's vocabulary cannot be built: the same
    checks guard its writing and its reading. Equality is equality of the serialised form.

    Attributes:
        name: Name of the policy.
        family: Robot family it flies.
        signals: Graph inputs, in the graph's order.
        action: Graph output named `action`.
        memory: Tensors that go in and out at every step; may be empty.
        rate: Control rates.
        num_parameters: Trained numbers in the graph.
        golden: Recorded sequence that the file must reproduce.
        distribution: Parameter space it was trained on, as its JSON.
        provenance: How it was made: revision, command, seed, versions.
        evaluation: Summary of how it was evaluated; empty before the first evaluation.
        licence: SPDX identifier.
    """

    name: str
    family: RobotFamily
    signals: tuple[Signal, ...]
    action: ActionSpec
    memory: tuple[MemorySpec, ...]
    rate: RateSpec
    num_parameters: int
    golden: GoldenSequence
    distribution: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        _check_signals(self)
        _check_action(self)
        _check_memory(self)
        _check_golden(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """Serialise; `from_json` of the result equals this manifest.

        Raises:
            ContractError: The free-form fields hold something that JSON cannot carry, NaN included.
        """
        fields = {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "family": self.family.name,
            "signals": [vars(signal) for signal in self.signals],
            "action": vars(self.action),
            "memory": [
                {"input": m.input, "output": m.output, "initial": m.initial.tolist()}
                for m in self.memory
            ],
            "rate": vars(self.rate),
            "num_parameters": self.num_parameters,
            "distribution": dict(self.distribution),
            "provenance": dict(self.provenance),
            "evaluation": dict(self.evaluation),
            "licence": self.licence,
            "golden": self.golden.to_json(),
        }
        try:
            return json.dumps(fields, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"the manifest of policy {self.name!r} cannot be written as JSON ({error}); other "
                "tools could not read it. Fix: put plain numbers, strings, lists and dicts in "
                "distribution, provenance and evaluation, and None where there is no number."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Parse and validate.

        Raises:
            ContractError: Not JSON, another schema, an unknown family, missing or malformed
                fields, or signals that differ from the family's vocabulary.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ContractError(
                f"the manifest is not JSON ({error}). Fix: export the policy again."
            ) from error
        _check_schema(data)
        try:
            return _parse(data)
        except ContractError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ContractError(
                f"the manifest is malformed ({type(error).__name__}: {error}). Without it the "
                "runtime cannot know what the policy reads. Fix: export the policy again."
            ) from error


def _parse(data: dict[str, Any]) -> Manifest:
    return Manifest(
        name=str(data["name"]),
        family=_family(data["family"]),
        signals=tuple(
            Signal(**{**signal, "shape": tuple(signal["shape"])}) for signal in data["signals"]
        ),
        action=ActionSpec(**{**data["action"], "channels": tuple(data["action"]["channels"])}),
        memory=tuple(
            MemorySpec(
                input=str(m["input"]),
                output=str(m["output"]),
                initial=np.asarray(m["initial"], dtype=np.float32),
            )
            for m in data["memory"]
        ),
        rate=RateSpec(**{name: float(hz) for name, hz in data["rate"].items()}),
        num_parameters=int(data["num_parameters"]),
        distribution=dict(data["distribution"]),
        provenance=dict(data["provenance"]),
        evaluation=dict(data["evaluation"]),
        licence=str(data["licence"]),
        golden=GoldenSequence.from_json(data["golden"]),
    )


def _check_schema(data: Any) -> None:
    version = data.get("schema") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ContractError(
            f"the manifest has schema version {version!r} and this release reads "
            f"{SCHEMA_VERSION}. Fix: upgrade acclimate, or export the policy with this release."
        )


def _family(name: str) -> RobotFamily:
    if name not in ROBOT_FAMILIES:
        raise ContractError(
            f"the policy is for robot family {name!r}, which this release does not know; it knows "
            f"{sorted(ROBOT_FAMILIES)}. Fix: upgrade acclimate or use another policy."
        )
    return ROBOT_FAMILIES[name]


def _check_signals(manifest: Manifest) -> None:
    family = manifest.family
    known = {signal.name: signal for signal in family.signals}
    if not manifest.signals:
        raise ContractError(
            "the policy reads no signals, so nothing it does depends on the robot. "
            "Fix: export the policy again."
        )
    for signal in manifest.signals:
        if signal.name not in known:
            raise ContractError(
                f"the policy reads signal {signal.name!r}, which a {family.name} does not have; "
                f"it has {sorted(known)}. Fix: export the policy with signals of its family."
            )
        if _facts(signal) != _facts(known[signal.name]):
            raise ContractError(
                f"signal {signal.name!r} is {_describe(signal)} in the policy, and "
                f"{_describe(known[signal.name])} in this release. Fix: export the policy again."
            )


def _facts(signal: Signal) -> tuple[tuple[int, ...], str, str]:
    return signal.shape, signal.unit, signal.frame


def _describe(signal: Signal) -> str:
    return f"{signal.shape} in {signal.unit}, frame {signal.frame}"


def _check_action(manifest: Manifest) -> None:
    action, expected = manifest.action, manifest.family.action
    if action.channels != expected.channels:
        raise ContractError(
            f"the policy commands channels {list(action.channels)} and a {manifest.family.name} "
            f"has {list(expected.channels)}. Fix: export the policy in the family's order."
        )
    if (action.low, action.high) != (expected.low, expected.high):
        raise ContractError(
            f"the policy commands from {action.low} to {action.high} and a {manifest.family.name} "
            f"takes {expected.low} to {expected.high}. Fix: put the scaling into the graph."
        )


def _check_memory(manifest: Manifest) -> None:
    for memory in manifest.memory:
        if not np.isfinite(memory.initial).all():
            raise ContractError(
                f"memory {memory.input!r} starts from values that are not finite, so every answer "
                "would be. Fix: export the policy again."
            )
    inputs = [s.name for s in manifest.signals] + [m.input for m in manifest.memory]
    outputs = [m.output for m in manifest.memory]
    if repeated := sorted({n for names in (inputs, outputs) for n in names if names.count(n) > 1}):
        raise ContractError(
            f"the manifest uses {repeated} for more than one tensor. Fix: give each its own name."
        )


def _check_golden(manifest: Manifest) -> None:
    golden, steps = manifest.golden, manifest.golden.num_steps
    expected = {signal.name: (steps, *signal.shape) for signal in manifest.signals}
    expected["action"] = (steps, len(manifest.action.channels))
    arrays = {**golden.inputs, "action": golden.actions}
    recorded = {name: values.shape for name, values in arrays.items()}
    if recorded != expected:
        raise ContractError(
            f"the golden sequence records {recorded} and the manifest declares {expected}. "
            "Fix: export the policy again."
        )
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise ContractError(
            "the golden sequence holds values that are not finite and would prove nothing. "
            "Fix: export the policy again, and look at its training if this repeats."
        )
    if golden.resets.shape != (steps,) or not golden.resets[1:].any():
        raise ContractError(
            f"the golden sequence of {steps} steps has no reset of the memory after its first "
            "step, so it cannot prove that a reset works. Fix: record one in the middle."
        )
