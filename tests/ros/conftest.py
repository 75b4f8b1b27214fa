"""Real processes over real DDS: a domain of its own for each test, and no process survives one."""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from hover_policy import write_hover_policy
    from preview_policy import write_preview_policy
    from ros_client import RosClient
    from ros_processes import MARKER, Nodes, survivors

    from acclimate_bringup.domains import claimed_domain
    from acclimate_bringup.flight import ros_environment
    from acclimate_bringup.processes import Fleet


@pytest.fixture(scope="session")
def hover_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-written policy that flies the x500."""
    return write_hover_policy(tmp_path_factory.mktemp("policy") / "policy.onnx")


@pytest.fixture(scope="session")
def looking_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-written policy that flies the x500 and looks ahead."""
    return write_hover_policy(tmp_path_factory.mktemp("looking") / "policy.onnx", looks_ahead=True)


@pytest.fixture(scope="session")
def preview_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-written policy that flies nothing and shows what it reads."""
    return write_preview_policy(tmp_path_factory.mktemp("preview") / "policy.onnx")


@pytest.fixture
def domain() -> Iterator[int]:
    with claimed_domain() as number:
        yield number


@pytest.fixture
def marker() -> Iterator[str]:
    """Marks every process of a test; after it, none is left and leaving one is a failure."""
    value = f"{os.getpid()}-{time.monotonic_ns()}"
    yield value
    left = survivors(value, within_s=5.0)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"processes survived the test: {left}"


@pytest.fixture
def nodes(domain: int, marker: str, tmp_path: Path) -> Iterator[Nodes]:
    logs = tmp_path / "logs"
    logs.mkdir()
    environment = {**ros_environment(domain, logs), MARKER: marker}
    with Fleet(logs, environment) as fleet:
        yield Nodes(fleet, tmp_path)


@pytest.fixture
def client(domain: int) -> Iterator[RosClient]:
    """The test's own node in the test's domain."""
    with RosClient(domain) as client:
        yield client
