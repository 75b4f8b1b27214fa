"""The controls tamper with what they say, with nothing else, and they hurt."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from policy_file import Recurrence, build, tensor, write

from acclimate_contract import QUADROTOR, GoldenSequence, MemorySpec
from acclimate_deploy.policy import load_policy
from acclimate_sim.multirotor import InitialStates, external_force, published, reset, sample
from acclimate_sim.references import hover
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.controls import (
    CONTROLS,
    HISTORY_STEPS,
    Control,
    TamperedPilot,
    tampered,
)
from acclimate_training.evaluation.figures import hold_figures
from acclimate_training.evaluation.flights import Conditions, Flight, fly
from acclimate_training.evaluation.pilots import (
    OnnxPilot,
    Pilot,
    PilotMaker,
    RaptorPilot,
    onnx_pilot,
)

ROBOTS = 5


class Adder:
    """memory' = keep * memory + position_error[:, :1]; the answer is memory' four times.

    Whole numbers make every sum exact. It also keeps the last signals it was shown.
    """

    def __init__(self, num_envs: int = ROBOTS, keep: float = 1.0) -> None:
        self._num_envs, self._keep = num_envs, keep
        self.reset()

    def reset(self) -> None:
        self.memory = np.zeros((self._num_envs, 1), np.float32)

    def step(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        self.seen = signals
        self.memory = self._keep * self.memory + signals["position_error"][:, :1]
        return np.repeat(self.memory, 4, axis=1)


def shown(steps: int, robots: int = ROBOTS, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Whole random numbers for every signal."""
    rng = np.random.default_rng(seed)
    widths = {"position_error": (3,), "previous_action": (4,), "reference_preview": (4, 3)}
    return [
        {n: rng.integers(-9, 9, (robots, *w)).astype(np.float32) for n, w in widths.items()}
        for _ in range(steps)
    ]


def answers(pilot: Pilot, signals: list[dict[str, np.ndarray]]) -> np.ndarray:
    """First setpoint of every robot, (steps, robots)."""
    return np.stack([pilot.step(now)[:, 0] for now in signals])


def values(signals: list[dict[str, np.ndarray]]) -> np.ndarray:
    """What an `Adder` adds, (steps, robots)."""
    return np.stack([now["position_error"][:, 0] for now in signals])


@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("memory_reset_every_step", 1),
        ("memory_reset_every_0.1s", 10),
        ("memory_reset_every_0.5s", 50),
    ],
)
def test_a_reset_leaves_only_what_came_after_it(name: str, every: int) -> None:
    signals = shown(120)
    expected = [values(signals)[t - t % every : t + 1].sum(axis=0) for t in range(len(signals))]
    np.testing.assert_array_equal(
        answers(tampered(Adder, CONTROLS[name])(ROBOTS), signals), expected
    )


def test_a_frozen_memory_still_answers_the_newest_signals_but_learns_nothing() -> None:
    signals = shown(130)
    pilot = TamperedPilot(Adder(), CONTROLS["memory_frozen_after_1s"])
    added = values(signals)
    learned = added[:100].sum(axis=0)
    expected = [*np.cumsum(added[:100], axis=0), *(learned + added[100:])]
    np.testing.assert_array_equal(answers(pilot, signals), expected)
    np.testing.assert_array_equal(pilot.memory[:, 0], learned)


