"""One peer, in a process of its own, so that none disturbs another."""

import importlib
import json
import os
import sys

import torch

from acclimate_sim.speed import best_round

SECONDS = 0.5


def main(module: str, sizes: str, *arguments: str) -> int:
    """Measure every size, given with commas, and print the rates."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    make = importlib.import_module(f"benchmarks.peers.{module}").make
    rates = {}
    for num_envs in map(int, sizes.split(",")):
        fly, robot_steps = make(num_envs, *arguments)
        fly(2)  # compiles
        wall_s, core_s = best_round(fly, SECONDS)
        rates[num_envs] = {
            "per_second": round(robot_steps / wall_s, 1),
            "per_core_second": round(robot_steps / core_s, 1),
        }
    print(json.dumps(rates))
    return 0


sys.exit(main(*sys.argv[1:]))
