"""Progress of long work on a terminal: a bar with the time left, or a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from acclimate_training.config import TrainCfg
from acclimate_training.run_directory import Report

LINE_INTERVAL_S = 30.0


@contextmanager
def training_progress(cfg: TrainCfg) -> Iterator[Report]:
    """Show a training run; where its results go is said first."""
    console = Console(stderr=True)
    console.print(f"training into {cfg.out} (interrupt at any time: the same command goes on)")
    if not console.is_terminal:
        yield _lines(console, cfg.iterations)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("meta-training", total=cfg.iterations, figures="compiling")

        def report(iteration: int, figures: dict[str, float]) -> None:
            progress.update(task, completed=iteration, figures=_summary(figures))

        yield report


def _lines(console: Console, total: int) -> Report:
    last = time.monotonic()

    def report(iteration: int, figures: dict[str, float]) -> None:
        nonlocal last
        if iteration == total or time.monotonic() - last > LINE_INTERVAL_S:
            last = time.monotonic()
            console.print(f"{iteration}/{total} {_summary(figures)}", highlight=False)

    return report


def _summary(figures: dict[str, float]) -> str:
    name, value = next(iter(figures.items()))
    return (
        f"{name.replace('_', ' ')} {value:.3f}  error {figures['final_distance_m/median']:.3f} m  "
        f"lost {100 * figures['lost_fraction']:.1f} %"
    )
