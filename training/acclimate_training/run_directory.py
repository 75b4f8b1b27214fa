"""What a training run leaves in its directory: its record, figures and checkpoints."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from acclimate_deploy.files import write_json
from acclimate_deploy.provenance import provenance
from acclimate_training.algorithms.algorithm import Algorithm
from acclimate_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError

CHECKPOINT, POLICY, RUN, EVENTS = "checkpoint.pt", "policy.onnx", "run.json", "tensorboard"

Report = Callable[[int, dict[str, float]], None]
"""Called after each iteration with the number completed and its figures."""


def settings_of(cfg: TrainCfg) -> dict[str, Any]:
    """What must agree for a run to be the same run, wherever it lies and whoever computes it."""
    settings = asdict(cfg)
    for name in ("out", "workers", "checkpoint_interval_s", "device", "compile"):
        del settings[name]
    return settings


def different(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Names of the settings that do not agree; who does not know a setting has its default."""
    defaults = settings_of(TrainCfg())
    ours, theirs = defaults | ours, defaults | theirs
    return sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )


def last_checkpoint(cfg: TrainCfg) -> Checkpoint | None:
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
    # Runs of old have the number of their workers, which any number of processes may go on with.
    theirs = {name: value for name, value in checkpoint.config.items() if name != "workers"}
    if names := different(settings_of(cfg), theirs):
        raise TrainingError(
            f"{cfg.out} holds a run with other settings ({', '.join(names)}). "
            "Fix: choose another --out, or the settings in its run.json to go on with it."
        )
    return checkpoint


def record_run(cfg: TrainCfg, device: torch.device, processes: int, *, fresh: bool) -> None:
    """Write run.json for a fresh run; a resumed run keeps the record of its beginning."""
    path = cfg.out / RUN
    if path.exists() and not fresh:
        return
    origin = {**provenance(cfg.seed), "device": str(device), "processes": processes}
    try:
        write_json(path, {"config": {**asdict(cfg), "out": str(cfg.out)}, "provenance": origin})
    except OSError as error:
        raise TrainingError(
            f"cannot write into {cfg.out} ({error}). Fix: choose another --out."
        ) from error


@dataclass(kw_only=True)
class RunLog:
    """Writes down a run as it goes.

    Attributes:
        cfg: Of the run.
        algorithm: What is saved.
        events: TensorBoard's.
        report: Hears of each iteration.
        begin_s: Wall time that earlier iterations took.
    """

    cfg: TrainCfg
    algorithm: Algorithm
    events: SummaryWriter
    report: Report
    begin_s: float
    _started: float = field(default_factory=time.monotonic)
    _last_save: float = field(default_factory=time.monotonic)

    def add(self, iteration: int, figures: dict[str, float]) -> None:
        """Take note of the iteration completed last, and save now and then."""
        for name, value in figures.items():
            self.events.add_scalar(name, value, iteration)
        self.report(iteration, figures)
        if time.monotonic() - self._last_save > self.cfg.checkpoint_interval_s:
            self.save(iteration)

    def save(self, iteration: int) -> None:
        """Save the state after so many iterations."""
        checkpoint = Checkpoint(
            config=settings_of(self.cfg),
            iteration=iteration,
            elapsed_s=self.begin_s + time.monotonic() - self._started,
            parts={name: part.state_dict() for name, part in self.algorithm.parts.items()},
        )
        save_checkpoint(self.cfg.out / CHECKPOINT, checkpoint)
        self._last_save = time.monotonic()
