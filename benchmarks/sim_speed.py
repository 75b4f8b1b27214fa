"""Robot-steps per second of every engine and of its peers, by batch size, and memory per robot."""

import os
from statistics import median
from typing import Any

from acclimate_sim.speed import MANY
from acclimate_sim.speed import measure as measure_speed
from benchmarks.peers import PEERS, Peer, installed
from benchmarks.peers import measure as measure_peer
from benchmarks.record import Figures

SIZES = (1, 16, 256, 4096, 65536, 2**18, 2**20)
CASES = {"analytic": SIZES, "fused": SIZES, "mujoco": SIZES[:4]}
"""MuJoCo's time per robot does not depend on how many there are."""
ROUNDS = 5
"""Of the comparison of one thread with all."""


def measure() -> Figures:
    """Robot-steps of 10 ms, signals included: one thread, all threads, and peers on one core."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "engines": {
            engine: {num_envs: _engine(engine, num_envs) for num_envs in sizes}
            for engine, sizes in CASES.items()
        },
        "peers": {name: _peer(name, peer) for name, peer in PEERS.items()},
    }


def _engine(name: str, num_envs: int) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    compared = cores > 1 and num_envs >= MANY
    alone, together = [], []
    for _ in range(ROUNDS if compared else 1):  # in turn: a shared machine changes its speed
        alone.append(measure_speed(name, num_envs))
        if compared:
            together.append(measure_speed(name, num_envs, threads=cores, seconds=0.5))
    best = max(alone, key=lambda speed: speed.per_core_second or 0.0)
    assert best.per_core_second is not None
    figures: dict[str, Any] = {
        "per_core_second": round(best.per_core_second),
        "per_second": round(best.per_second),
        "bytes_per_robot": best.bytes_per_robot,
    }
    if compared:
        pairs = zip(together, alone, strict=True)
        figures["per_second_all_cores"] = round(max(speed.per_second for speed in together))
        figures["all_cores_over_one"] = round(
            median(b.per_second / a.per_second for b, a in pairs), 2
        )
    print(f"   {name}, {num_envs} robots: {figures}", flush=True)
    return figures


def _peer(name: str, peer: Peer) -> dict[str, Any]:
    if not installed(peer):
        missing = f"not installed: {peer.install}"
        print(f"   {name}: {missing}", flush=True)
        return {"within": peer.within, "missing": missing}
    rates = measure_peer(peer)
    print(f"   {name}: {rates}", flush=True)
    return {"within": peer.within, "rates": rates}
