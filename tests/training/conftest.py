"""Shared pieces of the training tests: one thread, a small untrained policy file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from acclimate_sim.quadrotor import published
from acclimate_training.export import export_policy
from acclimate_training.policies import QuadrotorPolicy
from acclimate_training.provenance import provenance


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def policy() -> QuadrotorPolicy:
    torch.manual_seed(0)
    return QuadrotorPolicy()


@pytest.fixture
def policy_file(policy: QuadrotorPolicy, tmp_path: Path) -> Path:
    path = tmp_path / "policy" / "policy.onnx"
    export_policy(
        policy,
        path,
        name="untrained",
        distribution=published().to_json(),
        provenance=provenance(0),
    )
    return path
