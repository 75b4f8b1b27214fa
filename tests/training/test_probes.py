"""Probes report what the memory knows, and no more than it knows."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from acclimate_sim.multirotor import InitialStates, external_force, published, reset, sample
from acclimate_sim.references import hover
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.flights import fly
from acclimate_training.evaluation.pilots import RaptorPilot
from acclimate_training.evaluation.probes import (
    Recorder,
    Recording,
    Split,
    observation,
    probe,
    ridge_predictions,
)

ROBOTS = 1200
EXACT = 0.97
"""What is known exactly reads as this at least: the outermost per cent of robots is clipped."""


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def recording(memory: np.ndarray, seen: np.ndarray | None = None) -> Recording:
    """Of one time per row of `memory`; what is seen is noise if not given."""
    times, robots = memory.shape[:2]
    return Recording(
        times_s=np.arange(1.0, times + 1.0),
        memory=memory,
        observation=normal(times, robots, 5, seed=91) if seen is None else seen,
        previous_action=normal(times, robots, 4, seed=92),
    )


def r2(result: dict[str, Any], target: str, kind: str, name: str) -> list[float]:
    return result["r2"][target][kind][name]["r2"]


def test_a_linear_trace_in_the_memory_is_read_by_both_probes_and_found_nowhere_else() -> None:
    memory = normal(1, ROBOTS, 6)
    result = probe(recording(memory), {"mass": 3.0 + memory[0] @ normal(6, seed=1)})
    assert r2(result, "mass", "linear", "memory")[0] > EXACT
    assert r2(result, "mass", "mlp", "memory")[0] > 0.95
    for kind in ("linear", "mlp"):
        for name in ("observation", "previous_action"):
            assert abs(r2(result, "mass", kind, name)[0]) < 0.05


def test_what_the_observation_tells_is_credited_to_the_observation() -> None:
    seen = normal(1, ROBOTS, 5)
    result = probe(
        recording(normal(1, ROBOTS, 6, seed=3), seen), {"mass": seen[0, :, 2]}, kinds=["linear"]
    )
    assert r2(result, "mass", "linear", "observation")[0] > EXACT
    assert r2(result, "mass", "linear", "memory")[0] < 0.05


def test_a_product_is_read_by_the_network_alone() -> None:
    memory = normal(1, ROBOTS, 3)
    result = probe(recording(memory), {"mass": memory[0, :, 0] * memory[0, :, 1]})
    assert r2(result, "mass", "linear", "memory")[0] < 0.05
    assert r2(result, "mass", "mlp", "memory")[0] > 0.7


def test_knowledge_that_grows_over_time_shows_at_its_time() -> None:
    target = normal(ROBOTS)
    noise = np.array([9.0, 1.0, 0.1])[:, None, None]
    memory = target[None, :, None] + noise * normal(3, ROBOTS, 1, seed=4)
    shares = 1.0 / (1.0 + noise.ravel() ** 2)  # explained variance in closed form
    result = probe(recording(memory), {"mass": target}, kinds=["linear"])
    assert result["times_s"] == [1.0, 2.0, 3.0]
    # three standard errors of a coefficient on 360 robots
    np.testing.assert_allclose(r2(result, "mass", "linear", "memory"), shares, atol=0.09)


def test_the_interval_covers_the_truth_at_its_rate() -> None:
    """80 % can be known; 38 of 40 intervals should contain that, and 32 is five per cent odds."""
    covered = 0
    for seed in range(40):
        target = normal(400, seed=seed)
        memory = target[None, :, None] + 0.5 * normal(1, 400, 1, seed=1000 + seed)
        result = probe(recording(memory), {"mass": target}, seed=seed, kinds=["linear"])
        found = result["r2"]["mass"]["linear"]["memory"]
        assert found["low"][0] < found["r2"][0] < found["high"][0]
        covered += found["low"][0] < 0.8 < found["high"][0]
    assert covered >= 32


def test_probes_are_judged_on_robots_they_have_not_learned_from() -> None:
    """Half of the target can be known; beside it stand eighty numbers of noise to overfit."""
    memory = normal(1, 300, 81)
    result = probe(recording(memory), {"mass": memory[0, :, 0] + normal(300, seed=5)})
    for kind in ("linear", "mlp"):
        assert r2(result, "mass", kind, "memory")[0] < 0.5


def test_robots_are_split_at_random_and_not_in_their_order() -> None:
    """The memory tells all about the first half of the robots and nothing about the second."""
    memory = normal(1, ROBOTS, 1)
    target = np.where(np.arange(ROBOTS) < ROBOTS // 2, memory[0, :, 0], normal(ROBOTS, seed=8))
    result = probe(recording(memory), {"mass": target}, kinds=["linear"])
    assert 0.1 < r2(result, "mass", "linear", "memory")[0] < 0.4


def test_without_need_for_a_penalty_ridge_is_least_squares() -> None:
    x, robots = normal(2, 400, 6), np.arange(400)
    y = x[1] @ normal(6, 2, seed=6) + 0.1 * normal(400, 2, seed=7)
    split = Split(train=robots[:300], validation=robots[300:350], test=robots[350:])
    predicted = ridge_predictions(x, y, split, seed=0)
    for time in range(2):
        weights, *_ = np.linalg.lstsq(x[time, :300], y[:300], rcond=None)
        if time == 1:  # at time 0 nothing is known and the penalty is for the best
            np.testing.assert_allclose(predicted[time], x[time, 350:] @ weights, atol=1e-2)
    assert np.abs(predicted[0]).mean() < 0.3


def test_constant_targets_are_none_and_constant_components_are_left_out() -> None:
    memory = normal(1, ROBOTS, 3)
    targets = {
        "delay": np.full(ROBOTS, 0.02),
        "force": np.stack([np.zeros(ROBOTS), memory[0, :, 0]], axis=1),
        "nothing": np.zeros((ROBOTS, 2)),
        "rare": np.where(np.arange(ROBOTS) % 40 == 0, 0.7, 1.0),
    }
    result = probe(recording(memory), targets, kinds=["linear"])
    assert list(result["r2"]) == list(targets)
    assert [result["r2"][name] for name in ("delay", "nothing", "rare")] == [None] * 3
    assert r2(result, "force", "linear", "memory")[0] > EXACT


def test_the_coefficient_of_a_vector_is_the_mean_of_its_components() -> None:
    memory = normal(1, ROBOTS, 3)
    force = np.stack([memory[0, :, 0], 1000.0 * normal(ROBOTS, seed=8)], axis=1)
    result = probe(
        recording(memory), {"force": force, "x": force[:, 0], "y": force[:, 1]}, kinds=["linear"]
    )
    parts = [r2(result, name, "linear", "memory")[0] for name in ("x", "y")]
    assert r2(result, "force", "linear", "memory")[0] == pytest.approx(np.mean(parts), abs=1e-3)


def test_too_few_robots_give_no_figures_and_no_error() -> None:
    result = probe(recording(normal(1, 8, 3)), {"mass": normal(8)})
    assert result == {"times_s": [1.0], "robots": 8, "r2": {"mass": None}}
    assert probe(recording(normal(1, 0, 3)), {"mass": normal(0)})["robots"] == 0


def test_robots_that_crashed_or_ran_away_do_not_count() -> None:
    memory = normal(1, ROBOTS, 3)
    target = memory[0, :, 0].copy()
    memory[0, :50], target[50:100] = np.nan, np.inf
    memory[0, 100:200] = 1e6
    flying = np.abs(np.arange(ROBOTS) - 149.5) > 50  # the second hundred is told, not the first
    result = probe(recording(memory), {"mass": target}, flying=flying, kinds=["linear"])
    assert result["robots"] == ROBOTS - 200
    assert r2(result, "mass", "linear", "memory")[0] > 0.99


def test_a_few_that_shake_do_not_lever_the_probe() -> None:
    target = normal(ROBOTS)
    memory = target[None, :, None] + 0.3 * normal(1, ROBOTS, 1, seed=9)
    memory[0, ::200] *= 1e4
    result = probe(recording(memory), {"mass": target}, kinds=["linear"])
    assert r2(result, "mass", "linear", "memory")[0] > 0.8


def test_a_policy_without_memory_knows_nothing_by_it() -> None:
    result = probe(recording(normal(1, ROBOTS, 0)), {"mass": normal(ROBOTS)})
    for kind in ("linear", "mlp"):
        assert r2(result, "mass", kind, "memory")[0] == pytest.approx(0.0, abs=0.02)


def test_result_is_plain_and_repeats() -> None:
    taken, targets = recording(normal(2, 200, 3)), {"mass": normal(200, seed=9)}
    result = probe(taken, targets)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert probe(taken, targets) == result


class Counter:
    """Remembers how often it was stepped."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.memory = np.zeros((2, 1), np.float32)

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        self.memory = self.memory + 1.0
        return np.float32(signals["previous_action"])


