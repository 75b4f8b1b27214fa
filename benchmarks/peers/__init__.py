"""Other simulators, measured beside ours; each runs in a process of its own, on one core."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRA = "pip install -e '.[bench-peers]'"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A simulator, or one way to use it.

    Attributes:
        module: In this package, with a function `make(num_envs, *arguments)` that gives what makes
            so many steps, and how many robot-steps one of them is.
        package: What it imports.
        install: How to get it.
        within: What it computes in a robot-step.
        sizes: Batch sizes.
        arguments: Of `make`.
    """

    module: str
    package: str
    install: str
    within: str
    sizes: tuple[int, ...]
    arguments: tuple[str, ...] = ()


SIZES = (1, 16, 256, 4096, 65536)
LARGE = (4096, 65536)
CRAZYFLOW = "first principles, rotor lag, drag; float32; {}; its state is the observation"
PEERS = {
    "crazyflow, Euler": Peer(
        module="crazyflow_steps",
        package="crazyflow",
        install=EXTRA,
        within=CRAZYFLOW.format("one explicit Euler step of 10 ms"),
        sizes=SIZES,
        arguments=("euler", "1"),
    ),
    "crazyflow, Euler, 10 steps a call": Peer(
        module="crazyflow_steps",
        package="crazyflow",
        install=EXTRA,
        within=CRAZYFLOW.format("one explicit Euler step of 10 ms, actions held for ten"),
        sizes=LARGE,
        arguments=("euler", "10"),
    ),
    "crazyflow, RK4": Peer(
        module="crazyflow_steps",
        package="crazyflow",
        install=EXTRA,
        within=CRAZYFLOW.format("one Runge-Kutta step of 10 ms"),
        sizes=SIZES,
        arguments=("rk4", "1"),
    ),
    "crazyflow, RK4, 10 steps a call": Peer(
        module="crazyflow_steps",
        package="crazyflow",
        install=EXTRA,
        within=CRAZYFLOW.format("one Runge-Kutta step of 10 ms, actions held for ten"),
        sizes=LARGE,
        arguments=("rk4", "10"),
    ),
    "l2f": Peer(
        module="l2f_steps",
        package="l2f",
        install="pip install l2f==2.0.18 (compiles for ten minutes in 6 GB)",
        within="rotor lag; float32; one Runge-Kutta step of 10 ms; its observation, which goes on "
        "with the last actions",
        sizes=(1, 16, 256, 4096, 8192),
    ),
    "Gymnasium, Ant-v5": Peer(
        module="gymnasium_steps",
        package="gymnasium",
        install=EXTRA,
        within="another robot, 14 degrees of freedom and contacts; float64; five Runge-Kutta steps "
        "of 10 ms in MuJoCo; observation, reward, resets",
        sizes=(1, 16),
        arguments=("Ant-v5",),
    ),
    "Gymnasium, our Quadrotor-v0 in the engine fused": Peer(
        module="gymnasium_steps",
        package="gymnasium",
        install="pip install -e .",
        within="ours as other libraries see it: observation, reward, resets, arrays of NumPy",
        sizes=SIZES,
        arguments=("acclimate_sim.envs:acclimate/Quadrotor-v0", "fused"),
    ),
}


class PeerError(RuntimeError):
    """A peer is there and did not run."""


def installed(peer: Peer) -> bool:
    """Whether its package can be imported."""
    return importlib.util.find_spec(peer.package) is not None


def measure(peer: Peer) -> dict[int, dict[str, float]]:
    """Robot-steps per second of the clock and of the processor, on one core, by batch size.

    Raises:
        PeerError: It failed.
    """
    sizes = ",".join(map(str, peer.sizes))
    command = [sys.executable, "-m", "benchmarks.peers", peer.module, sizes, *peer.arguments]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    settings = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    with tempfile.TemporaryDirectory() as folder:  # MuJoCo logs to where it runs
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | settings, cwd=folder
        )
    if done.returncode:
        raise PeerError(f"{peer.module} failed: {done.stderr.strip()[-500:]}")
    rates = json.loads(done.stdout.splitlines()[-1])
    return {int(num_envs): rate for num_envs, rate in rates.items()}
