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


@dataclass(frozen=True, kw_only=True)
class MemorySpec:
    """One memory tensor: where it enters and leaves the graph, and what it holds at a reset."""

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

    @property
    def period_s(self) -> float:
        """Nominal time between two advances of the memory."""
        return 1.0 / self.nominal_hz


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a runtime must know about a policy, and everything a person wants to know.

    Attributes:
        name: Name of the policy.
        family: Robot family it flies.
        signals: Graph inputs, in the graph's order.
        action: Graph output named `action`.
        memory: Tensors that go in and out at every step; may be empty.
        rate: Control rates.
        num_parameters: Trained numbers in the graph.
        distribution: Parameter space it was trained on, as its JSON.
        provenance: How it was made: revision, command, seed, versions.
        evaluation: Summary of how it was evaluated; empty before the first evaluation.
        licence: SPDX identifier.
        golden: Recorded sequence that the file must reproduce.
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

    def to_json(self) -> str:
        """Serialise; `from_json` of the result equals this manifest."""
        return json.dumps(
            {
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
        )

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Parse and validate.

        Raises:
            ContractError: Not JSON, another schema, an unknown family, missing or malformed
                fields, or signals that differ from the family's vocabulary.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ContractError(
                f"the manifest is not JSON ({error}). Fix: export the policy again."
            ) from error
        _check_schema(data)
        try:
            manifest = cls(
                name=str(data["name"]),
                family=_family(data["family"]),
                signals=tuple(
                    Signal(**{**signal, "shape": tuple(signal["shape"])})
                    for signal in data["signals"]
                ),
                action=ActionSpec(
                    **{**data["action"], "channels": tuple(data["action"]["channels"])}
                ),
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
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            if isinstance(error, ContractError):
                raise
            raise ContractError(
                f"the manifest is malformed ({type(error).__name__}: {error}). Without it the "
                "runtime cannot know what the policy reads. Fix: export the policy again."
            ) from error
        _check_vocabulary(manifest)
        return manifest


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


def _check_vocabulary(manifest: Manifest) -> None:
    family = manifest.family
    known = {signal.name: signal for signal in family.signals}
    for signal in manifest.signals:
        if signal.name not in known:
            raise ContractError(
                f"the policy reads signal {signal.name!r}, which a {family.name} does not have; "
                f"it has {sorted(known)}. Fix: export the policy with signals of its family."
            )
        expected = known[signal.name]
        if (signal.shape, signal.unit, signal.frame) != (
            expected.shape,
            expected.unit,
            expected.frame,
        ):
            raise ContractError(
                f"signal {signal.name!r} is {signal.shape} in {signal.unit}, frame "
                f"{signal.frame}, in the policy, and {expected.shape} in {expected.unit}, frame "
                f"{expected.frame}, in this release. Fix: export the policy again."
            )
    if manifest.action.channels != family.action.channels:
        raise ContractError(
            f"the policy commands channels {list(manifest.action.channels)} and a {family.name} "
            f"has {list(family.action.channels)}. Fix: export the policy in the family's order."
        )
    recorded = {name: values.shape[1:] for name, values in manifest.golden.inputs.items()}
    declared = {signal.name: signal.shape for signal in manifest.signals}
    if recorded != declared or manifest.golden.actions.shape[1:] != (
        len(manifest.action.channels),
    ):
        raise ContractError(
            f"the golden sequence records {recorded} and the manifest declares {declared}. "
            "Fix: export the policy again."
        )
