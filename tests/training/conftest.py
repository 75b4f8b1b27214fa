"""Shared pieces of the training tests: one thread, a small untrained policy file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from acclimate_deploy.provenance import provenance
from acclimate_sim.multirotor import published
from acclimate_training.commands import EvaluateCfg
from acclimate_training.evaluation.evaluate import evaluate
from acclimate_training.export import export_policy
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained() -> MultirotorPolicy:
    torch.manual_seed(0)
    return MultirotorPolicy(PolicyCfg())


@pytest.fixture
def policy() -> MultirotorPolicy:
    return untrained()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained policy as a file, made once: tracing it takes seconds."""
    path = tmp_path_factory.mktemp("exported") / "policy.onnx"
    distribution = published().to_json()
    export_policy(
        untrained(), path, name="untrained", distribution=distribution, provenance=provenance(0)
    )
    return path


@pytest.fixture
def policy_file(exported: Path, tmp_path: Path) -> Path:
    """A copy for one test, alone in its directory."""
    path = tmp_path / "policy" / "policy.onnx"
    path.parent.mkdir()
    shutil.copy(exported, path)
    return path


@pytest.fixture(scope="session")
def flown(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained policy's record of RAPTOR's ground, flown once: it takes half a minute."""
    folder = tmp_path_factory.mktemp("flown")
    policy = folder / "policy.onnx"
    shutil.copy(exported, policy)
    _, path = evaluate(EvaluateCfg(policy=policy, robots=8))
    assert path == folder / "evaluation.json"
    return path


@pytest.fixture
def evaluated(flown: Path, policy_file: Path) -> Path:
    """A copy of the policy file with that record beside it."""
    shutil.copy(flown, policy_file.parent)
    return policy_file