def shown(value: float) -> dict[str, np.ndarray]:
    return {
        "position_error": np.full((2, 3), value, np.float32),
        "orientation": np.tile(np.float32([1, 0, 0, 0]), (2, 1)),
        "previous_action": np.full((2, 4), -value, np.float32),
        "reference_preview": np.full((2, 4, 3), value, np.float32),
    }


def test_a_recording_holds_memory_and_signals_of_the_same_step() -> None:
    """After 0.05 s five steps are flown; the fifth shows the signals of 0.04 s."""
    pilot = Recorder(Counter(), (0.05, 0.1))
    for flight in range(2):
        pilot.reset()
        for step in range(12):
            assert pilot.step(shown(100 * flight + step))[0, 0] == -(100 * flight + step)
        taken = pilot.recording
        np.testing.assert_array_equal(taken.times_s, [0.05, 0.1])
        np.testing.assert_array_equal(taken.memory[:, :, 0], [[5, 5], [10, 10]])
        expected = np.array([[100 * flight + 4] * 2, [100 * flight + 9] * 2])
        np.testing.assert_array_equal(taken.observation[:, :, 0], expected)
        np.testing.assert_array_equal(taken.previous_action[:, :, 0], -expected)
        assert taken.observation.shape == (2, 2, 3 + 9 + 4 + 12)


