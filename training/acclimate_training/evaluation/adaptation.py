"""Does memory pay? Policies of equal size on the same budget, with and without it.

The family has an unknown control delay (see `delayed_family`). An oracle that is told the true
robot bounds what any policy can reach, a memoryless policy shows what one policy for all robots
reaches, and the share of the gap between them that a memory closes is what adaptation is worth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from acclimate_sim.multirotor import DISTRIBUTIONS, resting
from acclimate_sim.references import Reference
from acclimate_sim.trees import steps
from acclimate_training.algorithms.gradients import (
    Taming,
    constants,
    make_step,
    moments,
    take_off,
)
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import (
    LOST_DISTANCE_M,
    TrackingCost,
    step_cost,
)
from acclimate_training.problems.privileged import num_privileged

ORACLE, ROBUST, ADAPTIVE = "oracle", "robust", "adaptive"
_NO_MEMORY = PolicyCfg(cell="none", width=40, memory_width=28, integrate=False)
VARIANTS = {
    ORACLE: replace(_NO_MEMORY, width=24, memory_width=20, privileged=num_privileged(num_motors=4)),
    ROBUST: _NO_MEMORY,
    "robust without previous action": replace(_NO_MEMORY, memory_width=32, previous_action=False),
    "integral alone": replace(_NO_MEMORY, width=38, memory_width=27, integrate=True),
    "frame stack": PolicyCfg(cell="stack", width=8, memory_width=14, integrate=False),
    ADAPTIVE: PolicyCfg(),
}
"""2,026 to 2,084 parameters each."""

FAMILIES = {"in distribution": "delayed", "held out": "held_out"}
NUM_TEST_ROBOTS, TEST_STEPS = 2048, 500
TEST_SEED = 2_000_000
BOOTSTRAPS = 1000

Trainer = Callable[[PolicyCfg], MultirotorPolicy]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One variant on one family, one entry per test robot.

    Attributes:
        cost: (num_robots,), mean tracking cost per step, those after a loss included.
        final_error_m: (num_robots,), mean distance over the last second.
        lost: (num_robots,), 1 where control was lost.
    """

    cost: np.ndarray
    final_error_m: np.ndarray
    lost: np.ndarray


def compare(train: Trainer, progress: Callable[[str], None] = lambda name: None) -> dict[str, Any]:
    """Train every variant with the same budget and fly all of them on the same fresh robots."""
    policies = {}
    for name, cfg in VARIANTS.items():
        progress(name)
        policies[name] = train(cfg)
    figures: dict[str, Any] = {
        "parameters": {name: policy.num_parameters for name, policy in policies.items()}
    }
    for label, family in FAMILIES.items():
        progress(f"flying: {label}")
        outcomes = {name: outcome(policy, family) for name, policy in policies.items()}
        rows = {name: summary(flown) for name, flown in outcomes.items()}
        figures[label] = {"variants": rows, "gap": gap_closed(outcomes)}
    return figures


def outcome(policy: MultirotorPolicy, family: str) -> Outcome:
    """Fly a policy on the test robots of a family, the same for every policy.

    Training charges a lost robot nothing more, for there is nothing left to learn. Here that would
    reward an early crash, so every step after a loss costs what resting far away does.
    """
    generator = torch.Generator().manual_seed(TEST_SEED)
    episodes = draw_episodes(
        DISTRIBUTIONS[family](), Situations(), NUM_TEST_ROBOTS, TEST_STEPS, generator
    )
    weights = TrackingCost()
    control_step, missed = make_step(policy, weights, Taming()), cost_when_lost(weights)
    costs, distances = [], []
    with torch.no_grad():
        carry = take_off(policy, episodes)
        for moment in steps(moments(episodes, weights)):
            carry, cost, distance = control_step(*constants(episodes), carry, moment)
            costs.append(cost + missed * (1.0 - carry.flying))
            distances.append(distance)
    return Outcome(
        cost=torch.stack(costs).mean(0).numpy(),
        final_error_m=torch.stack(distances[-100:]).mean(0).numpy(),
        lost=1.0 - carry.flying.numpy(),
    )


def cost_when_lost(weights: TrackingCost) -> float:
    """Cost per step of resting at the distance from which on a robot counts as lost."""
    still = torch.zeros(1, 4)
    away = Reference(
        position=torch.tensor([[LOST_DISTANCE_M, 0.0, 0.0]]), linear_velocity=torch.zeros(1, 3)
    )
    cost, _ = step_cost(weights, resting(1, like=still), away, still, still, torch.ones(()))
    return cost.item()


def summary(flown: Outcome) -> dict[str, float | None]:
    """Mean cost with its standard error, median final error of the survivors, share lost."""
    kept = flown.final_error_m[flown.lost == 0]
    return {
        "cost": float(flown.cost.mean()),
        "cost_standard_error": float(flown.cost.std() / np.sqrt(len(flown.cost))),
        "final_error_median_m": float(np.median(kept)) if len(kept) else None,
        "lost": float(flown.lost.mean()),
    }


def gap_closed(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Share of the gap from robust to oracle that each other variant closes.

    A gap is reported only where oracle and robust differ by more than two standard errors of
    their paired difference. The interval is a 95 % bootstrap over robots.
    """
    robust, oracle = outcomes[ROBUST].cost, outcomes[ORACLE].cost
    difference = robust - oracle
    error = float(difference.std() / np.sqrt(len(difference)))
    gap: dict[str, Any] = {
        "robust_minus_oracle": float(difference.mean()),
        "standard_error": error,
    }
    if difference.mean() <= 2 * error:
        return {**gap, "closed": None}
    rng = np.random.default_rng(0)
    draws = rng.integers(len(difference), size=(BOOTSTRAPS, len(difference)))
    spread = difference[draws].mean(1)
    closed = {}
    for name, flown in outcomes.items():
        if name in (ORACLE, ROBUST):
            continue
        gained = robust - flown.cost
        low, high = np.percentile(gained[draws].mean(1) / spread, (2.5, 97.5))
        share = gained.mean() / difference.mean()
        closed[name] = {"share": float(share), "low": float(low), "high": float(high)}
    return {**gap, "closed": closed}
