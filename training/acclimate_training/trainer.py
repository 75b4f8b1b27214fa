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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from acclimate_contract import multirotor_family
from acclimate_deploy.files import write_json
from acclimate_deploy.provenance import provenance
from acclimate_sim.multirotor import DISTRIBUTIONS, sample
from acclimate_training.algorithms.algorithm import Algorithm, AlgorithmMaker
from acclimate_training.algorithms.gradient_training import by_gradients
from acclimate_training.algorithms.meta_imitation import by_imitation
from acclimate_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.export import export_policy
from acclimate_training.parallel import Team, team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg

logger = logging.getLogger(__name__)

CHECKPOINT, POLICY, RUN, EVENTS = "checkpoint.pt", "policy.onnx", "run.json", "tensorboard"

ALGORITHMS: dict[str, AlgorithmMaker] = {
    "gradients": by_gradients,
    "meta-imitation": by_imitation,
}
"""Algorithm name -> constructor from settings, device and team."""

Report = Callable[[int, dict[str, float]], None]
"""Called after each iteration with the number completed and its figures."""


def train(cfg: TrainCfg, report: Report = lambda iteration, figures: None) -> Path:
    """Train until `cfg.iterations` are completed, going on from a checkpoint if there is one.

    Returns:
        Path of the exported policy, or of the checkpoint if no robot could fly it (an oracle).

    Raises:
        TrainingError: The directory holds another run, the disk refuses, a worker died, or a
            number stopped being finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state was saved first.
    """
    torch.set_num_threads(1)  # batches this small lose more to waiting than they gain
    device = choose_device(cfg.device)
    _check_team(cfg, device)
    _check_compiler(cfg)
    _check_family(cfg)
    done, elapsed_s = _progress_of(_last_checkpoint(cfg))
    iteration = done
    logger.info("%d of %d iterations are done", done, cfg.iterations)
    _record_run(cfg, done, device)
    started = last_save = time.monotonic()
    # purge_step drops what a killed run logged after its last checkpoint.
    with (
        _stop_signals() as stop,
        team(cfg.workers, partial(_follow, cfg)) as crew,
        SummaryWriter(str(cfg.out / EVENTS), purge_step=iteration) as events,
    ):
        algorithm = _start(cfg, device, crew)

        def save() -> None:
            spent_s = elapsed_s + time.monotonic() - started
            _save(cfg, algorithm, iteration, spent_s)

        while iteration < cfg.iterations:
            figures = crew.average_figures(algorithm.iterate(iteration))
            _check_finite(cfg, iteration, figures)
            iteration += 1
            for name, value in figures.items():
                events.add_scalar(name, value, iteration)
            report(iteration, figures)
            if stop() or time.monotonic() - last_save > cfg.checkpoint_interval_s:
                save()
                last_save = time.monotonic()
            if stop():
                raise KeyboardInterrupt
        if iteration > done:
            save()
    if cfg.policy.privileged:
        return cfg.out / CHECKPOINT
    export_run(cfg.out, cfg.out / POLICY)
    return cfg.out / POLICY


def _start(cfg: TrainCfg, device: torch.device, crew: Team) -> Algorithm:
    """Build the algorithm as it was when the last checkpoint was written, or as it begins."""
    torch.manual_seed(cfg.seed)
    algorithm = ALGORITHMS[cfg.algorithm](cfg, device, crew)
    checkpoint = _last_checkpoint(cfg)
    if checkpoint is not None:
        for name, part in algorithm.parts.items():
            part.load_state_dict(checkpoint.parts[name])
    return algorithm


def _follow(cfg: TrainCfg, crew: Team) -> None:
    """What a worker does; the leader alone reports, saves and decides when to stop."""
    torch.set_num_threads(1)
    iteration, _ = _progress_of(_last_checkpoint(cfg))
    algorithm = _start(cfg, torch.device("cpu"), crew)
    for i in range(iteration, cfg.iterations):
        crew.average_figures(algorithm.iterate(i))


def export_run(run: Path, path: Path) -> None:
    """Export the last checkpoint of a run, finished or not."""
    checkpoint = load_checkpoint(run / CHECKPOINT)
    settings = checkpoint.config
    policy = MultirotorPolicy(PolicyCfg(**settings["policy"]))
    policy.load_state_dict(checkpoint.parts["policy"])
    origin = json.loads((run / RUN).read_text())["provenance"]
    export_policy(
        policy,
        path,
        name=path.parent.name,
        distribution=DISTRIBUTIONS[settings["space"]]().to_json(),
        provenance={
            **origin,
            "situations": settings["situations"],
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


def _check_team(cfg: TrainCfg, device: torch.device) -> None:
    if cfg.workers > 1 and device.type != "cpu":
        raise TrainingError(
            f"{cfg.workers} workers share CPU cores, and this run computes on {device}, which one "
            "process fills. Fix: --workers 1, or --device cpu."
        )


def _check_family(cfg: TrainCfg) -> None:
    """Refuse to give setpoints to motors that the robots do not have."""
    robots = sample(DISTRIBUTIONS[cfg.space](), 1, torch.Generator())
    family = multirotor_family(robots.num_motors)
    if family.name != cfg.policy.family:
        raise TrainingError(
            f"the robots of --space {cfg.space} are {family.name}s and the policy is for a "
            f"{cfg.policy.family}. Fix: --policy.family {family.name}."
        )


def _check_finite(cfg: TrainCfg, iteration: int, figures: dict[str, float]) -> None:
    """Stop before a broken state is saved."""
    broken = {name: value for name, value in figures.items() if not math.isfinite(value)}
    if broken:
        raise TrainingError(
            f"{broken} at iteration {iteration} of {cfg.iterations}. The last checkpoint is "
            "untouched. Fix: lower --learning-rate or --state-damping, or report this seed."
        )


def _settings(cfg: TrainCfg) -> dict[str, Any]:
    """What must agree for a run to be the same run, wherever it lies."""
    settings = asdict(cfg)
    for name in ("out", "checkpoint_interval_s", "device", "compile"):
        del settings[name]
    return settings


def _last_checkpoint(cfg: TrainCfg) -> Checkpoint | None:
    """The state to go on from, or none for a fresh run; raises TrainingError for another's."""
    path = cfg.out / CHECKPOINT
    if not path.exists():
        if (cfg.out / POLICY).exists():
            raise TrainingError(
                f"{cfg.out} holds a policy but no checkpoint of this run, and training would "
                "replace it. Fix: choose another --out or delete the directory."
            )
        return None
    checkpoint = load_checkpoint(path)
    # A run that was started before a setting existed had its default.
    ours, theirs = _settings(cfg), {**_settings(TrainCfg()), **checkpoint.config}
    different = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
    if different:
        raise TrainingError(
            f"{cfg.out} holds a run with other settings ({', '.join(different)}). "
            "Fix: choose another --out, or the settings in its run.json to go on with it."
        )
    return checkpoint


def _progress_of(checkpoint: Checkpoint | None) -> tuple[int, float]:
    """Iterations completed and the time they took, in s."""
    return (0, 0.0) if checkpoint is None else (checkpoint.iteration, checkpoint.elapsed_s)


def _save(cfg: TrainCfg, algorithm: Algorithm, iteration: int, elapsed_s: float) -> None:
    checkpoint = Checkpoint(
        config=_settings(cfg),
        iteration=iteration,
        elapsed_s=elapsed_s,
        parts={name: part.state_dict() for name, part in algorithm.parts.items()},
    )
    save_checkpoint(cfg.out / CHECKPOINT, checkpoint)


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