def test_a_borrowed_memory_is_true_of_its_lender_and_the_same_lender_lends_every_time() -> None:
    signals = shown(30)
    added = values(signals)
    own = np.vstack([np.zeros(ROBOTS), np.cumsum(added, axis=0)])
    lender = np.roll(np.arange(ROBOTS), ROBOTS // 2)
    assert (lender != np.arange(ROBOTS)).all()
    pilot = TamperedPilot(Adder(), CONTROLS["memory_of_another_robot"])
    np.testing.assert_array_equal(answers(pilot, signals), own[:-1, lender] + added)
    np.testing.assert_array_equal(pilot.memory[:, 0], own[-1])


def test_memories_cannot_be_swapped_between_one_robot() -> None:
    pilot = TamperedPilot(Adder(1), CONTROLS["memory_of_another_robot"])
    with pytest.raises(EvaluationError, match=r"one robot flies.*Fix: fly at least two"):
        pilot.step(shown(1, robots=1)[0])


def test_a_zeroed_action_hides_nothing_else_and_leaves_the_callers_signals_alone() -> None:
    (signals,) = shown(1)
    given = {name: value.copy() for name, value in signals.items()}
    adder = Adder()
    TamperedPilot(adder, CONTROLS["previous_action_zeroed"]).step(signals)
    assert not adder.seen["previous_action"].any()
    for name, value in given.items():
        np.testing.assert_array_equal(signals[name], value)
        if name != "previous_action":
            np.testing.assert_array_equal(adder.seen[name], value)


def test_a_cut_history_is_all_of_it_at_first_and_the_last_half_second_later() -> None:
    signals = shown(130)
    pilot = TamperedPilot(Adder(keep=0.5), CONTROLS["history_cut_to_0.5s"])
    for t, answer in enumerate(answers(pilot, signals)):
        fresh = answers(Adder(keep=0.5), signals[max(0, t - HISTORY_STEPS) : t + 1])[-1]
        np.testing.assert_array_equal(answer, fresh)


def test_shuffling_changes_the_order_of_each_robots_own_history_and_nothing_else() -> None:
    """A sum of whole numbers does not know their order, but notices one that is missing."""
    signals = shown(130)
    cut, shuffled = (
        answers(TamperedPilot(Adder(), CONTROLS[name]), signals)
        for name in ("history_cut_to_0.5s", "history_of_0.5s_shuffled")
    )
    np.testing.assert_array_equal(shuffled, cut)
    cut, shuffled = (
        answers(TamperedPilot(Adder(keep=0.5), CONTROLS[name]), signals)
        for name in ("history_cut_to_0.5s", "history_of_0.5s_shuffled")
    )
    assert (shuffled[2:] != cut[2:]).any(axis=0).all()


def test_every_robot_has_an_order_of_its_own_and_keeps_it() -> None:
    """All robots see one lone impulse pass by; it weighs by where the order puts it."""
    signals = shown(3 * HISTORY_STEPS)
    for t, now in enumerate(signals):
        now["position_error"][:] = float(t == 60)
    pilot = TamperedPilot(Adder(keep=0.9), CONTROLS["history_of_0.5s_shuffled"])
    passing = answers(pilot, signals)[61 : 61 + HISTORY_STEPS]
    weights = 0.9 ** np.arange(1, HISTORY_STEPS + 1)
    for robot in range(ROBOTS):
        np.testing.assert_allclose(np.sort(passing[:, robot])[::-1], weights, rtol=1e-4)
    assert len({tuple(column) for column in passing.argsort(axis=0).T}) == ROBOTS


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_a_second_flight_is_the_first_again(control: Control) -> None:
    signals = shown(110)
    pilot = TamperedPilot(Adder(keep=0.5), control)
    first = answers(pilot, signals)
    pilot.reset()
    np.testing.assert_array_equal(answers(pilot, signals), first)


def two_memories(path: Path) -> Path:
    """A policy file that remembers a vector (3,) and a matrix (2, 2), which it answers."""
    signal = QUADROTOR.signal("position_error")
    nodes = [
        helper.make_node("Add", ["vector", signal.name], ["next_vector"]),
        helper.make_node("Mul", ["matrix", "half"], ["next_matrix"]),
        helper.make_node("Flatten", ["next_matrix"], ["action"]),
    ]
    matrix = helper.make_tensor_value_info("matrix", 1, ["batch", 2, 2])
    next_matrix = helper.make_tensor_value_info("next_matrix", 1, ["batch", 2, 2])
    graph = helper.make_graph(
        nodes,
        "two memories",
        [tensor(signal.name, "batch", 3), tensor("vector", "batch", 3), matrix],
        [tensor("action", "batch", 4), tensor("next_vector", "batch", 3), next_matrix],
        [numpy_helper.from_array(np.array(0.5, np.float32), "half")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    start = np.array([[0.8, 0.4], [0.2, 0.1]], np.float32)
    decay = 0.5 ** np.array([1, 2, 1, 2], np.float32)[:, None]
    manifest = Recurrence().manifest(
        signals=(signal,),
        memory=(
            MemorySpec(input="vector", output="next_vector", initial=np.zeros(3, np.float32)),
            MemorySpec(input="matrix", output="next_matrix", initial=start),
        ),
        golden=GoldenSequence(
            inputs={signal.name: np.ones((4, 3), np.float32)},
            actions=decay * start.reshape(1, 4),
            resets=np.array([False, False, True, False]),
        ),
    )
    return write(path, model, manifest)


def test_several_memory_tensors_become_one_row_per_robot_and_back(tmp_path: Path) -> None:
    pilot = OnnxPilot(load_policy(two_memories(tmp_path / "policy.onnx")), 2)
    signals = {"position_error": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
    pilot.step(signals)
    fresh = [0.4, 0.2, 0.1, 0.05]
    np.testing.assert_allclose(pilot.memory, [[1, 2, 3, *fresh], [4, 5, 6, *fresh]])
    pilot.memory = np.arange(14, dtype=np.float32).reshape(2, 7)
    np.testing.assert_array_equal(pilot.step(signals), [[1.5, 2, 2.5, 3], [5, 5.5, 6, 6.5]])
    expected = [[1, 3, 5, 1.5, 2, 2.5, 3], [11, 13, 15, 5, 5.5, 6, 6.5]]
    np.testing.assert_array_equal(pilot.memory, expected)


def raptor_or_file(name: str, directory: Path) -> PilotMaker:
    return RaptorPilot if name == "raptor" else onnx_pilot(build(directory / "policy.onnx"))


def hold(make_pilot: PilotMaker, robots: int, steps: int, conditions: Conditions) -> Flight:
    """A hold of fresh robots of the published distribution under force."""
    drawn = sample(published(), robots, torch.Generator().manual_seed(5)).to(torch.float32)
    return fly(
        make_pilot(robots),
        drawn,
        reset(drawn, InitialStates(), torch.Generator().manual_seed(6)),
        external_force(drawn, torch.Generator().manual_seed(7)),
        hover(robots, like=drawn.mass_kg),
        num_steps=steps,
        max_distance_m=20 * drawn.arm_length_m,
        conditions=conditions,
    )


@pytest.mark.parametrize("name", ["raptor", "file"])
def test_a_memory_put_back_brings_back_the_answers(name: str, tmp_path: Path) -> None:
    """Also the very first one, before any step."""
    pilot = raptor_or_file(name, tmp_path)(3)
    signals = {
        signal.name: np.full((3, *signal.shape), 0.1, np.float32) for signal in QUADROTOR.signals
    }
    for _ in range(3):
        kept = pilot.memory
        answer = pilot.step(signals).copy()
        assert not np.array_equal(pilot.memory, kept)
        pilot.memory = kept
        np.testing.assert_array_equal(pilot.step(signals), answer)


@pytest.mark.parametrize("name", ["raptor", "file"])
def test_a_reset_at_every_step_is_a_flight_without_memory(name: str, tmp_path: Path) -> None:
    make_pilot = raptor_or_file(name, tmp_path)
    control = CONTROLS["memory_reset_every_step"]
    np.testing.assert_array_equal(
        hold(tampered(make_pilot, control), 4, 30, Conditions()).distance_m,
        hold(make_pilot, 4, 30, Conditions(clear_memory=True)).distance_m,
    )


def test_controls_hurt_raptor_in_the_order_that_was_measured() -> None:
    """With 1000 robots the medians were 0.037, 0.095, 0.26, 0.62 and 2.7 m."""
    names = (
        "memory_reset_every_0.1s",
        "previous_action_zeroed",
        "memory_reset_every_step",
        "memory_of_another_robot",
    )
    pilots = [RaptorPilot, *(tampered(RaptorPilot, CONTROLS[name]) for name in names)]
    errors = [
        hold_figures(hold(pilot, 96, 300, Conditions()))["final_error_median_m"] for pilot in pilots
    ]
    assert all(after > 1.5 * before for before, after in pairwise(errors))
