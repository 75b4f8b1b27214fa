"""The exported file computes what was trained, in operators every target has."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from acclimate_contract import MANIFEST_KEY, ContractError
from acclimate_deploy.command import main
from acclimate_deploy.policy import load_policy
from acclimate_deploy.runtime import BatchRunner
from acclimate_training import export
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.export import export_policy, with_evaluation
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.trainer import train

PLAIN_OPERATORS = {
    "Add", "Cast", "Clip", "Concat", "Constant", "Div", "Exp", "Expand", "Gather", "Gemm",
    "Greater", "MatMul", "Mul", "Neg", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
    "Softplus", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
FAR_SEEING = PolicyCfg(time_aware=True, preview=True, previous_action=False)


@pytest.fixture(scope="module")
def far_seeing(tmp_path_factory: pytest.TempPathFactory) -> tuple[MultirotorPolicy, Path]:
    """A policy with every sense the default lacks and its file, made once."""
    torch.manual_seed(0)
    policy = MultirotorPolicy(FAR_SEEING)
    path = tmp_path_factory.mktemp("far_seeing") / "policy.onnx"
    export_policy(policy, path, name="far_seeing", distribution={}, provenance={})
    return policy, path


def assert_flies_alike(policy: MultirotorPolicy, path: Path) -> None:
    """Fifty steps of seven robots with memory and one reset."""
    runner = BatchRunner(load_policy(path), 7)
    generator = torch.Generator().manual_seed(1)
    memory = policy.initial_memory(7)
    for t in range(50):
        if t == 20:
            memory = policy.initial_memory(7)
            runner.reset()
        every = {
            "position_error": 5 * torch.randn(7, 3, generator=generator),
            "orientation": torch.nn.functional.normalize(
                torch.randn(7, 4, generator=generator), dim=-1
            ),
            "linear_velocity_error": 5 * torch.randn(7, 3, generator=generator),
            "angular_velocity": 20 * torch.randn(7, 3, generator=generator),
            "previous_action": torch.rand(7, 4, generator=generator),
            "time_step": 0.005 + 0.015 * torch.rand(7, 1, generator=generator),
            "reference_preview": torch.randn(7, 4, 3, generator=generator),
        }
        signals = {name: every[name] for name in policy.cfg.signals}
        with torch.no_grad():
            action, memory = policy(signals, memory)
        flown = runner.step({name: value.numpy() for name, value in signals.items()})
        # float32 sums in another order: a few units in the last place, twenty steps long.
        np.testing.assert_allclose(flown, action.numpy(), atol=1e-5)


def test_exported_policy_matches_torch(policy: MultirotorPolicy, policy_file: Path) -> None:
    """The file is what we trained."""
    assert_flies_alike(policy, policy_file)


def test_policy_with_other_senses_matches_torch(far_seeing: tuple[MultirotorPolicy, Path]) -> None:
    """Every robot with its own time step and its own future."""
    assert_flies_alike(*far_seeing)


def test_graph_reads_exactly_the_signals_of_the_policy(
    policy: MultirotorPolicy, policy_file: Path, far_seeing: tuple[MultirotorPolicy, Path]
) -> None:
    for one, path in ((policy, policy_file), far_seeing):
        names = [entry.name for entry in onnx.load(path).graph.input]
        assert names == [*one.cfg.signals, "memory"]
        assert [signal.name for signal in load_policy(path).manifest.signals] == names[:-1]


def test_only_a_policy_that_reads_the_time_step_may_run_slower(
    policy_file: Path, far_seeing: tuple[MultirotorPolicy, Path]
) -> None:
    fixed, free = (load_policy(path).manifest.rate for path in (policy_file, far_seeing[1]))
    assert fixed.min_hz == fixed.nominal_hz == free.nominal_hz == 100.0
    assert free.min_hz == 50.0


def test_graph_has_plain_operators_only(
    policy_file: Path, far_seeing: tuple[MultirotorPolicy, Path]
) -> None:
    for path in (policy_file, far_seeing[1]):
        operators = {node.op_type for node in onnx.load(path).graph.node}
        assert operators <= PLAIN_OPERATORS


def test_file_names_no_path_of_the_exporting_machine(policy_file: Path) -> None:
    assert str(Path.cwd()).encode() not in policy_file.read_bytes()


def test_metadata_carries_the_manifest_and_mjlab_keys(policy_file: Path) -> None:
    metadata = {p.key: p.value for p in onnx.load(policy_file).metadata_props}
    assert MANIFEST_KEY in metadata
    assert metadata["joint_names"] == "front_right,back_right,back_left,front_left"
    assert metadata["observation_names"].startswith("position_error,orientation")


def test_golden_sequence_has_a_reset_in_the_middle(policy_file: Path) -> None:
    golden = load_policy(policy_file).manifest.golden
    resets = np.flatnonzero(golden.resets)
    assert 0 < resets[-1] < golden.num_steps - 1


def test_failed_export_leaves_the_old_file(
    policy: MultirotorPolicy, policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = policy_file.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.onnx, "save", full)
    with pytest.raises(OSError, match="No space"):
        export_policy(policy, policy_file, name="new", distribution={}, provenance={})
    assert policy_file.read_bytes() == before
    assert list(policy_file.parent.iterdir()) == [policy_file]


def test_graph_that_computes_something_else_is_not_exported(
    policy: MultirotorPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(export.FoldedPolicy):
        def __init__(self, policy: MultirotorPolicy) -> None:
            super().__init__(policy)
            self.bias.data += 0.01

    monkeypatch.setattr(export, "FoldedPolicy", Wrong)
    path = tmp_path / "policy.onnx"
    with pytest.raises(ContractError, match="golden"):
        export_policy(policy, path, name="wrong", distribution={}, provenance={})
    assert not list(tmp_path.iterdir())


def test_evaluation_is_added_without_touching_the_graph(policy_file: Path) -> None:
    before = onnx.load(policy_file).graph.SerializeToString()
    with_evaluation(policy_file, {"lost": 0.001})
    assert load_policy(policy_file).manifest.evaluation == {"lost": 0.001}
    assert onnx.load(policy_file).graph.SerializeToString() == before


def test_export_where_nothing_can_be_written_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = TrainCfg(
        out=tmp_path, iterations=1, num_envs=4, first_horizon=3, last_horizon=3, compile=False
    )
    train(cfg)
    code = main(["export", "--run", str(tmp_path), "--out", "/proc/nowhere/policy.onnx"])
    assert code == 2
    assert "the system refused" in capsys.readouterr().err


def test_a_policy_that_reads_what_no_robot_has_is_not_exported(tmp_path: Path) -> None:
    oracle = MultirotorPolicy(PolicyCfg(privileged=5))
    path = tmp_path / "policy.onnx"
    with pytest.raises(TrainingError, match=r"only a simulator knows.*--policy.privileged 0"):
        export_policy(oracle, path, name="oracle", distribution={}, provenance={})
    assert not path.exists()
