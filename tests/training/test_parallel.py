"""Training on several cores: one run in several processes, and no process left behind."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_training import trainer
from acclimate_training.algorithms.algorithm import Algorithm
from acclimate_training.algorithms.gradient_training import by_gradients
from acclimate_training.checkpoint import load_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.parallel import Team
from acclimate_training.trainer import CHECKPOINT, train
from acclimate_training.workers import ToLeader, ToWorkers, hired

CPU = torch.device("cpu")
INTERRUPTED = """
import os, signal
from pathlib import Path
from acclimate_training.config import TrainCfg
from acclimate_training.trainer import train

def interrupt(iteration, figures):
    if iteration == 2:
        os.killpg(0, signal.SIGINT)

train(TrainCfg(out=Path({out!r}), {settings}), interrupt)
"""
SMALL: dict[str, Any] = {
    "iterations": 4,
    "num_envs": 8,
    "workers": 2,
    "first_horizon": 3,
    "last_horizon": 3,
    "compile": False,
    "checkpoint_interval_s": 0.0,
}


def pair(out: Path, **changes: object) -> TrainCfg:
    return TrainCfg(out=out, **{**SMALL, **changes})


@pytest.fixture
def _unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing a policy takes seconds and is the same for teams."""
    monkeypatch.setattr(trainer, "export_run", lambda run, path: None)


def assert_gone(group: int) -> None:
    """No process of the group is left but, at most, for what it takes to be swept up."""
    deadline = time.monotonic() + 20
    while is_alive(group):
        assert time.monotonic() < deadline, f"process group {group} is still there"
        time.sleep(0.1)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def three() -> list[Team]:
    """A team in one process, for threads."""
    (a, b), (c, d) = Pipe(), Pipe()
    channels = ToWorkers((a, c)), ToLeader(b), ToLeader(d)
    return [Team(rank=rank, size=3, channel=channel) for rank, channel in enumerate(channels)]


def test_average_is_the_mean_with_the_same_bits_everywhere() -> None:
    values = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    with ThreadPoolExecutor() as threads:
        means = list(threads.map(lambda crew: crew.average(values[crew.rank]), three()))
    # Three float32 numbers of order one, summed in another order.
    torch.testing.assert_close(means[0], values.mean(0), rtol=0, atol=1e-6)
    assert torch.equal(means[0], means[1])
    assert torch.equal(means[0], means[2])


def test_gradients_of_all_parameters_are_averaged() -> None:
    layers = [torch.nn.Linear(2, 3) for _ in range(3)]
    for scale, layer in enumerate(layers):
        (scale * (layer.weight.sum() + 2.0 * layer.bias.sum())).backward()
    with ThreadPoolExecutor() as threads:
        crews = zip(three(), layers, strict=True)
        list(threads.map(lambda c: c[0].average_gradients(list(c[1].parameters())), crews))
    for layer in layers:
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        assert (layer.weight.grad == 1.0).all()
        assert (layer.bias.grad == 2.0).all()


def test_flag_of_any_process_is_seen_by_all() -> None:
    for flags in ((False, False, False), (False, False, True)):
        with ThreadPoolExecutor() as threads:
            seen = list(threads.map(lambda crew, flags=flags: crew.any(flags[crew.rank]), three()))
        assert seen == [any(flags)] * 3


def test_leader_is_heard_by_all() -> None:
    said = ({"iteration": 3, "name": None}, torch.arange(5))
    with ThreadPoolExecutor() as threads:
        heard = list(threads.map(lambda c: c.from_leader(said if c.leads else None), three()))
    for about, numbers in heard:
        assert about == said[0]
        assert torch.equal(numbers, said[1])


def test_worker_that_fails_is_named_and_none_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(TrainingError, match=r"process 1 of 2 ended by itself.*same command"),
        hired(2, methodcaller("no_such_method")) as crew,
    ):
        crew.average(torch.zeros(1))
    assert "no_such_method" in capfd.readouterr().err
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("_unexported")
def test_killed_worker_stops_the_run_and_the_checkpoint_stays(tmp_path: Path) -> None:
    def kill(iteration: int, figures: dict[str, float]) -> None:
        if iteration == 2:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(TrainingError, match="ended by itself"):
        train(pair(tmp_path), kill)
    assert load_checkpoint(tmp_path / CHECKPOINT).iteration == 2
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("_unexported")
def test_interrupted_run_on_two_cores_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    """Ctrl-C on a terminal reaches all processes at once; the leader decides for them."""
    settings = ", ".join(f"{name}={value}" for name, value in SMALL.items())
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(out=str(tmp_path), settings=settings)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, errors = process.communicate(timeout=200)
    assert errors.count("Traceback") == 1, errors  # the leader's KeyboardInterrupt
    assert "KeyboardInterrupt" in errors
    assert_gone(process.pid)
    assert load_checkpoint(tmp_path / CHECKPOINT).iteration == 2
    train(pair(tmp_path))
    saved = load_checkpoint(tmp_path / CHECKPOINT).parts["policy"]
    for rank, weights in enumerate(trained_by_threads(pair(tmp_path))):
        assert weights.keys() == saved.keys()
        for name, value in weights.items():
            assert torch.equal(saved[name], value), (rank, name)


def trained_by_threads(cfg: TrainCfg) -> list[dict[str, torch.Tensor]]:
    """Weights of both members of a team after a run without processes, files or stops."""
    link, theirs = Pipe()
    channels = ToWorkers((link,)), ToLeader(theirs)
    crews = [Team(rank=rank, size=2, channel=channel) for rank, channel in enumerate(channels)]
    algorithms = []
    for crew in crews:
        torch.manual_seed(cfg.seed)
        algorithms.append(by_gradients(cfg, CPU, crew))

    def run(algorithm: Algorithm) -> dict[str, torch.Tensor]:
        for i in range(cfg.iterations):
            algorithm.iterate(i)
        return algorithm.parts["policy"].state_dict()

    with ThreadPoolExecutor() as threads:
        return list(threads.map(run, algorithms))


def test_robots_that_cannot_be_shared_evenly_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"num_envs 9 .* 2 processes.*multiple of 2"):
        pair(tmp_path, num_envs=9)
