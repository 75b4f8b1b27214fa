"""Figures of flights, and evaluations as a user runs them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acclimate_deploy.policy import load_policy
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    calm,
    external_force,
    perfect,
    published,
    reset,
    resting,
    sample,
    signals,
    step,
)
from acclimate_sim.references import figure_eight, hover
from acclimate_training.commands import EvaluateCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.card import release, render
from acclimate_training.evaluation.evaluate import evaluate, read_record
from acclimate_training.evaluation.figures import (
    by_band,
    episode_return,
    final_error_m,
    hold_figures,
    intervals,
    lost,
    median,
    numbers,
    rmse_m,
    settling_time_s,
    share,
    wilson,
)
from acclimate_training.evaluation.flights import Conditions, Flight, SensorNoise, fly
from acclimate_training.evaluation.pilots import RaptorPilot, onnx_pilot


class Witness:
    """Half throttle, whatever it sees; it remembers all of it."""

    def __init__(self, num_envs: int) -> None:
        self.memory = np.zeros((num_envs, 1), np.float32)
        self.reset()

    def reset(self) -> None:
        self.seen: list[dict[str, np.ndarray]] = []

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        self.seen.append({name: value.copy() for name, value in signals.items()})
        return np.zeros((len(self.memory), 4), np.float32)


def flight(distance_m: np.ndarray, terminated: np.ndarray | None = None) -> Flight:
    if terminated is None:
        terminated = np.zeros(distance_m.shape, dtype=bool)
    return Flight(
        time_s=0.01 * np.arange(1, len(distance_m) + 1),
        distance_m=distance_m,
        tilt_rad=np.zeros_like(distance_m),
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
    bands = numbers(
        by_band(flight(columns([0.1], [0.2], [0.3])), np.array([1.6, 2.5, 2.9]), (1.5, 2, 3, 4))
    )
    assert [band["robots"] for band in bands] == [1, 2, 0]
    assert bands[1]["final_error_median_m"] == pytest.approx(0.25)


def test_figures_know_nothing_about_time_steps_but_what_the_flight_says() -> None:
    """Half as many steps of twice the length: the same seconds, the same return."""
    slow = columns([1.0, 0.05, 0.05])[::2]
    flown = replace(flight(slow), time_s=0.02 * np.arange(1, 151))
    assert settling_time_s(flown, 0.1)[0] == pytest.approx(1.0)
    assert final_error_m(flown)[0] == pytest.approx(0.05)
    assert episode_return(flown)[0] == pytest.approx(300.0)


def test_wilson_interval_of_a_published_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0.0, 29) == pytest.approx((0.0, 0.1170), abs=1e-4)


def test_bootstrap_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    """Two hundred draws of known median; 95 % intervals miss about ten of them."""
    rng = np.random.default_rng(0)
    figures = [median(rng.normal(size=101)) for _ in range(200)]
    missed = sum(not low <= 0.0 <= high for low, high in (f.interval for f in figures))
    assert 2 <= missed <= 22
    assert figures[0].interval == figures[0].interval  # seeded


def test_trees_of_figures_become_numbers_and_intervals() -> None:
    tree = {"a": {"half": share(np.array([True, False])), "robots": 2}, "list": [1, 2]}
    assert numbers(tree) == {"a": {"half": 0.5, "robots": 2}, "list": [1, 2]}
    assert set(intervals(tree)) == {"a"}
    assert set(intervals(tree)["a"]) == {"half"}


def test_a_median_of_flights_that_ran_away_is_null_and_so_are_its_bounds() -> None:
    gone = median(np.full(5, np.inf))
    assert numbers(gone) is None
    assert intervals(gone) == [None, None]


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


def by_hand(
    robots: MultirotorParameters, start: MultirotorState, steps: int, late: int
) -> np.ndarray:
    """RAPTOR holds the origin; its setpoints reach the motors `late` steps after its answer."""
    pilot, state, n = RaptorPilot(len(start)), start, len(start)
    actions = [2.0 * start.motor_speed - 1.0] * (late + 1)
    target = hover(n, like=start.position)(0.0)
    distances = []
    for _ in range(steps):
        seen = signals(state, target, actions[-1], 0.01)
        answer = pilot.step({name: value.numpy() for name, value in seen.items()})
        actions.append(torch.from_numpy(answer).clamp(-1.0, 1.0))
        state = step(robots, state, actions[-1 - late], 0.01)
        distances.append(state.position.norm(dim=-1).numpy())
    return np.stack(distances)


def raptor_still(robots: MultirotorParameters, start: MultirotorState, **changes: Any) -> Flight:
    n = len(robots)
    return fly(
        RaptorPilot(n),
        robots,
        start,
        torch.zeros(n, 3),
        hover(n, like=robots.mass_kg),
        num_steps=changes.pop("num_steps", 60),
        max_distance_m=torch.full((n,), 5.0),
        conditions=Conditions(**changes),
    )


@pytest.fixture
def crew() -> tuple[MultirotorParameters, MultirotorState]:
    robots = sample(published(), 6, torch.Generator().manual_seed(8)).to(torch.float32)
    return robots, reset(robots, InitialStates(), torch.Generator().manual_seed(9))


@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_world_of_nothing_but_delay_is_the_plain_equations(
    crew: tuple[MultirotorParameters, MultirotorState], late: int
) -> None:
    """Written out by hand; float32 in another order, over a second of flight."""
    robots, start = crew
    delay = torch.full((len(robots),), 0.01 * late)
    flight = raptor_still(
        robots, start, imperfections=replace(perfect(robots), control_delay_s=delay)
    )
    expected = by_hand(robots, start, 60, late)
    np.testing.assert_allclose(flight.distance_m, expected, atol=2e-4)


def test_late_senses_say_what_was_true_before(
    crew: tuple[MultirotorParameters, MultirotorState],
) -> None:
    """A pilot that writes down what it sees: late velocity is the other one's, two steps later."""
    robots, start = crew

    def seen_when(**changes: int) -> list[dict[str, np.ndarray]]:
        pilot = Witness(len(robots))
        fly(
            pilot,
            robots,
            start,
            torch.zeros(len(robots), 3),
            hover(len(robots), like=robots.mass_kg),
            num_steps=8,
            max_distance_m=torch.ones(len(robots)),
            conditions=Conditions(**changes),
        )
        return pilot.seen

    now, velocity, both = (
        seen_when(),
        seen_when(velocity_delay_steps=2),
        seen_when(sensing_delay_steps=1, velocity_delay_steps=2),
    )
    for t in range(3, 8):
        for name in ("position_error", "orientation", "angular_velocity"):
            np.testing.assert_array_equal(velocity[t][name], now[t][name])
            np.testing.assert_array_equal(both[t][name], now[t - 1][name])
        name = "linear_velocity_error"
        np.testing.assert_array_equal(velocity[t][name], now[t - 2][name])
        np.testing.assert_array_equal(both[t][name], now[t - 3][name])


