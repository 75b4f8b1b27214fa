"""Every way in which a policy file can be wrong, and what the user is told."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import policy_file
import pytest
from onnx import TensorProto, helper
from policy_file import Recurrence, build, write

from acclimate_contract import GOLDEN_TOLERANCE, GoldenSequence, MemorySpec
from acclimate_deploy.policy import PolicyFileError, golden_difference, load_policy, open_policy


def refusal(path: Path, family: str | None = None) -> str:
    """What `load_policy` says; every refusal names the file and the way out."""
    with pytest.raises(PolicyFileError) as error:
        load_policy(path, family)
    message = str(error.value)
    assert str(path) in message
    assert "Fix:" in message
    return message


def test_loads_a_valid_file(tmp_path: Path) -> None:
    path = build(tmp_path / "policy.onnx")
    policy = load_policy(path, family="quadrotor")
    assert policy.path == path
    assert policy.manifest == Recurrence().manifest()
    assert policy.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert policy.size_bytes == path.stat().st_size
    # numpy wrote the golden actions, onnxruntime repeats them: float32 rounding remains.
    assert 0.0 < golden_difference(policy) < 0.1 * GOLDEN_TOLERANCE


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "policy.onnx")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(tmp_path / "policy.onnx")

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "cannot be read (Permission denied)" in refusal(path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    path.touch()
    assert "is empty" in refusal(path)


def test_not_onnx(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    path.write_text("<html>404: not found</html>")
    assert "is not an ONNX model" in refusal(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    """Wherever a copy stopped, the file does not load."""
    whole = build(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "policy.onnx"
    told = set()
    for length in [*range(1, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        message = refusal(path)
        told.add("truncated" in message or "without a manifest" in message)
    assert told == {True}


def test_no_manifest(tmp_path: Path) -> None:
    path = write(tmp_path / "policy.onnx", Recurrence().model(), None)
    assert "without a manifest (metadata key 'acclimate.manifest')" in refusal(path)


def test_manifest_is_not_json(tmp_path: Path) -> None:
    path = write(tmp_path / "policy.onnx", Recurrence().model(), "{'name':")
    assert "the manifest is not JSON" in refusal(path)


def test_unknown_schema_version(tmp_path: Path) -> None:
    text = Recurrence().manifest().to_json().replace('"schema": 1', '"schema": 99')
    path = write(tmp_path / "policy.onnx", Recurrence().model(), text)
    assert "schema version 99 and this release reads 1" in refusal(path)


def test_wrong_robot_family(tmp_path: Path) -> None:
    path = build(tmp_path / "policy.onnx")
    message = refusal(path, family="quadruped")
    assert "is for robot family 'quadrotor' and this robot is a 'quadruped'" in message


def test_unknown_robot_family(tmp_path: Path) -> None:
    text = Recurrence().manifest().to_json().replace('"family": "quadrotor"', '"family": "boat"')
    path = write(tmp_path / "policy.onnx", Recurrence().model(), text)
    assert "'boat', which this release does not know" in refusal(path)


def test_graph_lacks_a_declared_signal(tmp_path: Path) -> None:
    small = Recurrence(policy_file.SIGNALS[:-1])
    path = write(tmp_path / "policy.onnx", small.model(), Recurrence().manifest())
    message = refusal(path)
    assert "'previous_action'" in message
    assert "The file was changed after its export" in message


def test_graph_has_another_shape(tmp_path: Path) -> None:
    memory = MemorySpec(input="memory", output="next_memory", initial=np.zeros(5, np.float32))
    path = build(tmp_path / "policy.onnx", memory=(memory,))
    assert "graph input 'memory' has shape (4,) and its manifest says (5,)" in refusal(path)


def test_graph_has_a_fixed_batch(tmp_path: Path) -> None:
    recurrence = Recurrence()
    path = write(tmp_path / "policy.onnx", recurrence.model(batch=1), recurrence.manifest())
    assert "without a free batch axis" in refusal(path)


def test_graph_has_another_type(tmp_path: Path) -> None:
    recurrence = Recurrence()
    model = recurrence.model()
    graph = model.graph
    graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    cast = helper.make_node("Cast", [graph.input[0].name], ["cast"], to=TensorProto.FLOAT)
    graph.node[0].input[0] = "cast"
    graph.node.insert(0, cast)
    path = write(tmp_path / "policy.onnx", model, recurrence.manifest())
    assert "'position_error' has type tensor(double)" in refusal(path)


def test_graph_that_does_not_run(tmp_path: Path) -> None:
    recurrence = Recurrence()
    recurrence.B = recurrence.B[:3]
    path = write(tmp_path / "policy.onnx", recurrence.model(), Recurrence().manifest())
    message = refusal(path)
    assert "does not run" in message or "not an ONNX model" in message


def nudge(golden: GoldenSequence) -> GoldenSequence:
    actions = golden.actions.copy()
    actions[-1, 2] += 2e-5
    return GoldenSequence(inputs=golden.inputs, actions=actions, resets=golden.resets)


def move_reset(golden: GoldenSequence) -> GoldenSequence:
    return GoldenSequence(
        inputs=golden.inputs, actions=golden.actions, resets=np.roll(golden.resets, 1)
    )


@pytest.mark.parametrize("change", [nudge, move_reset])
def test_golden_mismatch(
    tmp_path: Path, change: Callable[[GoldenSequence], GoldenSequence]
) -> None:
    path = build(tmp_path / "policy.onnx", golden=change(Recurrence().golden()))
    message = refusal(path)
    assert "fails its golden sequence: its actions differ by" in message
    assert "the limit is 1e-05" in message
    assert golden_difference(open_policy(path)) > GOLDEN_TOLERANCE


def test_weights_changed_after_export(tmp_path: Path) -> None:
    path = build(tmp_path / "policy.onnx")
    model = onnx.load(str(path))
    weights = np.frombuffer(model.graph.initializer[2].raw_data, np.float32).copy()
    weights[0] *= 1.001
    model.graph.initializer[2].raw_data = weights.tobytes()
    onnx.save(model, str(path))
    assert "fails its golden sequence" in refusal(path)


def test_weights_that_are_not_numbers(tmp_path: Path) -> None:
    recurrence = Recurrence()
    manifest = recurrence.manifest()
    recurrence.C[:] = np.nan
    path = write(tmp_path / "policy.onnx", recurrence.model(), manifest)
    assert "differ by inf" in refusal(path)
