"""A training run: iterate, report, save; resumable at any moment."""

import json
import logging
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from acclimate_deploy.files import write_json
from acclimate_deploy.provenance import provenance
from acclimate_sim.quadrotor import DISTRIBUTIONS
from acclimate_training.algorithms.gradients import Rollout, Step, Taming, fly, make_step
from acclimate_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.export import export_policy
from acclimate_training.policies import QuadrotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import SITUATIONS, draw_episodes
from acclimate_training.problems.quadrotor_tracking import TrackingCost

logger = logging.getLogger(__name__)

CHECKPOINT, POLICY, RUN, EVENTS = "checkpoint.pt", "policy.onnx", "run.json", "tensorboard"

Report = Callable[[int, dict[str, float]], None]
"""Called after each iteration with the number completed and its figures."""


def train(cfg: TrainCfg, report: Report = lambda iteration, figures: None) -> Path:
    """Train until `cfg.iterations` are completed, going on from a checkpoint if there is one.

    Returns:
        Path of the exported policy.

    Raises:
        TrainingError: The directory holds another run, the disk refuses, or a number stopped
            being finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state was saved first.
    """
    torch.set_num_threads(1)  # batches this small lose more to waiting than they gain
    device = choose_device(cfg.device)
    _check_compiler(cfg)
    torch.manual_seed(cfg.seed)
    policy = QuadrotorPolicy(cfg.policy).to(device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=cfg.learning_rate)
    iteration, elapsed_s = _restore(cfg, policy, optimizer)
    _record_run(cfg, iteration, device)

    def save() -> None:
        save_checkpoint(
            cfg.out / CHECKPOINT,
            Checkpoint(
                config=_settings(cfg),
                iteration=iteration,
                elapsed_s=elapsed_s + time.monotonic() - started,
                policy=policy.state_dict(),
                optimizer=optimizer.state_dict(),
            ),
        )

    started = last_save = time.monotonic()
    iterate = _make_iteration(cfg, policy, optimizer, device)
    # purge_step drops what a killed run logged after its last checkpoint.
    with (
        _stop_signals() as stop,
        SummaryWriter(str(cfg.out / EVENTS), purge_step=iteration) as events,
    ):
        while iteration < cfg.iterations:
            figures = iterate(iteration)
            iteration += 1
            for name, value in figures.items():
                events.add_scalar(name, value, iteration)
            report(iteration, figures)
            if stop() or time.monotonic() - last_save > cfg.checkpoint_interval_s:
                save()
                last_save = time.monotonic()
            if stop():
                raise KeyboardInterrupt
        save()
    export_run(cfg.out, cfg.out / POLICY)
    return cfg.out / POLICY


def export_run(run: Path, path: Path) -> None:
    """Export the last checkpoint of a run, finished or not."""
    checkpoint = load_checkpoint(run / CHECKPOINT)
    settings = checkpoint.config
    policy = QuadrotorPolicy(PolicyCfg(**settings["policy"]))
    policy.load_state_dict(checkpoint.policy)
    origin = json.loads((run / RUN).read_text())["provenance"]
    export_policy(
        policy,
        path,
        name=path.parent.name,
        distribution=DISTRIBUTIONS[settings["space"]]().to_json(),
        provenance={
            **origin,
            "iterations": checkpoint.iteration,
            "training_seconds": round(checkpoint.elapsed_s, 1),
        },
    )


