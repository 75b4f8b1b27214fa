"""Training runs: resumable, reproducible, and clear when they cannot go on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_deploy.policy import load_policy
from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms import algorithm
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.trainer import CHECKPOINT, POLICY, RUN, choose_device, export_run, train


def tiny(out: Path, **changes: object) -> TrainCfg:
    cfg = TrainCfg(
        out=out, iterations=6, num_envs=8, first_horizon=5, last_horizon=10, compile=False
    )
    return replace(cfg, **changes)


def weights(run: Path) -> torch.Tensor:
    state = torch.load(run / CHECKPOINT, weights_only=True)["policy"]
    return torch.cat([state[name].flatten() for name in sorted(state)])


def test_run_leaves_a_valid_policy_its_record_and_events(tmp_path: Path) -> None:
    path = train(tiny(tmp_path / "run"))
    manifest = load_policy(path, family="quadrotor").manifest
    assert manifest.provenance["seed"] == 0
    assert manifest.distribution["name"] == "quadrotor/noisy"
    record = json.loads((tmp_path / "run" / RUN).read_text())
    assert record["config"]["iterations"] == 6
    assert record["provenance"]["versions"]["torch"].startswith("2.13")
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_hexarotor_is_trained_like_any_other_robot(tmp_path: Path) -> None:
    cfg = tiny(tmp_path / "run", space="hexarotor", policy=PolicyCfg(family="hexarotor"))
    manifest = load_policy(train(cfg), family="hexarotor").manifest
    assert len(manifest.action.channels) == 6
    assert manifest.distribution["name"] == "hexarotor/noisy"


def test_a_policy_for_other_motors_than_the_robots_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"hexarotors and the .*Fix: --policy.family hexarotor"):
        train(tiny(tmp_path / "run", space="hexarotor"))
    assert not (tmp_path / "run").exists()


def test_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny(tmp_path / name, seed=seed))
    assert torch.equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not torch.equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_every_iteration_of_every_seed_has_its_own_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged by the robots: torch seeds its generator with 32 of a seed's 64 bits."""
    masses = []
    draw = algorithm.draw_episodes

    def noted(*arguments, **settings):
        batch = draw(*arguments, **settings)
        masses.extend(batch.robots.mass_kg.tolist())
        return batch

    monkeypatch.setattr(algorithm, "draw_episodes", noted)
    for seed in (0, 1):
        train(tiny(tmp_path / str(seed), seed=seed))
    assert len(set(masses)) == len(masses) == 2 * 6 * 8


def interrupt(iteration: int, figures: dict[str, float]) -> None:
    if iteration == 3:
        os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_run_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    train(tiny(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path / "parts"), interrupt)
    assert not (tmp_path / "parts" / POLICY).exists()
    train(tiny(tmp_path / "parts"))
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_run_that_remembers_its_workers_goes_on_with_any_number(tmp_path: Path) -> None:
    """As runs did when their workers decided which robots were drawn."""
    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path), interrupt)
    saved = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    saved["config"]["workers"] = 4
    torch.save(saved, tmp_path / CHECKPOINT)
    train(tiny(tmp_path))
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["iteration"] == 6


def test_killed_run_loses_no_more_than_the_checkpoint_interval(tmp_path: Path) -> None:
    """SIGKILL a real training process, then go on from its last checkpoint."""
    out = tmp_path / "run"
    code = (
        "from pathlib import Path; from acclimate_training.config import TrainCfg;"
        "from acclimate_training.trainer import train;"
        f"train(TrainCfg(out=Path({str(out)!r}), iterations=100000, num_envs=8,"
        "first_horizon=5, last_horizon=10, compile=False, checkpoint_interval_s=0.5))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 60
        while not (out / CHECKPOINT).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline, "no checkpoint within a minute"
            time.sleep(0.1)
        time.sleep(1.0)
    finally:
        process.kill()
        process.wait()
    saved = torch.load(out / CHECKPOINT, weights_only=True)
    assert saved["iteration"] > 0
    export_run(out, tmp_path / "policy.onnx")
    load_policy(tmp_path / "policy.onnx")
    assert not [p for p in out.iterdir() if p.name.startswith(".policy")]


def test_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    train(tiny(tmp_path))
    before = weights(tmp_path)
    train(tiny(tmp_path), lambda iteration, figures: pytest.fail("trained again"))
    assert torch.equal(before, weights(tmp_path))


def test_other_settings_in_the_same_directory_are_refused(tmp_path: Path) -> None:
    train(tiny(tmp_path))
    with pytest.raises(TrainingError, match=r"other settings \(num_envs\).*another --out"):
        train(tiny(tmp_path, num_envs=9))


def test_directory_with_a_foreign_policy_is_refused(tmp_path: Path) -> None:
    (tmp_path / POLICY).write_bytes(b"precious")
    with pytest.raises(TrainingError, match="would replace it"):
        train(tiny(tmp_path))
    assert (tmp_path / POLICY).read_bytes() == b"precious"


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    train(tiny(tmp_path))
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"cannot be read.*train again"):
        train(tiny(tmp_path))


