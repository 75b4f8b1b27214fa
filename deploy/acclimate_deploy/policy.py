"""Load a policy file, or refuse it: nothing flies that does not match what it says about itself."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from acclimate_contract import (
    ACTION_OUTPUT,
    GOLDEN_TOLERANCE,
    MANIFEST_KEY,
    ContractError,
    Manifest,
    check_graph,
)

_FLOAT32 = "tensor(float)"


class PolicyFileError(ContractError):
    """A policy file cannot be used, and why."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A loaded policy file.

    Attributes:
        path: Where it was read from.
        manifest: What it says about itself.
        session: The graph, on one CPU thread.
        sha256: Of the bytes that were loaded.
        size_bytes: Length of the file.
    """

    path: Path
    manifest: Manifest
    session: ort.InferenceSession
    sha256: str
    size_bytes: int


def load_policy(path: Path, family: str | None = None) -> Policy:
    """Read a policy file and prove that it computes here what it computed when it was made.

    Args:
        path: The `policy.onnx`.
        family: Robot family that the caller flies; None accepts any.

    Returns:
        The policy, ready for `PolicyRuntime` or `BatchRunner`.

    Raises:
        PolicyFileError: The file is missing, unreadable, empty, truncated or not ONNX, has no
            manifest or one that does not match its graph, is for another robot family, or fails
            its golden sequence.
    """
    policy = open_policy(path, family)
    difference = golden_difference(policy)
    if not difference <= GOLDEN_TOLERANCE:  # written so that NaN is refused
        raise PolicyFileError(
            f"policy file '{path}' fails its golden sequence: its actions differ by "
            f"{difference:.3g} and the limit is {GOLDEN_TOLERANCE:.0e}. Its weights were changed "
            "after export, or this machine computes differently; it would fly another policy than "
            "the one that was evaluated. Fix: copy or export the file again."
        )
    return policy


def open_policy(path: Path, family: str | None = None) -> Policy:
    """Do as `load_policy`, without running the golden sequence: only to examine a file."""
    path = Path(path)
    data = _read(path)
    session = _create_session(path, data)
    try:
        manifest = Manifest.from_json(_manifest_text(session))
        _check_session(manifest, session)
    except ContractError as error:
        raise PolicyFileError(f"policy file '{path}': {error}") from error
    if family is not None and manifest.family.name != family:
        raise PolicyFileError(
            f"policy file '{path}' is for robot family {manifest.family.name!r} and this robot is "
            f"a {family!r}: signals and motors would be mixed up. "
            f"Fix: give it a policy made for a {family!r}."
        )
    return Policy(
        path=path,
        manifest=manifest,
        session=session,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def golden_difference(policy: Policy) -> float:
    """Replay the golden sequence.

    Returns:
        Largest absolute difference between the recorded actions and the ones computed here;
        infinity where an action is not finite or has another shape.

    Raises:
        PolicyFileError: The graph does not run.
    """
    golden = policy.manifest.golden
    memory = initial_memory(policy.manifest, batch=1)
    outputs = [ACTION_OUTPUT, *(m.output for m in policy.manifest.memory)]
    worst = 0.0
    for step in range(golden.num_steps):
        if golden.resets[step]:
            memory = initial_memory(policy.manifest, batch=1)
        signals = {name: values[step : step + 1] for name, values in golden.inputs.items()}
        action, *after = _run(policy, outputs, {**signals, **memory})
        memory = {m.input: value for m, value in zip(policy.manifest.memory, after, strict=True)}
        if action.shape != (1, golden.actions.shape[1]):
            return np.inf  # the graph lies about its output; subtracting would broadcast
        difference = np.abs(action[0] - golden.actions[step]).max()
        worst = max(worst, float(difference) if np.isfinite(difference) else np.inf)
    return worst


def _run(policy: Policy, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        return [np.asarray(value) for value in policy.session.run(outputs, feed)]
    except Exception as error:  # onnxruntime's errors share no base class of their own
        reason = str(error).strip().splitlines()[0]
        raise PolicyFileError(
            f"policy file '{policy.path}' loads but its graph does not run ({reason}). "
            "Fix: export the policy again."
        ) from error


def initial_memory(manifest: Manifest, batch: int) -> dict[str, np.ndarray]:
    """Memory after a reset, graph input name -> (batch, *memory shape), float32."""
    return {
        m.input: np.repeat(m.initial[None].astype(np.float32), batch, axis=0)
        for m in manifest.memory
    }


def _read(path: Path) -> bytes:
    if not path.exists():
        raise PolicyFileError(
            f"policy file '{path}' does not exist. Without it there is nothing to fly. "
            "Fix: check the path, or train one with `acclimate train`."
        )
    if path.is_dir():
        raise PolicyFileError(
            f"policy file '{path}' is a directory. Fix: name the file in it, "
            f"for example '{path / 'policy.onnx'}'."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PolicyFileError(
            f"policy file '{path}' cannot be read ({error.strerror}). Fix: check its permissions."
        ) from error
    if not data:
        raise PolicyFileError(
            f"policy file '{path}' is empty: its copy or download did not finish. "
            "Fix: copy it again."
        )
    return data


def _create_session(path: Path, data: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # default threads cost 1-4 ms spikes at batch 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised, once
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class of their own
        reason = str(error).strip().splitlines()[0]
        raise PolicyFileError(
            f"policy file '{path}' is not an ONNX model that onnxruntime {ort.__version__} can "
            f"load, or it is truncated ({len(data)} bytes; {reason}). "
            "Fix: copy or export the file again."
        ) from error


def _manifest_text(session: ort.InferenceSession) -> str:
    metadata = session.get_modelmeta().custom_metadata_map
    if MANIFEST_KEY not in metadata:
        raise PolicyFileError(
            f"it is an ONNX model without a manifest (metadata key {MANIFEST_KEY!r}); the runtime "
            "cannot know its signals, units and frames. Fix: export it with `acclimate export`."
        )
    return metadata[MANIFEST_KEY]


def _check_session(manifest: Manifest, session: ort.InferenceSession) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    check_graph(
        manifest,
        inputs={node.name: node.shape for node in inputs},
        outputs={node.name: node.shape for node in outputs},
    )
    for node in (*inputs, *outputs):
        if node.type != _FLOAT32:
            raise PolicyFileError(
                f"graph tensor {node.name!r} has type {node.type} and the contract is float32 "
                "throughout. Fix: export the policy again without a change of precision."
            )
