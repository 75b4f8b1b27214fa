"""Training in processes that torchrun, or anything like it, starts: one run, no file twice."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_training import torchrun, trainer
from acclimate_training.algorithms import gradient_training
from acclimate_training.checkpoint import load_checkpoint
from acclimate_training.config import ImitationCfg, TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.parallel import Team
from acclimate_training.run_directory import settings_of
from acclimate_training.torchrun import NAMES, Launch, joined, launched
from acclimate_training.trainer import CHECKPOINT, begin, check_team, choose_device, train
from acclimate_training.workers import ToLeader, ToWorkers

COMMAND = str(Path(__file__).with_name("one_of_a_team.py"))
SMALL: dict[str, Any] = {
    "iterations": 4,
    "num_envs": 8,
    "first_horizon": 3,
    "last_horizon": 3,
    "checkpoint_interval_s": 0.0,
}
LONGEST_S = 120


@pytest.fixture
def _as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `one_of_a_team` does in processes of their own."""
    monkeypatch.setattr(gradient_training, "Soap", torch.optim.SGD)
    monkeypatch.setattr(trainer, "export_run", lambda run, path: None)


def alone(out: Path) -> TrainCfg:
    return TrainCfg(out=out, compile=False, **SMALL)


def flags(out: Path, **changes: object) -> list[str]:
    settings = {"out": out, **SMALL, **changes}
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items())
    return [COMMAND, "train", "--no-compile", *(word for pair in pairs for word in pair)]


def environment(**variables: object) -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1"}  # else torchrun warns
    return {**os.environ, **quiet, **{name: str(value) for name, value in variables.items()}}