def test_a_flight_at_another_rate_covers_the_same_seconds(
    crew: tuple[MultirotorParameters, MultirotorState],
) -> None:
    """Nobody at the controls, so that the physics alone is compared; 30 ms are split in three."""
    robots, start = crew
    ends = []
    for length_s, steps in ((0.01, 30), (0.002, 150), (0.03, 10)):
        pilot = Witness(len(robots))
        flight = fly(
            pilot,
            robots,
            start,
            torch.zeros(len(robots), 3),
            figure_eight(len(robots), period_s=5.5, like=robots.mass_kg),
            num_steps=steps,
            max_distance_m=torch.ones(len(robots)),
            conditions=Conditions(disturbances=calm(robots, steps, length_s)),
        )
        assert flight.time_s[-1] == pytest.approx(0.3)
        assert pilot.seen[-1]["time_step"] == pytest.approx(length_s)
        ends.append(flight.distance_m[-1])
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4)
    np.testing.assert_allclose(ends[2], ends[0], atol=1e-4)


def test_only_who_foresees_is_shown_the_future(
    crew: tuple[MultirotorParameters, MultirotorState],
) -> None:
    robots, start = crew
    trajectory = figure_eight(len(robots), period_s=5.5, like=robots.mass_kg)
    for foreseen in (False, True):
        pilot = Witness(len(robots))
        fly(
            pilot,
            robots,
            start,
            torch.zeros(len(robots), 3),
            trajectory,
            num_steps=5,
            max_distance_m=torch.ones(len(robots)),
            conditions=Conditions(foreseen=foreseen),
        )
        ahead = trajectory(0.04 + 0.4).position - trajectory(0.04).position
        expected = ahead.numpy() if foreseen else 0.0
        np.testing.assert_allclose(pilot.seen[4]["reference_preview"][:, 2], expected, atol=1e-6)


