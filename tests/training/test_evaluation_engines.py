"""Flights and evaluations in another engine than policies are trained in."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.mujoco_batch import MujocoBatch
from acclimate_sim.multirotor import (
    Engine,
    InitialStates,
    MultirotorState,
    published,
    reset,
    sample,
    step,
)
from acclimate_sim.references import hover
from acclimate_training.commands import EvaluateCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation import evaluate as evaluation
from acclimate_training.evaluation.card import release
from acclimate_training.evaluation.evaluate import evaluate, record_name
from acclimate_training.evaluation.figures import lost
from acclimate_training.evaluation.flights import Conditions, Flight, fly
from acclimate_training.evaluation.suites import Contestant, SuiteCfg, scenario
from acclimate_training.evaluation.table import population_rows


class HalfThrottle:
    """A pilot that looks at nothing."""

    memory = np.zeros((1, 0), np.float32)

    def reset(self) -> None: ...

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.zeros((len(signals["orientation"]), 4), np.float32)


def short_flight(engine: Engine) -> Flight:
    robots = sample(published(), 5, torch.Generator().manual_seed(1)).to(torch.float32)
    return fly(
        HalfThrottle(),
        robots,
        reset(robots, InitialStates(), torch.Generator().manual_seed(2)),
        torch.zeros(5, 3),
        hover(5, like=robots.mass_kg),
        num_steps=20,
        max_distance_m=torch.ones(5),
        conditions=Conditions(engine=engine),
    )


def test_a_flight_in_mujoco_is_nearly_the_same_flight() -> None:
    """Another integrator and ten times finer: close, and not equal."""
    analytic, mujoco = short_flight(step), short_flight(MujocoBatch(threads=1))
    np.testing.assert_allclose(mujoco.distance_m, analytic.distance_m, rtol=0, atol=1e-3)
    assert (mujoco.distance_m != analytic.distance_m).any()


def giving_up_on(row: int) -> Engine:
    """The equations of motion, which lose a robot in every step."""

    def engine(*args: object, **forces: object) -> MultirotorState:
        end = step(*args, **forces)
        position = end.position.clone()
        position[row] = torch.nan
        raise SimulationError("gone", rows=(row,), state=replace(end, position=position))

    return engine


def test_a_robot_that_the_engine_gives_up_on_is_lost_and_the_others_fly_on() -> None:
    whole, without = short_flight(step), short_flight(giving_up_on(3))
    others = np.array([0, 1, 2, 4])
    np.testing.assert_array_equal(without[others].distance_m, whole[others].distance_m)
    assert lost(without)[3]
    assert without.terminated[:, 3].all()


def test_an_engine_that_cannot_go_on_ends_the_flight() -> None:
    def broken(*args: object, **forces: object) -> MultirotorState:
        raise SimulationError("no room")

    with pytest.raises(SimulationError, match="no room"):
        short_flight(broken)


def test_every_robot_of_a_fleet_flies_in_the_engine_of_the_suite() -> None:
    fleet = scenario.draw_fleet(SuiteCfg(robots=3, seed=0, engine=giving_up_on(0)))
    assert fleet[:2].engine is fleet.engine
    episode = replace(scenario.hold_episode(fleet, SuiteCfg(robots=3, seed=0)), num_steps=3)
    assert lost(scenario.flown(HalfThrottle(), fleet, episode)).tolist() == [True, False, False]


def test_an_evaluation_in_mujoco_shows_both_engines_side_by_side(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very same robots: the default's figures to the last digit, and MuJoCo's near them."""

    def brief(contestant: Contestant, cfg: SuiteCfg, progress: scenario.Progress) -> dict:
        fleet = scenario.draw_fleet(cfg)
        episode = replace(scenario.hold_episode(fleet, cfg), num_steps=30)
        progress("hold")
        flight = scenario.flown(contestant.make_pilot(len(fleet)), fleet, episode)
        return {"hold": {"final_error_median_m": float(np.median(flight.distance_m[-1]))}}

    monkeypatch.setitem(evaluation.SUITES, "ground", brief)
    said: list[str] = []
    cfg = EvaluateCfg(policy=policy_file, robots=4)
    plain, path = evaluate(cfg)
    both, other_path = evaluate(replace(cfg, engine="mujoco"), said.append)
    assert path.name == "evaluation.json"
    assert other_path.name == "evaluation-mujoco.json"
    assert plain["settings"]["engine"] == "analytic"
    assert both["settings"]["engine"] == "mujoco"
    assert said == ["policy: ground: hold", "policy in mujoco: ground: hold"]
    assert list(both["figures"]) == ["policy", "policy in mujoco"]
    assert both["figures"]["policy"] == plain["figures"]["policy"]
    ours, theirs = (figures["hold"] for figures in both["figures"].values())
    assert theirs["final_error_median_m"] != ours["final_error_median_m"]
    assert theirs["final_error_median_m"] == pytest.approx(ours["final_error_median_m"], abs=1e-2)
    shown = {row[0]: row[1:] for row in population_rows(both)}
    assert len(shown["final error, median"]) == 2


def test_no_card_is_made_of_two_engines(policy_file: Path) -> None:
    record = {
        "policy_sha256": hashlib.sha256(policy_file.read_bytes()).hexdigest(),
        "settings": {"engine": "mujoco"},
        "figures": {"policy": {"hold": {}}, "policy in mujoco": {"hold": {}}},
    }
    (policy_file.parent / "evaluation.json").write_text(json.dumps(record))
    with pytest.raises(EvaluationError, match=r"two engines.*Fix:.*without --engine"):
        release(policy_file)


def test_records_of_other_engines_have_names_of_their_own() -> None:
    assert record_name("full") == "evaluation.json"
    assert record_name("air") == "evaluation-air.json"
    assert record_name("air", "mujoco") == "evaluation-air-mujoco.json"


def test_an_unknown_engine_is_told_before_anything_flies(policy_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'bullet'.*analytic, .*mujoco"):
        evaluate(EvaluateCfg(policy=policy_file, engine="bullet"))