def by_torchrun(out: Path) -> subprocess.CompletedProcess[str]:
    """Train in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, *flags(out)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def by_hand(out: Path, *settings: dict[str, Any], **variables: object) -> list[tuple[int, str]]:
    """Train in one process for each of the settings; exit codes and errors by rank."""
    port = free_port()
    about = {"WORLD_SIZE": len(settings), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, *flags(out, **changes)],
            env=environment(**about, RANK=rank, LOCAL_RANK=rank, **variables),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, changes in enumerate(settings)
    ]
    errors = [process.communicate(timeout=LONGEST_S)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def complaints(errors: Iterable[str]) -> list[str]:
    lines = (line for text in errors for line in text.splitlines())
    return [line for line in lines if line.startswith("acclimate train: ")]


def weights(run: Path, iteration: int = 4) -> torch.Tensor:
    checkpoint = load_checkpoint(run / CHECKPOINT)
    assert checkpoint.iteration == iteration
    return torch.cat([value.flatten() for value in checkpoint.parts["policy"].values()])


@pytest.mark.usefixtures("_as_the_others")
def test_result_is_the_same_in_one_process_in_workers_and_under_torchrun(tmp_path: Path) -> None:
    """Plain descent by 0.03 times gradients of order 0.1: rounding is all that may differ."""
    train(alone(tmp_path / "alone"))
    subprocess.run(
        [sys.executable, *flags(tmp_path / "workers", workers=2)], timeout=LONGEST_S, check=True
    )
    launch = by_torchrun(tmp_path / "torchrun")
    assert launch.returncode == 0, launch.stderr
    assert launch.stderr.count("training into") == launch.stdout.count("policy: ") == 1
    assert len(list((tmp_path / "torchrun" / "tensorboard").iterdir())) == 1
    one = weights(tmp_path / "alone")
    torch.testing.assert_close(weights(tmp_path / "workers"), one, rtol=0, atol=1e-6)
    # The sum of two numbers has no order.
    assert torch.equal(weights(tmp_path / "torchrun"), weights(tmp_path / "workers"))


@pytest.mark.usefixtures("_as_the_others")
def test_one_process_goes_on_where_two_were_stopped(tmp_path: Path) -> None:
    """Whoever hears the signal, all stop after the same iteration, and it is saved."""
    stopped = by_hand(tmp_path / "parts", {}, {}, SIGNALLED=f"1 1 {signal.SIGTERM:d}")
    assert [code for code, _ in stopped] == [130, 130]
    assert complaints(errors for _, errors in stopped) == ["acclimate train: interrupted"]
    weights(tmp_path / "parts", iteration=2)
    train(alone(tmp_path / "parts"))
    train(alone(tmp_path / "whole"))
    parts, whole = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_process_ends_the_others_and_the_checkpoint_stays(
    tmp_path: Path, killed: int
) -> None:
    """Also the leader, who keeps what the processes have in common."""
    ended = by_hand(tmp_path, {}, {}, SIGNALLED=f"{killed} 2 {signal.SIGKILL:d}")
    assert ended[killed][0] == -signal.SIGKILL
    assert ended[1 - killed][0] == 2
    (complaint,) = complaints(errors for _, errors in ended)
    assert "another of the 2 training processes ended by itself" in complaint
    assert "last checkpoint is untouched. Fix: run the same command" in complaint
    assert "Traceback" not in ended[1 - killed][1]
    weights(tmp_path, iteration=2)


def test_processes_with_different_settings_are_refused(tmp_path: Path) -> None:
    ended = by_hand(tmp_path, {}, {"seed": 1})
    assert [code for code, _ in ended] == [2, 2]
    (complaint,) = complaints(errors for _, errors in ended)
    assert "process 1 of 2 was started with other settings than the first (seed)" in complaint
    assert "Fix: give the same command" in complaint
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.usefixtures("_as_the_others")
def test_machine_with_a_later_checkpoint_than_the_leader_is_heard(tmp_path: Path) -> None:
    """Ranks may change places between machines that share no files."""
    train(alone(tmp_path))
    cfg, cpu = alone(tmp_path), torch.device("cpu")
    ours, theirs = multiprocessing.Pipe()
    leader, other = Team(size=2, channel=ToWorkers((ours,))), Team(rank=1, channel=ToLeader(theirs))
    leader.from_leader((settings_of(cfg), None))
    with pytest.raises(
        TrainingError, match=r"process 1 .* iteration 4 .*first.* of 0.*--node-rank"
    ):
        begin(cfg, cpu, other)
    checkpoint = load_checkpoint(tmp_path / CHECKPOINT)
    leader.from_leader((settings_of(cfg), vars(checkpoint)))
    algorithm, done = begin(cfg, cpu, other)
    assert done == 4
    for name, value in algorithm.parts["policy"].state_dict().items():
        assert torch.equal(value, checkpoint.parts["policy"][name])


@pytest.fixture
def _launched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("0", "1", "0", "127.0.0.1", str(free_port()))
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_as_the_others", "_launched_alone")
def test_team_of_one_trains_as_without_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(alone(tmp_path / "torchrun"))
    assert not torch.distributed.is_initialized()
    monkeypatch.delenv("RANK")
    train(alone(tmp_path / "alone"))
    assert torch.equal(weights(tmp_path / "torchrun"), weights(tmp_path / "alone"))


@pytest.mark.usefixtures("_launched_alone")
def test_without_all_that_torchrun_says_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched() == Launch(rank=0, local_rank=0, size=1)
    monkeypatch.delenv("MASTER_PORT")
    assert launched() is None


@pytest.mark.usefixtures("_launched_alone")
def test_others_that_do_not_come_are_not_waited_for_forever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torchrun, "PATIENCE", timedelta(seconds=1))
    with (
        pytest.raises(TrainingError, match=r"process 0 of 2 could not meet.*Fix: .*--nnodes"),
        joined(Launch(rank=0, local_rank=0, size=2)),
    ):
        pytest.fail("joined nobody")


@pytest.mark.usefixtures("_launched_alone")
@pytest.mark.parametrize(("failure", "code"), [(TrainingError, 2), (KeyboardInterrupt, 130)])
def test_only_the_first_failure_is_told(failure: type[BaseException], code: int) -> None:
    launch = Launch(rank=0, local_rank=0, size=1)
    store, _, _ = next(torch.distributed.rendezvous("env://"))  # outlives the first failure
    with pytest.raises(OSError, match="full"), joined(launch):
        raise OSError("full")
    with pytest.raises(SystemExit) as silent, joined(launch):
        raise failure
    assert silent.value.code == code
    del store


def test_robots_that_processes_cannot_share_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"num_envs 8 .* 3 processes.*multiple of 3"):
        alone(tmp_path).check_shared_by(3)
    lessons = ImitationCfg(teachers=2, teacher_iterations=1)
    cfg = replace(alone(tmp_path), algorithm="meta-imitation", imitation=lessons)
    cfg.check_shared_by(2)
    with pytest.raises(ConfigError, match=r"8 processes with 2 teachers each.*multiple of 16"):
        cfg.check_shared_by(8)


def test_workers_of_processes_of_torchrun_are_refused(tmp_path: Path) -> None:
    cfg = replace(alone(tmp_path), workers=2)
    with pytest.raises(TrainingError, match=r"2 processes of torchrun.*2 workers.*--workers 1"):
        check_team(cfg, Team(size=2), torch.device("cpu"))
    with pytest.raises(TrainingError, match=r"2 workers share CPU cores.*cuda.*torchrun"):
        check_team(cfg, Team(), torch.device("cuda"))
    with pytest.raises(ConfigError, match="5 processes"):
        check_team(alone(tmp_path), Team(size=5), torch.device("cpu"))


def test_each_process_of_a_machine_has_a_gpu_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretended: which device is chosen, not that it computes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", Launch(rank=5, local_rank=1, size=8)) == torch.device("cuda", 1)
    assert choose_device("cpu", Launch(rank=5, local_rank=1, size=8)) == torch.device("cpu")
    assert choose_device("cuda") == torch.device("cuda")
    with pytest.raises(TrainingError, match=r"sees 2 CUDA devices.*process 3.*--nproc-per-node"):
        choose_device("cuda", Launch(rank=2, local_rank=2, size=4))