def test_a_schedule_that_ends_too_early_is_refused(
    crew: tuple[MultirotorParameters, MultirotorState],
) -> None:
    robots, start = crew
    with pytest.raises(EvaluationError, match=r"has 10 steps and the flight 60.*Fix:"):
        raptor_still(robots, start, disturbances=calm(robots, 10, 0.01))


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


def test_evaluate_release_and_card_agree(evaluated: Path) -> None:
    path = evaluated.parent / "evaluation.json"
    record = read_record(path)
    assert set(record["figures"]) == {"policy"}
    assert len(record["figures"]["policy"]["platforms"]) == 9
    card = release(evaluated)
    manifest = load_policy(evaluated).manifest
    assert manifest.evaluation["robots"] == 8
    assert card.read_text() == render(manifest, read_record(path))


def test_release_refuses_the_record_of_another_policy(policy_file: Path) -> None:
    record = {"policy_sha256": "0" * 64}
    (policy_file.parent / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(EvaluationError, match=r"made with another file.*acclimate evaluate"):
        release(policy_file)


def test_release_needs_the_ground(evaluated: Path) -> None:
    path = evaluated.parent / "evaluation.json"
    record = read_record(path)
    record["figures"]["policy"] = {"suites": {}}
    path.write_text(json.dumps(record))
    with pytest.raises(EvaluationError, match=r"lacks RAPTOR's ground.*--suite full"):
        release(evaluated)


def test_card_says_what_the_training_robots_had_and_lacked(evaluated: Path) -> None:
    record = read_record(evaluated.parent / "evaluation.json")
    manifest = load_policy(evaluated).manifest
    provenance = {**manifest.provenance, "situations": "harsh"}
    for space, has, lacks in (
        ("published", None, "no sensor noise, no sensor bias, no control delay"),
        ("noisy", "had sensor noise", "no sensor bias, no control delay"),
        ("diverse", "sensor noise, sensor bias, control delay", None),
    ):
        drawn = DISTRIBUTIONS[space]().to_json()
        card = render(replace(manifest, distribution=drawn, provenance=provenance), record)
        assert f"quadrotor/{space}" in card
        assert has is None or has in card
        assert lacks is None or lacks in card
        assert ("training robots had no" in card) is (lacks is not None)
        assert "`harsh`" in card


def test_release_without_a_record_says_what_to_run(policy_file: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no evaluation record.*acclimate evaluate"):
        release(policy_file)


def test_no_robots_are_refused(policy_file: Path) -> None:
    with pytest.raises(EvaluationError, match="--robots is 0"):
        evaluate(EvaluateCfg(policy=policy_file, robots=0))
    for seed in (-1, 2**24):
        with pytest.raises(EvaluationError, match=r"repeat those of another. Fix: use 0 to 16777"):
            evaluate(EvaluateCfg(policy=policy_file, seed=seed))


def test_a_peer_that_flies_other_motors_is_refused(tmp_path: Path) -> None:
    released = Path(__file__).parents[2] / "models" / "hexarotor" / "policy.onnx"
    with pytest.raises(EvaluationError, match=r"raptor flies quadrotors.* hexarotor. Fix: --peer"):
        evaluate(EvaluateCfg(policy=released, peer="raptor", out=tmp_path / "record.json"))


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


def test_a_peers_figures_are_taken_only_from_the_same_robots(evaluated: Path) -> None:
    path = evaluated.parent / "evaluation.json"
    record = read_record(path)
    record["settings"] |= {"suite": "recovery", "robots": 2, "peer": "raptor"}
    record["figures"]["raptor"] = {"suites": {"recovery": {}}, "intervals": {}}
    path.write_text(json.dumps(record))
    cfg = EvaluateCfg(policy=evaluated, suite="recovery", robots=2, peer="raptor", peer_record=path)
    again, _ = evaluate(cfg)
    assert again["figures"]["raptor"] == record["figures"]["raptor"]
    with pytest.raises(EvaluationError, match=r"--robots 2 and this evaluation has 3.*Fix:"):
        evaluate(replace(cfg, robots=3))
    with pytest.raises(EvaluationError, match=r"no figures of the peer none.*Fix:"):
        evaluate(replace(cfg, peer="none"))
