"""Suites fly what they say, the same for every contestant, and count it as they say."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from policy_file import build

from acclimate_contract import QUADROTOR
from acclimate_deploy.policy import load_policy
from acclimate_deploy.runtime import PolicyRuntime
from acclimate_training.commands import EvaluateCfg
from acclimate_training.evaluation import evaluate as evaluation
from acclimate_training.evaluation.card import render
from acclimate_training.evaluation.evaluate import evaluate, read_record
from acclimate_training.evaluation.figures import Figure, numbers
from acclimate_training.evaluation.flights import Flight
from acclimate_training.evaluation.pilots import RaptorPilot, onnx_pilot
from acclimate_training.evaluation.suites import SUITES, Contestant, SuiteCfg
from acclimate_training.evaluation.suites import changes as changes_suite
from acclimate_training.evaluation.suites import endurance as endurance_suite
from acclimate_training.evaluation.suites import ground as ground_suite
from acclimate_training.evaluation.suites import tampering as tampering_suite
from acclimate_training.evaluation.suites.changes import (
    CHANGE_STEP,
    CHANGES,
    MIN_THRUST_TO_WEIGHT,
    NUM_STEPS,
    change_figures,
    schedules,
    who_can,
)
from acclimate_training.evaluation.suites.knowledge import targets
from acclimate_training.evaluation.suites.multi_rate import (
    EveryNthCall,
    MultiRatePilot,
    NearestToThePeriod,
    every_nth_call,
)
from acclimate_training.evaluation.suites.rates import RATES_HZ, score, steady, unsteady
from acclimate_training.evaluation.suites.recovery import recovery_figures
from acclimate_training.evaluation.suites.scenario import draw_fleet, happening, hold_episode
from acclimate_training.evaluation.suites.variations import (
    AIR,
    BODY,
    SENSES,
    Variation,
    published_with,
    suite_of,
)
from acclimate_training.evaluation.table import SUITE_COLUMNS, suite_rows, tables

CFG = SuiteCfg(robots=4, seed=3)
RAPTOR = Contestant(name="raptor", make_pilot=RaptorPilot, make_clock=every_nth_call)


class Counter:
    """Its memory counts the steps; the answer is what it was told of time and its last action."""

    def __init__(self, num_envs: int = 2) -> None:
        self._num_envs = num_envs
        self.reset()

    def reset(self) -> None:
        self.memory = np.zeros((self._num_envs, 1), np.float32)
        self.told: list[tuple[float, float]] = []

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        self.memory = self.memory + 1.0
        told = (float(signals["time_step"][0, 0]), float(signals["previous_action"][0, 0]))
        self.told.append(told)
        return np.zeros((self._num_envs, 4), np.float32)


def shown(action: float, dt_s: float) -> dict[str, np.ndarray]:
    return {
        "previous_action": np.full((2, 4), action, np.float32),
        "time_step": np.full((2, 1), dt_s, np.float32),
    }


def flight(distance_m: np.ndarray, **changes: Any) -> Flight:
    zeros = np.zeros(distance_m.shape)
    plain = Flight(
        time_s=0.01 * np.arange(1, len(distance_m) + 1),
        distance_m=distance_m,
        tilt_rad=zeros,
        action_change=zeros,
        reward=zeros + 1.0,
        terminated=zeros.astype(bool),
    )
    return replace(plain, **changes)


def test_every_suite_can_be_asked_for_and_shown() -> None:
    (names, *_) = get_args(get_type_hints(EvaluateCfg)["suite"]), None
    assert set(names) == {*SUITES, "full"}
    assert set(SUITE_COLUMNS) == set(SUITES) - {"ground"}


@pytest.mark.parametrize("rate_hz", [50, 71, 100, 125, 250, 333, 500])
def test_the_clock_of_the_evaluation_is_that_of_the_robot(tmp_path: Path, rate_hz: float) -> None:
    """Answer for answer what `PolicyRuntime` says to one robot, with jitter and missed ticks."""
    names = tuple(s.name for s in QUADROTOR.signals)
    path = build(tmp_path / "policy.onnx", names)
    runtime = PolicyRuntime(load_policy(path))
    pilot = MultiRatePilot(onnx_pilot(path)(2), NearestToThePeriod())
    rng = np.random.default_rng(1)
    for dt_s in unsteady(rate_hz, torch.Generator().manual_seed(2)).tolist()[:200]:
        signals = {
            s.name: rng.normal(0.0, 0.3, (2, *s.shape)).astype(np.float32)
            for s in QUADROTOR.signals
        }
        signals["time_step"][:] = dt_s
        expected = runtime.step({n: v[1] for n, v in signals.items()}, float(np.float32(dt_s)))
        # float32 sums in another order
        np.testing.assert_allclose(pilot.step(signals)[1], expected, atol=1e-5)


def test_raptor_commits_every_nth_call_and_is_told_the_mean_since_the_last() -> None:
    counter = Counter()
    pilot = MultiRatePilot(counter, every_nth_call(250.0))  # round(2.5) is 2
    for action in (1.0, 2.0, 4.0, 8.0, 16.0):
        pilot.step(shown(action, 0.004))
    assert pilot.memory[0, 0] == 3  # the first call, the third and the fifth
    assert [told for _, told in counter.told] == [1.0, 2.0, 3.0, 8.0, 12.0]


def test_below_its_period_every_call_of_raptor_commits() -> None:
    for rate_hz in (50.0, 71.0, 100.0, 125.0):
        pilot = MultiRatePilot(Counter(), every_nth_call(rate_hz))
        for _ in range(5):
            pilot.step(shown(0.0, 1.0 / rate_hz))
        assert pilot.memory[0, 0] == 5


def test_a_policy_that_reads_time_is_told_the_time_since_its_memory_advanced() -> None:
    counter = Counter()
    pilot = MultiRatePilot(counter, NearestToThePeriod())
    for _ in range(6):
        pilot.step(shown(0.0, 0.005))
    times = [time for time, _ in counter.told]
    np.testing.assert_allclose(times, [0.01, 0.005, 0.01, 0.005, 0.01, 0.005], atol=1e-8)


def test_a_second_flight_with_the_same_pilot_starts_anew() -> None:
    pilot = MultiRatePilot(Counter(), EveryNthCall(3))
    for _ in range(2):
        pilot.step(shown(0.0, 0.003))
    pilot.reset()
    pilot.step(shown(0.0, 0.003))
    assert pilot.memory[0, 0] == 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_unsteady_periods_last_as_long_as_steady_ones(rate_hz: float) -> None:
    lengths = unsteady(rate_hz, torch.Generator().manual_seed(0))
    assert lengths.sum() == pytest.approx(5.0, abs=2.5 / rate_hz)
    assert steady(rate_hz, torch.Generator()).sum() == pytest.approx(5.0, abs=1.0 / rate_hz)
    relative = lengths * rate_hz
    single = relative[relative < 1.4]
    assert single.min() >= 0.8
    assert single.max() <= 1.2
    assert (relative >= 1.6).float().mean() == pytest.approx(0.02, abs=0.025)


def test_score_is_the_share_of_the_largest_return_at_every_rate() -> None:
    still = np.full((500, 1), 1.5)
    full, half = flight(still, reward=still), flight(still, reward=still / 2)
    slow = flight(still[:250], reward=still[:250], time_s=0.02 * np.arange(1, 251))
    ended = np.ones((500, 1), dtype=bool)
    assert score(full)[0] == pytest.approx(1.0)
    assert score(half)[0] == pytest.approx(0.5)
    assert score(slow)[0] == pytest.approx(1.0)
    assert score(flight(still, terminated=ended))[0] == 0.0


def test_a_robot_is_back_once_it_stays_near_its_twin() -> None:
    """Of five: not thrown off, back after 1 s, back but off again, never back, lost."""
    twin = np.full((NUM_STEPS, 5), 0.2)
    changed = twin.copy()
    after = changed[CHANGE_STEP:]
    after[:, 0] += 0.09
    after[:100, 1] += 0.4
    after[:100, 2] += 0.4
    after[-1, 2] += 0.11
    after[:, 3] += 0.3
    after[:, 4] = np.nan
    figures = change_figures(flight(twin), flight(changed))
    plain = numbers(figures)
    assert plain["back"] == pytest.approx(2 / 5)
    assert plain["lost"] == pytest.approx(1 / 5)
    assert plain["lost_without_change"] == 0.0
    np.testing.assert_allclose(
        figures["time_to_return_median_s"].values, [0.0, 1.0, np.inf, np.inf, np.inf]
    )
    np.testing.assert_allclose(
        figures["worst_distance_median_m"].values, [0.29, 0.6, 0.6, 0.5, np.inf]
    )


@pytest.mark.parametrize("name", CHANGES)
def test_twins_fly_the_same_until_the_change_and_another_one_after(name: str) -> None:
    change = CHANGES[name]
    fleet = who_can(draw_fleet(SuiteCfg(robots=64, seed=3)), change)
    left = fleet.robots.thrust_to_weight * change.thrust_to_weight
    assert left.min() >= MIN_THRUST_TO_WEIGHT
    twin, changed = schedules(fleet, change, CFG)
    assert len(twin) == len(changed) == NUM_STEPS
    differ = {n for n in vars(twin) if not torch.equal(getattr(twin, n), getattr(changed, n))}
    assert len(differ) == 1
    (field,) = differ
    before, after = getattr(twin, field), getattr(changed, field)
    assert torch.equal(before[:CHANGE_STEP], after[:CHANGE_STEP])
    assert not torch.equal(before[CHANGE_STEP], after[CHANGE_STEP])


def test_recovered_is_near_and_upright_at_the_end() -> None:
    distance = np.tile([0.1, 0.3, 0.1, np.nan], (500, 1))
    tilt = np.tile([0.1, 0.1, 3.0, 0.1], (500, 1))
    figures = numbers(recovery_figures(flight(distance, tilt_rad=tilt)))
    assert figures["recovered"] == 0.25
    assert figures["lost"] == 0.25
    assert figures["worst_distance_median_m"] == pytest.approx(0.2)


def test_robots_are_the_same_where_a_variation_does_not_change_them() -> None:
    plain = draw_fleet(CFG).robots
    for variation in (*SENSES.values(), *AIR.values()):
        robots = variation.fit(draw_fleet(CFG, variation.space())).robots
        for name, value in vars(plain).items():
            assert torch.equal(value, getattr(robots, name))


@pytest.mark.parametrize(
    ("variation", "field", "largest"),
    [
        (SENSES["bias"], "sensor_bias", 0.2),
        (SENSES["noise"], "sensor_noise", 0.1),
        (SENSES["control_delay_30ms"], "control_delay_s", 0.03),
        (AIR["body_drag"], "body_drag_1_m", 0.1),
        (AIR["wind_8m/s"], "rotor_drag_1_s", 1.0),
        (AIR["ground_effect"], "rotor_radius_m", 0.15),
        (BODY["voltage_sag"], "voltage_sag", 0.15),
        (BODY["everything"], "control_delay_s", 0.03),
    ],
)
def test_variations_bring_their_imperfection(
    variation: Variation, field: str, largest: float
) -> None:
    fleet = variation.fit(draw_fleet(SuiteCfg(robots=64, seed=1), variation.space()))
    value = getattr(fleet.imperfections, field)
    assert value.shape[0] == 64
    assert 0.3 * largest < value.abs().max() <= 1.001 * largest or field == "sensor_bias"
    assert value.any()


def test_bodies_differ_as_their_names_say() -> None:
    cfg = SuiteCfg(robots=64, seed=1)
    plain = draw_fleet(cfg).robots

    def robots(name: str) -> Any:
        return draw_fleet(cfg, BODY[name].space()).robots

    strong = robots("thrust_to_weight_5_to_12").thrust_to_weight
    assert strong.min() >= 5.0
    assert strong.max() <= 12.0
    thrust = robots("unequal_motors").thrust_curve_n.sum(-1)
    assert (thrust.amax(-1) / thrust.amin(-1)).max() > 1.2
    assert (robots("tilted_and_off_centre").motor_axis[..., 2] < 1.0).any()
    arms = robots("real_arm_lengths").arm_length_m / plain.arm_length_m
    assert arms.max() / arms.min() > 1.5


def test_what_happens_is_what_the_variation_says() -> None:
    fleet = draw_fleet(SuiteCfg(robots=32, seed=1))
    schedule = happening(fleet, 200, CFG)
    generator = torch.Generator().manual_seed(0)
    lost = SENSES["dropout_30%"].happen(schedule, generator).dropout
    assert lost.mean() == pytest.approx(0.3, abs=0.03)
    wind = AIR["wind_5m/s"].happen(schedule, generator).wind_m_s
    assert wind.mean(0).norm(dim=-1).mean() == pytest.approx(5.0, abs=1.0)


def test_a_suite_flies_both_scenarios_of_a_variation_and_repeats_exactly() -> None:
    few = {"dropout": SENSES["dropout_30%"], "wind": AIR["wind_5m/s"]}
    said: list[str] = []
    first, again = (numbers(suite_of(few)(RAPTOR, CFG, said.append)) for _ in range(2))
    assert first == again
    assert said == ["dropout", "wind"] * 2
    assert set(first["wind"]) >= {"lost", "final_error_median_m", "figure_eight_5.5s_lost"}


def test_ground_robots_start_above_the_floor_they_hover_over() -> None:
    episode = hold_episode(draw_fleet(SuiteCfg(robots=64, seed=1)), CFG)
    assert (episode.start.position[:, 2] < 0).any()
    assert AIR["ground_effect"].above


def test_long_flights_report_error_and_memory_early_and_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endurance_suite, "FLIGHTS", {"hover_600_steps": (600, 2)})
    figures = SUITES["endurance"](RAPTOR, CFG, lambda name: None)["hover_600_steps"]
    assert figures["robots"] == 2
    plain = numbers(figures)
    assert plain["error_at_the_end_median_m"] < 0.3
    assert 0.0 < plain["memory_norm_at_the_end"] <= 4.0  # sixteen values within [-1, 1]


def test_a_record_of_new_ground_is_shown_and_leaves_the_ground_alone(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = policy_file.parent / "evaluation.json"
    old.write_text("{}")
    record, path = evaluate(EvaluateCfg(policy=policy_file, robots=2, suite="recovery"))
    assert path.name == "evaluation-recovery.json"
    assert old.read_text() == "{}"
    scenarios = record["figures"]["policy"]["suites"]["recovery"]
    bounds = record["figures"]["policy"]["intervals"]["recovery"]
    assert set(scenarios) == set(bounds)
    for name, figures in scenarios.items():
        low, high = bounds[name]["recovered"]
        assert low <= figures["recovered"] <= high
    assert len(tables(record)) == 1
    assert next(row[0] for row in suite_rows(record, "recovery")) == "any attitude"


def test_a_full_record_keeps_the_grounds_place_and_the_card_shows_all(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground_suite, "FLIGHTS_PER_PLATFORM", 1)
    few = {name: SUITES[name] for name in ("ground", "recovery")}
    monkeypatch.setattr(evaluation, "SUITES", few)
    record, path = evaluate(EvaluateCfg(policy=policy_file, robots=2, suite="full"))
    assert path.name == "evaluation.json"
    figures = record["figures"]["policy"]
    assert figures["hold"]["lost"] is not None
    assert len(figures["intervals"]["ground"]["hold"]["lost"]) == 2
    assert len(figures["intervals"]["ground"]["hold_by_thrust_to_weight"]) == 4
    card = render(load_policy(policy_file).manifest, read_record(path))
    assert "## On new ground" in card
    assert "| any attitude |" in card
    assert "--suite full" in card


def test_an_interrupted_evaluation_leaves_the_old_record(evaluated: Path) -> None:
    path = evaluated.parent / "evaluation.json"
    before = path.read_text()

    def interrupted(scenario: str) -> None:
        if "without_force" in scenario:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(EvaluateCfg(policy=evaluated, robots=3), interrupted)
    assert path.read_text() == before


def test_a_suite_may_return_plain_data_of_its_own(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"linear": {"r2": [0.1, 0.2], "robots": 3}}
    monkeypatch.setattr(evaluation, "SUITES", {"recovery": lambda *given: plain})
    record, path = evaluate(EvaluateCfg(policy=policy_file, robots=2, suite="recovery"))
    assert record["figures"]["policy"]["suites"]["recovery"] == plain
    json.dumps(read_record(path), allow_nan=False)


def test_changes_fly_everyone_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """One change, in hover, by RAPTOR: a motor at 60 % throws it off and does not lose it."""
    motor = {"one_motor_at_60%": CHANGES["one_motor_at_60%"]}
    monkeypatch.setattr(changes_suite, "CHANGES", motor)
    monkeypatch.setattr(changes_suite, "REFERENCES", {"hover": changes_suite.REFERENCES["hover"]})
    figures = SUITES["changes"](RAPTOR, SuiteCfg(robots=16, seed=3), lambda name: None)
    (row,) = figures.values()
    worst = row["worst_distance_median_m"]
    assert isinstance(worst, Figure)
    assert 0.02 < worst.value < 0.5
    assert row["robots"] == len(worst.values) <= 16


def test_tampering_says_how_many_fly_and_that_a_cleared_memory_hurts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RAPTOR on its own ground: without its memory it flies far worse."""
    some = {"memory_reset_every_step": tampering_suite.CONTROLS["memory_reset_every_step"]}
    monkeypatch.setattr(tampering_suite, "CONTROLS", some)
    figures = SUITES["tampering"](RAPTOR, SuiteCfg(robots=32, seed=3), lambda name: None)
    plain = numbers(figures)
    whole, cleared = plain["published/untouched"], plain["published/memory_reset_every_step"]
    assert whole["robots"] == cleared["robots"] == 32
    assert cleared["final_error_median_m"] > 3.0 * whole["final_error_median_m"]
    assert set(plain) == {
        f"{f}/{c}" for f in ("published", "delayed") for c in ("untouched", *some)
    }


def test_knowledge_names_every_property_and_needs_robots_to_learn_from() -> None:
    few = SUITES["knowledge"](RAPTOR, CFG, lambda name: None)
    assert {"thrust_to_weight", "control_delay", "single_motors"} <= set(few)
    assert all(told["r2"] is None for told in few.values())
    assert SUITE_COLUMNS["knowledge"]  # shown as dashes


def test_what_there_is_to_know_has_one_row_per_robot() -> None:
    fleet = draw_fleet(CFG, published_with("control_delay")())
    known = targets(fleet, CFG)
    assert {len(values) for values in known.values()} == {len(fleet)}
    np.testing.assert_allclose(known["control_delay"], fleet.imperfections.control_delay_s)
    np.testing.assert_allclose(known["single_motors"], 1.0, rtol=1e-5)  # all motors alike
