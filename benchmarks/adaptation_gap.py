"""What adaptation is worth: six policies of equal size, an equal budget each, the same robots.

Every variant has a run directory of its own; a stopped measurement goes on where it left off.
"""

from pathlib import Path

from rich.console import Console

from acclimate_training.checkpoint import load_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.evaluation.adaptation import VARIANTS, compare
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.progress import training_progress
from acclimate_training.trainer import CHECKPOINT, train
from benchmarks.record import Figures

RUNS = Path("runs/adaptation_gap")
ITERATIONS, NUM_ENVS = 600, 256
FIRST_HORIZON, LAST_HORIZON = 50, 200
COMPILE = True


def measure() -> Figures:
    """Cost of every variant on known and held-out families, and the share of the gap it closes."""
    console = Console(stderr=True)
    figures = compare(_trained, lambda name: console.print(f"   {name}", highlight=False))
    budget = {
        "iterations": ITERATIONS,
        "num_envs": NUM_ENVS,
        "first_horizon": FIRST_HORIZON,
        "last_horizon": LAST_HORIZON,
    }
    return {"budget": budget, **figures}


def _trained(policy: PolicyCfg) -> MultirotorPolicy:
    """Train a variant, or go on with it; a finished one is only loaded."""
    cfg = _settings(policy)
    with training_progress(cfg) as report:
        train(cfg, report)
    trained = MultirotorPolicy(policy)
    trained.load_state_dict(load_checkpoint(cfg.out / CHECKPOINT).parts["policy"])
    return trained.eval()


def _settings(policy: PolicyCfg) -> TrainCfg:
    name = next(name for name, cfg in VARIANTS.items() if cfg == policy)
    return TrainCfg(
        out=RUNS / name.replace(" ", "-"),
        space="delayed",
        policy=policy,
        iterations=ITERATIONS,
        num_envs=NUM_ENVS,
        first_horizon=FIRST_HORIZON,
        last_horizon=LAST_HORIZON,
        compile=COMPILE,
    )