def test_a_flight_that_is_too_short_is_told() -> None:
    pilot = Recorder(Counter(), (0.05, 0.5))
    for step in range(12):
        pilot.step(shown(step))
    with pytest.raises(EvaluationError, match=r"0\.12 s is shorter.*0\.5 s\. Fix: fly longer"):
        _ = pilot.recording


def test_an_observation_shows_the_orientation_as_a_matrix() -> None:
    """A quarter turn to the left: the body's x axis points along y, its y axis against x."""
    turned = np.float32([[0.5**0.5, 0.0, 0.0, 0.5**0.5]])
    seen = observation({"orientation": turned, "previous_action": np.zeros((1, 4), np.float32)})
    np.testing.assert_allclose(seen, [[0, -1, 0, 1, 0, 0, 0, 0, 1, *[0] * 4]], atol=1e-6)


def test_raptors_memory_learns_thrust_to_weight_as_was_published() -> None:
    """Its authors report 0.949 for a linear probe; four standard errors on 215 robots."""
    n = 768
    robots = sample(published(), n, torch.Generator().manual_seed(5)).to(torch.float32)
    pilot = Recorder(RaptorPilot(n), (0.05, 4.0))
    flight = fly(
        pilot,
        robots,
        reset(robots, InitialStates(), torch.Generator().manual_seed(6)),
        external_force(robots, torch.Generator().manual_seed(7)),
        hover(n, like=robots.mass_kg),
        num_steps=400,
        max_distance_m=20 * robots.arm_length_m,
    )
    targets = {"thrust_to_weight": robots.thrust_to_weight.numpy()}
    result = probe(pilot.recording, targets, flying=~flight.terminated[-1])
    early, late = r2(result, "thrust_to_weight", "linear", "memory")
    assert early < 0.3
    assert late == pytest.approx(0.949, abs=0.06)
    # the setpoints alone nearly say as much: without that control the figure misleads
    assert r2(result, "thrust_to_weight", "mlp", "previous_action")[1] > 0.85