def test_full_disk_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path), interrupt)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"No space left.*previous one is untouched"):
        train(tiny(tmp_path))
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_nan_stops_training_at_once_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = algorithm.draw_episodes

    def poisoned(*arguments, **settings):
        batch = draw(*arguments, **settings)
        force = torch.full_like(batch.disturbances.force_n, np.nan)
        return replace(batch, disturbances=replace(batch.disturbances, force_n=force))

    train(tiny(tmp_path / "good"))
    monkeypatch.setattr(algorithm, "draw_episodes", poisoned)
    with pytest.raises(TrainingError, match=r"nan.*iteration 0.*lower --learning-rate") as all_:
        train(tiny(tmp_path / "bad"))
    assert "robots broke" not in str(all_.value)  # all of them: no robot is to blame
    assert not (tmp_path / "bad" / CHECKPOINT).exists()
    assert not (tmp_path / "bad" / POLICY).exists()


def test_robot_that_breaks_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = algorithm.draw_episodes

    def poisoned(*arguments, **settings):
        batch = draw(*arguments, **settings)
        batch.robots.mass_kg[5] = np.nan
        batch.robots.mass_kg[7] = np.inf
        return batch

    monkeypatch.setattr(algorithm, "draw_episodes", poisoned)
    with pytest.raises(TrainingError, match="2 of 8 robots broke") as broken:
        train(tiny(tmp_path))
    seed, number = algorithm.fresh_origin(tiny(tmp_path))(0, 5)
    robot = DISTRIBUTIONS["noisy"]().numbered(seed, [number])
    assert f"robot {number} of seed {seed} of 'quadrotor/noisy'" in str(broken.value)
    assert f"'thrust_to_weight': {robot['thrust_to_weight'].item()}" in str(broken.value)


def test_no_more_memory_says_what_would_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **settings: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(algorithm, "draw_episodes", full)
    with pytest.raises(TrainingError, match=r"8 robots for up to 10 steps.* Fix: .*--num-envs 4 "):
        train(tiny(tmp_path / "run"))


def test_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TrainingError, match=r"no C\+\+ compiler.*--no-compile"):
        train(tiny(tmp_path / "run", compile=True))
    assert not (tmp_path / "run").exists()


def test_missing_gpu_is_named() -> None:
    if torch.cuda.is_available():
        assert choose_device("auto").type == "cuda"
    else:
        assert choose_device("auto").type == "cpu"
        with pytest.raises(TrainingError, match=r"no CUDA device.*--device auto"):
            choose_device("cuda")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed", -1),
        ("num_envs", 0),
        ("workers", 0),
        ("last_horizon", 1),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("state_damping", 0.0),
        ("growing_fraction", 2.0),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"(?s){setting}.*Fix:"):
        tiny(tmp_path, **{setting: value})


def test_horizon_grows_and_learning_rate_falls(tmp_path: Path) -> None:
    cfg = TrainCfg(iterations=100, first_horizon=50, last_horizon=300, growing_fraction=0.5)
    assert [cfg.horizon(i) for i in (0, 25, 50, 99)] == [50, 175, 300, 300]
    assert cfg.learning_rate_at(0) == cfg.learning_rate
    assert cfg.learning_rate_at(100) == pytest.approx(0.0)


def test_second_interrupt_does_not_wait_for_the_iteration(tmp_path: Path) -> None:
    def insist(iteration: int, figures: dict[str, float]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on after the second interrupt")

    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path), insist)
    assert not (tmp_path / POLICY).exists()
