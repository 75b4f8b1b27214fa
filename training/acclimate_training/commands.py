"""Verbs of the `acclimate` command that need the training extra."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from acclimate_training.config import TrainCfg

EXTRA = "training"
REQUIRES = ("torch", "onnx", "onnxscript", "tensorboard")


def train(cfg: Annotated[TrainCfg, tyro.conf.arg(name="")]) -> int:
    """Meta-train a policy from nothing on this machine, or with torchrun on several."""
    from acclimate_training.progress import training_progress
    from acclimate_training.torchrun import launched
    from acclimate_training.trainer import train as run

    launch = launched()
    if launch and launch.rank > 0:
        run(cfg)
        return 0
    with training_progress(cfg) as report:
        path = run(cfg, report)
    if cfg.policy.privileged:
        print(f"checkpoint: {path} (an oracle: no robot can feed it)")
    else:
        print(f"policy: {path}\nnext:   acclimate evaluate {path}")
    return 0


@dataclass(frozen=True, kw_only=True)
class ExportCfg:
    """Export the policy of a training run, finished or not, from its last checkpoint."""

    run: Path = Path("runs/quadrotor-tiny")
    """Directory of the training run."""
    out: Path
    """Policy file to write."""


def export(cfg: Annotated[ExportCfg, tyro.conf.arg(name="")]) -> int:
    """Export a training run's last checkpoint as a policy file."""
    from acclimate_training.trainer import export_run

    export_run(cfg.run, cfg.out)
    print(f"policy: {cfg.out}")
    return 0


@dataclass(frozen=True, kw_only=True)
class EvaluateCfg:
    """Fly a policy on fresh robots and on every known platform, and report how well it did."""

    policy: tyro.conf.Positional[Path]
    """Policy file."""
    suite: Literal[
        "ground",
        "senses",
        "air",
        "body",
        "changes",
        "rates",
        "recovery",
        "endurance",
        "tampering",
        "knowledge",
        "full",
    ] = "ground"
    """What to fly: RAPTOR's ground, new ground of one kind, or everything."""
    robots: int = 4096
    """Fresh robots per scenario; on new ground at most 1,024 of them fly, on long flights fewer."""
    seed: int = 1_000_000
    """Seeds robots, first states and forces; training never uses this one."""
    engine: str = "analytic"
    """Fly the same robots in another engine too and show both side by side: mujoco (slower: take
    fewer robots), or mujoco_warp (needs the `warp` extra)."""
    peer: Literal["none", "raptor"] = "none"
    """Fly the same robots with a published policy too (needs the `peers` extra)."""
    peer_record: Path | None = None
    """Take the peer's figures from the record of an evaluation that flew it on the same suite,
    robots and seed, which is most of the time."""
    out: Path | None = None
    """Record (JSON); the default is evaluation.json beside the policy, or evaluation-SUITE.json
    for new ground of one kind, with the engine in its name if it is not the analytic one."""


def evaluate(cfg: Annotated[EvaluateCfg, tyro.conf.arg(name="")]) -> int:
    """Fly a policy on fresh robots and known platforms and report the figures."""
    from rich.console import Console

    from acclimate_training.evaluation.evaluate import evaluate as run
    from acclimate_training.evaluation.table import tables

    with Console(stderr=True).status("loading") as status:
        record, path = run(cfg, status.update)
    console = Console()
    for table in tables(record):
        console.print(table)
    if cfg.engine != "analytic":
        print(f"engine: analytic, and {cfg.engine} where a column says so")
    print(f"record: {path}")
    return 0


@dataclass(frozen=True, kw_only=True)
class ReleaseCfg:
    """Finish a policy for release: evaluation summary into the file, record bound to it, card."""

    policy: tyro.conf.Positional[Path]
    """Policy file with its evaluation.json beside it."""


def release(cfg: Annotated[ReleaseCfg, tyro.conf.arg(name="")]) -> int:
    """Put the evaluation's summary into a policy file and write its model card."""
    from acclimate_training.evaluation.card import release as run

    print(f"card: {run(cfg.policy)}")
    return 0


@dataclass(frozen=True, kw_only=True)
class PlotCfg:
    """Draw the first second of a policy on unknown robots, and what its memory knows by then."""

    policy: tyro.conf.Positional[Path]
    """Policy file with its evaluation.json (--suite full) beside it."""
    out: Path = Path("docs/adaptation.svg")
    """Picture (SVG)."""
    robots: int = 1024
    """Fresh robots from the published distribution."""
    seed: int = 1_000_000
    """Seeds robots, motors and forces, as in `acclimate evaluate`."""
    peer: Literal["none", "raptor"] = "none"
    """Fly the same robots with a published policy too (needs the `peers` extra)."""


def plot(cfg: Annotated[PlotCfg, tyro.conf.arg(name="")]) -> int:
    """Draw how a policy adapts in its first second."""
    from acclimate_training.evaluation.plot import plot as run

    print(f"picture: {run(cfg)}")
    return 0
