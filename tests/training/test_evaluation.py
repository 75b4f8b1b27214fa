"""Figures of flights, and evaluations as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate_deploy.policy import load_policy
from acclimate_sim.quadrotor import (
    InitialStates,
    external_force,
    published,
    reset,
    resting,
    sample,
)
from acclimate_sim.references import hover
from acclimate_training.commands import EvaluateCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.card import release, render
from acclimate_training.evaluation.evaluate import evaluate, read_record
from acclimate_training.evaluation.figures import (
    by_band,
    episode_return,
    final_error_m,
    hold_figures,
    lost,
    rmse_m,
    settling_time_s,
)
from acclimate_training.evaluation.flights import Conditions, Flight, SensorNoise, fly
from acclimate_training.evaluation.pilots import RaptorPilot, onnx_pilot


def flight(distance_m: np.ndarray, terminated: np.ndarray | None = None) -> Flight:
    if terminated is None:
        terminated = np.zeros(distance_m.shape, dtype=bool)
    return Flight(
        distance_m=distance_m,
        action_change=np.zeros_like(distance_m),
        reward=np.ones_like(distance_m),
        terminated=terminated,
    )


def columns(*robots: list[float]) -> np.ndarray:
    """Each robot's distance over 300 steps: its list of values, each held equally long."""
    return np.stack([np.repeat(r, 300 // len(r)) for r in robots], axis=1).astype(np.float32)


def test_final_error_is_the_mean_of_the_last_second() -> None:
    assert final_error_m(flight(columns([1.0, 0.5, 0.2])))[0] == pytest.approx(0.2)


def test_rmse_squares_before_the_mean() -> None:
    assert rmse_m(flight(columns([0.0, 3.0, 4.0])))[0] == pytest.approx((25 / 3) ** 0.5)


def test_settling_time_needs_the_robot_to_stay() -> None:
    robots = columns(
        [1.0, 0.05, 0.05],
        [1.0, 0.05, 0.11],
        [0.05, 0.09, 0.05],
        [0.05, 0.11, 0.05],
        [0.05, 0.05, np.nan],
    )
    times = settling_time_s(flight(robots), 0.1)
    np.testing.assert_allclose(times, [1.0, np.inf, 0.0, 2.0, np.inf])


def test_lost_is_far_away_once_or_away_at_the_end_or_not_a_number() -> None:
    robots = columns([0.1, 6.0, 0.1], [0.1, 0.1, 1.5], [0.1, 3.0, 0.1], [0.1, 0.1, np.nan])
    assert lost(flight(robots)).tolist() == [True, True, False, True]


def test_return_stops_at_termination_and_costs_100() -> None:
    terminated = np.zeros((300, 2), dtype=bool)
    terminated[200:, 1] = True
    returns = episode_return(flight(columns([0.0], [0.0]), terminated))
    np.testing.assert_allclose(returns, [300.0, 100.0])


def test_figures_of_robots_that_never_settle_are_null_not_invented() -> None:
    figures = hold_figures(flight(columns([1.0], [2.0])))
    assert figures["settled_0.1m"] == 0.0
    assert figures["settling_time_0.1m_median_s"] is None
    json.dumps(figures, allow_nan=False)


def test_bands_count_every_robot_once() -> None:
    bands = by_band(flight(columns([0.1], [0.2], [0.3])), np.array([1.6, 2.5, 2.9]), (1.5, 2, 3, 4))
    assert [band["robots"] for band in bands] == [1, 2, 0]
    assert bands[1]["final_error_median_m"] == pytest.approx(0.25)


def raptor_hold(conditions: Conditions | None = None) -> Flight:
    """256 robots of RAPTOR's own distribution under its own episodes, flown by RAPTOR."""
    n = 256
    robots = sample(published(), n, torch.Generator().manual_seed(5)).to(torch.float32)
    like = robots.mass_kg
    return fly(
        RaptorPilot(n),
        robots,
        reset(robots, InitialStates(), torch.Generator().manual_seed(6)),
        external_force(robots, torch.Generator().manual_seed(7)),
        hover(n, like=like),
        num_steps=500,
        max_distance_m=20 * robots.arm_length_m,
        conditions=conditions,
    )


def test_raptor_flies_in_our_simulator_as_its_authors_report() -> None:
    """An independent policy agrees with its publication: robots, states and physics are right.

    Its authors report a return of about 640 and 4 % of episodes terminated; the tolerance is
    four standard errors of 256 episodes.
    """
    figures = hold_figures(raptor_hold())
    assert figures["return"] == pytest.approx(638, abs=25)
    assert figures["terminated"] < 0.1
    assert figures["settled_0.2m"] == pytest.approx(0.93, abs=0.07)


def test_conditions_reach_the_pilot() -> None:
    plain, noisy, forgetful = (
        hold_figures(raptor_hold(conditions))
        for conditions in (
            None,
            Conditions(noise=SensorNoise()),
            Conditions(clear_memory=True),
        )
    )
    assert noisy["action_change"] > 5 * plain["action_change"]
    assert forgetful["final_error_median_m"] > 5 * plain["final_error_median_m"]


def test_a_robot_alone_flies_as_in_the_crowd(policy_file: Path) -> None:
    robots = sample(published(), 5, torch.Generator().manual_seed(1)).to(torch.float32)
    like = robots.mass_kg

    def distances(chosen: slice) -> np.ndarray:
        some = robots[chosen]
        n = len(some)
        return fly(
            onnx_pilot(policy_file)(n),
            some,
            resting(n, like=like),
            torch.zeros(n, 3),
            hover(n, like=like),
            num_steps=50,
            max_distance_m=torch.ones(n),
        ).distance_m

    np.testing.assert_allclose(distances(slice(2, 3)), distances(slice(0, 5))[:, 2:3], atol=1e-4)


def test_evaluate_release_and_card_agree(policy_file: Path) -> None:
    record, path = evaluate(EvaluateCfg(policy=policy_file, robots=8))
    assert path == policy_file.parent / "evaluation.json"
    assert set(record["figures"]) == {"policy"}
    assert len(record["figures"]["policy"]["platforms"]) == 9
    card = release(policy_file)
    manifest = load_policy(policy_file).manifest
    assert manifest.evaluation["robots"] == 8
    assert card.read_text() == render(manifest, read_record(path))


def test_release_refuses_the_record_of_another_policy(policy_file: Path) -> None:
    record = {"policy_sha256": "0" * 64}
    (policy_file.parent / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(EvaluationError, match=r"made with another file.*acclimate evaluate"):
        release(policy_file)


def test_release_without_a_record_says_what_to_run(policy_file: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no evaluation record.*acclimate evaluate"):
        release(policy_file)


def test_no_robots_are_refused(policy_file: Path) -> None:
    with pytest.raises(EvaluationError, match="--robots is 0"):
        evaluate(EvaluateCfg(policy=policy_file, robots=0))


def test_missing_peer_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foundation_policy", None)
    with pytest.raises(EvaluationError, match=r"pip install 'acclimate\[peers\]'"):
        RaptorPilot(1)


def test_evaluate_command_prints_a_table_and_where_the_record_is(
    policy_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "record.json"
    command = [sys.executable, "-m", "acclimate_deploy.command", "evaluate"]
    done = subprocess.run(
        [*command, str(policy_file), "--robots", "4", "--out", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "control lost" in done.stdout
    assert "crazyflie" in done.stdout
    assert str(out) in done.stdout.replace("\n", "")
    assert json.loads(out.read_text())["settings"]["robots"] == 4
