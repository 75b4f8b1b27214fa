"""Against the exact answer: the meta-trained memory policy beside the Bayes-optimal controller.

On a plant of unknown gain the best that anyone can do is known. A policy meta-trained as all others
here, by gradients through plant and memory, has to come within `MARGIN` of it on fresh plants:
the whole interval of its relative excess lies below.
"""

import time

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from acclimate_training.problems.unknown_gain import (
    Controller,
    UnknownGain,
    draw,
    episode_cost,
    informed,
)
from acclimate_training.problems.unknown_gain_exact import solve
from acclimate_training.problems.unknown_gain_policy import MemoryPolicy, meta_train
from acclimate_training.problems.unknown_gain_rivals import certainty_equivalent, oracle, robust
from benchmarks.record import Figures

MARGIN = 0.05
ITERATIONS, NUM_ENVS = 4000, 512
FRESH_PLANTS = 400_000
SEED, FRESH_SEED = 0, 1
NORMAL_95 = 1.96


def measure() -> Figures:
    """Mean cost of an episode on fresh plants, and what the memory policy pays in excess."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(UnknownGain())
    finally:
        torch.set_num_threads(threads)


def _measure(plant: UnknownGain) -> Figures:
    started = time.process_time()
    optimum = solve(plant)
    solved = time.process_time()
    policy = trained_policy(plant)
    trained = time.process_time()
    fresh = draw(plant, FRESH_PLANTS, torch.Generator().manual_seed(FRESH_SEED))
    controllers: dict[str, Controller] = {
        "oracle": oracle(plant, fresh),
        "bayes_optimal": informed(plant, optimum.law),
        "memory_policy": policy.controller(),
        "certainty_equivalent": certainty_equivalent(plant),
        "robust": robust(plant),
    }
    with torch.no_grad():
        costs = {
            name: episode_cost(plant, fresh, controller).double()
            for name, controller in controllers.items()
        }
    low, high = excess_interval(costs["memory_policy"], costs["bayes_optimal"])
    return {
        "iterations": ITERATIONS,
        "num_envs": NUM_ENVS,
        "solve_core_s": round(solved - started, 1),
        "train_core_s": round(trained - solved, 1),
        "fresh_plants": FRESH_PLANTS,
        "bayes_optimal_expected_cost": round(optimum.expected_cost, 4),
        "cost": {name: round(float(cost.mean()), 4) for name, cost in costs.items()},
        "standard_error": {
            name: round(float(cost.std()) / len(cost) ** 0.5, 4) for name, cost in costs.items()
        },
        "excess_over_bayes_optimal": round(0.5 * (low + high), 4),
        "excess_95_percent": [round(low, 4), round(high, 4)],
        "margin": MARGIN,
        "within_margin": high < MARGIN,
    }


def trained_policy(plant: UnknownGain) -> MemoryPolicy:
    """Meta-train a policy, always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        policy = MemoryPolicy(plant)
    steps = meta_train(
        policy, torch.Generator().manual_seed(SEED), iterations=ITERATIONS, num_envs=NUM_ENVS
    )
    console = Console(stderr=True)
    for _ in track(steps, "   meta-training", total=ITERATIONS, console=console, transient=True):
        pass
    return policy


def excess_interval(cost: Tensor, reference: Tensor) -> tuple[float, float]:
    """95 % interval of mean(cost) / mean(reference) - 1 from the same plants, by the delta method.

    Args:
        cost: (num_envs,).
        reference: (num_envs,), on the same draws.
    """
    ratio = cost.mean() / reference.mean()
    error = (cost - ratio * reference).std() / reference.mean() / len(cost) ** 0.5
    return float(ratio - 1.0 - NORMAL_95 * error), float(ratio - 1.0 + NORMAL_95 * error)
