"""One meta-training iteration, compiled against eager, on the same core."""

import os
import statistics
import time

import torch

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.algorithms.unroll import Unroll, make_unroll
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import TrackingCost
from benchmarks.record import Figures

SPACE, NUM_ENVS, NUM_STEPS = "noisy", 256, 250
ROUNDS, COMPILED_PER_ROUND = 3, 4


def measure() -> Figures:
    """Seconds per iteration (256 robots, 250 Runge-Kutta steps, forward and backward)."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    try:
        return _measure()
    finally:
        os.sched_setaffinity(0, cores)


def _measure() -> Figures:
    policy, weights = MultirotorPolicy(PolicyCfg()), TrackingCost()
    step = make_step(policy, weights, Taming())
    eager, compiled = (make_unroll(step, policy, compile=c) for c in (False, True))

    def iteration(unroll: Unroll, num_steps: int) -> float:
        generator = torch.Generator().manual_seed(0)
        episodes = draw_episodes(
            DISTRIBUTIONS[SPACE](), Situations(), NUM_ENVS, num_steps, generator
        )
        started = time.perf_counter()
        fly(policy, unroll, episodes, weights).cost.backward()
        return time.perf_counter() - started

    compile_s = iteration(compiled, 2)
    iteration(compiled, NUM_STEPS)
    iteration(eager, 2)
    times: dict[str, list[float]] = {"eager": [], "compiled": []}
    for _ in range(ROUNDS):  # alternating, so that a busy moment hits both
        times["eager"].append(iteration(eager, NUM_STEPS))
        times["compiled"] += [iteration(compiled, NUM_STEPS) for _ in range(COMPILED_PER_ROUND)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "num_envs": NUM_ENVS,
        "num_steps": NUM_STEPS,
        "compile_s": round(compile_s, 1),
        "eager_s": [round(t, 3) for t in times["eager"]],
        "compiled_s": [round(t, 3) for t in times["compiled"]],
        "eager_median_s": round(medians["eager"], 3),
        "compiled_median_s": round(medians["compiled"], 3),
        "speed_up": round(medians["eager"] / medians["compiled"], 1),
        "robot_steps_per_core_second": round(NUM_ENVS * NUM_STEPS / medians["compiled"]),
    }