def choose_device(name: str) -> torch.device:
    """Resolve "auto"; raises TrainingError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "--device cuda was asked for and torch sees no CUDA device. "
            "Fix: use --device auto, or install a CUDA build of torch and its driver."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _check_compiler(cfg: TrainCfg) -> None:
    """Refuse to compile without a compiler before torch fails at length."""
    compilers = [os.environ.get("CXX", ""), "g++", "clang++"]
    if cfg.compile and not any(map(shutil.which, filter(None, compilers))):
        raise TrainingError(
            "no C++ compiler was found, and without one the control step cannot be compiled. "
            "Fix: apt install g++, or train ten times slower with --no-compile."
        )


def _make_iteration(
    cfg: TrainCfg,
    policy: QuadrotorPolicy,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> Callable[[int], dict[str, float]]:
    """Build the function that performs one gradient step and returns its figures."""
    space, situations = DISTRIBUTIONS[cfg.space](), SITUATIONS[cfg.situations]
    weights = TrackingCost()
    taming = Taming(state_damping=cfg.state_damping, max_robot_gradient=cfg.max_robot_gradient)
    control_step: Step = make_step(policy, weights, taming)
    if cfg.compile:
        control_step = torch.compile(control_step, dynamic=False)

    def iterate(iteration: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed((cfg.seed << 32) + iteration)
        horizon = cfg.horizon(iteration)
        episodes = draw_episodes(
            space, situations, cfg.num_envs, horizon, generator, preview=cfg.policy.preview
        ).to(device)
        for group in optimizer.param_groups:
            group["lr"] = cfg.learning_rate_at(iteration)
        optimizer.zero_grad(set_to_none=True)
        rollout = fly(policy, control_step, episodes, weights)
        rollout.cost.backward()
        limit = cfg.max_gradient_norm * horizon  # the cost is summed over time
        norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), limit)
        figures = _figures(cfg, iteration, rollout, float(norm) / horizon, horizon)
        optimizer.step()
        return figures

    return iterate


def _figures(
    cfg: TrainCfg, iteration: int, rollout: Rollout, gradient_norm: float, horizon: int
) -> dict[str, float]:
    cost = rollout.cost.item() / horizon
    if not (math.isfinite(cost) and math.isfinite(gradient_norm)):
        raise TrainingError(
            f"cost is {cost} and the gradient's norm {gradient_norm} at iteration {iteration} "
            f"(horizon {horizon}, learning rate {cfg.learning_rate_at(iteration):.2g}). The "
            "weights of the last checkpoint are untouched. Fix: lower --learning-rate or "
            "--state-damping, or report this seed."
        )
    return {
        "cost": cost,
        "final_distance_m/median": rollout.final_distance_m.median().item(),
        "lost_fraction": rollout.lost.mean().item(),
        "gradient_norm": gradient_norm,
        "horizon": float(horizon),
    }


def _settings(cfg: TrainCfg) -> dict[str, Any]:
    """What must agree for a run to be the same run, wherever it lies."""
    settings = asdict(cfg)
    for name in ("out", "checkpoint_interval_s", "device", "compile"):
        del settings[name]
    return settings


def _restore(
    cfg: TrainCfg, policy: QuadrotorPolicy, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    path = cfg.out / CHECKPOINT
    if not path.exists():
        if (cfg.out / POLICY).exists():
            raise TrainingError(
                f"{cfg.out} holds a policy but no checkpoint of this run, and training would "
                "replace it. Fix: choose another --out or delete the directory."
            )
        return 0, 0.0
    checkpoint = load_checkpoint(path)
    ours, theirs = _settings(cfg), checkpoint.config
    different = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    if different:
        raise TrainingError(
            f"{cfg.out} holds a run with other settings ({', '.join(different)}). "
            "Fix: choose another --out, or the settings in its run.json to go on with it."
        )
    policy.load_state_dict(checkpoint.policy)
    optimizer.load_state_dict(checkpoint.optimizer)
    logger.info("going on at iteration %d of %d", checkpoint.iteration, cfg.iterations)
    return checkpoint.iteration, checkpoint.elapsed_s


def _record_run(cfg: TrainCfg, iteration: int, device: torch.device) -> None:
    """Write run.json for a fresh run; a resumed run keeps the record of its beginning."""
    path = cfg.out / RUN
    if iteration and path.exists():
        return
    origin = {**provenance(cfg.seed), "device": str(device)}
    try:
        write_json(path, {"config": {**asdict(cfg), "out": str(cfg.out)}, "provenance": origin})
    except OSError as error:
        raise TrainingError(
            f"cannot write into {cfg.out} ({error}). Fix: choose another --out."
        ) from error


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question asked between iterations; a second one insists."""
    stopped = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
