"""Ways to the same policy, on RAPTOR's ground: gradients, one teacher, many teachers, a latent.

All train the same small policy on the same distribution with batches of the same size; many
teachers take more iterations.
Every contestant has a run directory of its own; a stopped measurement goes on where it left off.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from acclimate_training.checkpoint import load_checkpoint
from acclimate_training.commands import EvaluateCfg
from acclimate_training.config import ImitationCfg, TrainCfg
from acclimate_training.evaluation.evaluate import POLICY, evaluate
from acclimate_training.progress import training_progress
from acclimate_training.trainer import CHECKPOINT, train
from benchmarks.record import Figures

RUNS = Path("runs/algorithms")
ITERATIONS, TEACHER_ITERATIONS, STUDENT_ITERATIONS = 500, 200, 300
MANY_TEACHERS_ITERATIONS, MANY_TEACHERS_LEARNING_RATE = 500, 8e-3
"""Four robots per teacher and iteration give noisy gradients: smaller steps, and more of them."""
NUM_ENVS, WORKERS = 256, 1
FIRST_HORIZON, LAST_HORIZON = 50, 250
COMPILE = True
TEST_ROBOTS = 1024

IMITATION: dict[str, ImitationCfg] = {
    "meta-imitation, one privileged teacher": ImitationCfg(teacher_iterations=TEACHER_ITERATIONS),
    "meta-imitation, 64 teachers": ImitationCfg(
        teachers=64, teacher_iterations=MANY_TEACHERS_ITERATIONS
    ),
    "meta-imitation, one privileged teacher, latent of 8": ImitationCfg(
        teacher_iterations=TEACHER_ITERATIONS, latent=8
    ),
}
GRADIENTS = "gradients through the simulator"
RAPTOR = {
    "core_minutes": 32_800,
    "teachers": 1000,
    "source": "as published: Eschmann et al. 2025, arXiv 2509.11481",
}


def measure() -> Figures:
    """What each algorithm spends, and how well the policy that it exports flies."""
    figures: Figures = {
        "budget": {
            "iterations": ITERATIONS,
            "teacher_iterations": TEACHER_ITERATIONS,
            "teacher_iterations_of_many": MANY_TEACHERS_ITERATIONS,
            "num_envs": NUM_ENVS,
            "first_horizon": FIRST_HORIZON,
            "last_horizon": LAST_HORIZON,
            "workers": WORKERS,
        },
        "test_robots": TEST_ROBOTS,
    }
    for name, cfg in contestants().items():
        with training_progress(cfg) as report:
            policy = train(cfg, report)
        figures[name] = {**_spent(cfg), **_flown(policy)}
    return {**figures, "RAPTOR": RAPTOR}


def contestants() -> dict[str, TrainCfg]:
    """Settings of every training run, by what the figures call it."""
    plain = TrainCfg(
        out=RUNS / "gradients",
        space="published",
        iterations=ITERATIONS,
        num_envs=NUM_ENVS,
        workers=WORKERS,
        first_horizon=FIRST_HORIZON,
        last_horizon=LAST_HORIZON,
        compile=COMPILE,
    )
    runs = {GRADIENTS: plain}
    for name, imitation in IMITATION.items():
        runs[name] = replace(
            plain,
            out=RUNS / name.replace(",", "").replace(" ", "-"),
            algorithm="meta-imitation",
            imitation=imitation,
            iterations=imitation.teacher_iterations + STUDENT_ITERATIONS,
        )
        if imitation.num_teachers > 1:
            runs[name] = replace(runs[name], learning_rate=MANY_TEACHERS_LEARNING_RATE)
    return runs


def _spent(cfg: TrainCfg) -> dict[str, Any]:
    """Time for everything from the first iteration to the last, compilation included."""
    minutes = load_checkpoint(cfg.out / CHECKPOINT).elapsed_s / 60.0
    return {
        "teachers": cfg.imitation.num_teachers if cfg.algorithm == "meta-imitation" else 0,
        "wall_minutes": round(minutes, 1),
        "core_minutes": round(minutes * cfg.workers, 1),
    }


def _flown(policy: Path) -> dict[str, Any]:
    """The exported policy on fresh robots of the published distribution, through onnxruntime."""
    cfg = EvaluateCfg(policy=policy, suite="ground", robots=TEST_ROBOTS)
    with Console(stderr=True).status("loading") as status:
        record, _ = evaluate(cfg, status.update)
    figures = record["figures"][POLICY]
    hold = figures["hold"]
    return {
        "terminated": hold["terminated"],
        "lost": hold["lost"],
        "final_error_median_m": hold["final_error_median_m"],
        "final_error_p90_m": hold["final_error_p90_m"],
        "figure_eight_10s_rmse_median_m": figures["figure_eight_10s"]["rmse_median_m"],
        "figure_eight_5.5s_rmse_median_m": figures["figure_eight_5.5s"]["rmse_median_m"],
    }
