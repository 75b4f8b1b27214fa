"""Export: one ONNX file that is the whole policy, with its manifest and golden sequence inside."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from acclimate_contract import (
    ACTION_OUTPUT,
    MANIFEST_KEY,
    GoldenSequence,
    Manifest,
    MemorySpec,
    RateSpec,
)
from acclimate_deploy.files import replacing
from acclimate_deploy.policy import load_policy
from acclimate_training.errors import TrainingError
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policies.folded import FoldedPolicy
from acclimate_training.problems.multirotor_tracking import PERIOD_S

MEMORY_INPUT, MEMORY_OUTPUT = "memory", "next_memory"
GOLDEN_STEPS, GOLDEN_RESET = 48, 29
NOMINAL_HZ = 1.0 / PERIOD_S
FIXED_RATE = RateSpec(nominal_hz=NOMINAL_HZ, min_hz=NOMINAL_HZ, max_hz=10.0 * NOMINAL_HZ)
ANY_RATE = RateSpec(nominal_hz=NOMINAL_HZ, min_hz=0.5 * NOMINAL_HZ, max_hz=10.0 * NOMINAL_HZ)


class _Graph(nn.Module):
    """The policy with one positional input per signal, as a graph has them."""

    def __init__(self, policy: MultirotorPolicy) -> None:
        super().__init__()
        self.policy = FoldedPolicy(policy)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        names = self.policy.cfg.signals
        return self.policy(dict(zip(names, tensors[:-1], strict=True)), tensors[-1])


def export_policy(
    policy: MultirotorPolicy,
    path: Path,
    *,
    name: str,
    distribution: Mapping[str, Any],
    provenance: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write the policy file and prove it by loading it as a robot would.

    Args:
        policy: The trained policy.
        path: Where to write; an existing file is replaced only by a whole, verified one.
        name: Name of the policy.
        distribution: Parameter space it was trained on, as JSON data.
        provenance: Command, revision, seed and versions.
        evaluation: Summary of its evaluation, if it has one.

    Returns:
        The manifest that was written.

    Raises:
        ContractError: The written graph does not compute what the policy computes.
        TrainingError: The policy reads what only a simulator knows.
    """
    if policy.cfg.privileged:
        raise TrainingError(
            f"policy '{name}' reads what only a simulator knows, and no robot could feed it. "
            "Fix: train with --policy.privileged 0, or let it teach: --algorithm meta-imitation."
        )
    policy, family = policy.to("cpu").eval(), policy.cfg.robots
    manifest = Manifest(
        name=name,
        family=family,
        signals=tuple(family.signal(signal) for signal in policy.cfg.signals),
        action=family.action,
        memory=(
            MemorySpec(
                input=MEMORY_INPUT,
                output=MEMORY_OUTPUT,
                initial=np.zeros(policy.memory_width, dtype=np.float32),
            ),
        ),
        rate=ANY_RATE if policy.cfg.time_aware else FIXED_RATE,
        num_parameters=policy.num_parameters,
        golden=record_golden(policy),
        distribution=distribution,
        provenance=provenance,
        evaluation=evaluation or {},
    )
    model = _to_onnx(policy)
    with replacing(path) as temporary:
        write_manifest(model, manifest, temporary)
        load_policy(temporary, family=family.name)
    return manifest


def write_manifest(model: onnx.ModelProto, manifest: Manifest, path: Path) -> None:
    """Put the manifest into the model's metadata, with mjlab's keys beside it, and save."""
    provenance = manifest.provenance
    metadata = {
        MANIFEST_KEY: manifest.to_json(),
        "run_path": str(provenance.get("command", "")),
        "joint_names": ",".join(manifest.action.channels),
        "observation_names": ",".join(signal.name for signal in manifest.signals),
        "command_names": "position,linear_velocity",
        "action_scale": ",".join(["1.0"] * len(manifest.action.channels)),
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def record_golden(policy: MultirotorPolicy) -> GoldenSequence:
    """Run the policy on fixed pseudo-random signals, with a reset in the middle."""
    rng = np.random.default_rng(0)
    quat = rng.normal(size=(GOLDEN_STEPS, 4)) * 0.3 + np.array([1.0, 0.0, 0.0, 0.0])
    inputs = {
        "position_error": rng.normal(size=(GOLDEN_STEPS, 3)),
        "orientation": quat / np.linalg.norm(quat, axis=1, keepdims=True),
        "linear_velocity_error": rng.normal(size=(GOLDEN_STEPS, 3)),
        "angular_velocity": 3.0 * rng.normal(size=(GOLDEN_STEPS, 3)),
        "previous_action": rng.uniform(-1.0, 1.0, size=(GOLDEN_STEPS, policy.cfg.num_motors)),
        "time_step": rng.uniform(0.5, 2.0, size=(GOLDEN_STEPS, 1)) * PERIOD_S,
        "reference_preview": 0.3 * rng.normal(size=(GOLDEN_STEPS, 4, 3)),
    }
    inputs = {name: inputs[name].astype(np.float32) for name in policy.cfg.signals}
    resets = np.zeros(GOLDEN_STEPS, dtype=bool)
    resets[[0, GOLDEN_RESET]] = True
    actions = []
    memory = policy.initial_memory(1)
    with torch.no_grad():
        for t in range(GOLDEN_STEPS):
            if resets[t]:
                memory = policy.initial_memory(1)
            signals = {n: torch.from_numpy(values[t : t + 1]) for n, values in inputs.items()}
            action, memory = policy(signals, memory)
            actions.append(action[0].numpy())
    return GoldenSequence(inputs=inputs, actions=np.stack(actions), resets=resets)


def _to_onnx(policy: MultirotorPolicy) -> onnx.ModelProto:
    """Trace the policy into plain operators with a free batch axis."""
    # Two robots: a batch of one would be taken for a constant.
    example = [torch.zeros(2, *policy.cfg.robots.signal(name).shape) for name in policy.cfg.signals]
    inputs = (*example, policy.initial_memory(2))
    names = [*policy.cfg.signals, MEMORY_INPUT]
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Graph(policy),
            inputs,
            dynamo=True,
            verbose=False,
            input_names=names,
            output_names=[ACTION_OUTPUT, MEMORY_OUTPUT],
            dynamic_shapes=(tuple({0: batch} for _ in inputs),),
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # source lines of the exporting machine
    return model


def with_evaluation(path: Path, evaluation: Mapping[str, Any]) -> None:
    """Write the summary of an evaluation into an existing policy file, whole or not at all."""
    policy = load_policy(path)
    model = onnx.load(path)
    with replacing(path) as temporary:
        write_manifest(model, replace(policy.manifest, evaluation=evaluation), temporary)
        load_policy(temporary)
