"""Checkpoints: everything a stopped run needs to go on as if it had not been stopped.

Random numbers need no place in them: every iteration draws from a generator of its own, seeded
by the run's seed and the iteration's number.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from acclimate_deploy.files import replacing
from acclimate_training.errors import TrainingError

ABOUT = ("config", "iteration", "elapsed_s")
"""What a checkpoint file holds beside the parts."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A moment of a training run.

    Attributes:
        config: The run's settings as plain data.
        iteration: Iterations completed.
        elapsed_s: Wall time spent on them.
        parts: State of all that training changes, by name; "policy" is what a run exports.
    """

    config: dict[str, Any]
    iteration: int
    elapsed_s: float
    parts: dict[str, dict[str, Any]]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all; raises TrainingError when the disk refuses."""
    try:
        with replacing(path) as temporary:
            about = {name: getattr(checkpoint, name) for name in ABOUT}
            torch.save({**about, **checkpoint.parts}, temporary)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"cannot write checkpoint {path} ({error}). The previous one is untouched. "
            "Fix: free disk space or permissions and run the same command to go on."
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises TrainingError if it is missing or damaged."""
    if not path.is_file():
        raise TrainingError(
            f"no checkpoint at {path}. Fix: give the directory of a training run (--run)."
        )
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(**{name: parts.pop(name) for name in ABOUT}, parts=parts)
    except (RuntimeError, TypeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read ({error}). "
            f"Fix: delete {path.parent} and train again."
        ) from error
