"""The plant of unknown gain: its exact answer is exact, and a learned memory comes near it."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_training.problems.unknown_gain import (
    Controller,
    Seen,
    UnknownGain,
    draw,
    episode_cost,
    informed,
    prior,
    updated,
)
from acclimate_training.problems.unknown_gain_exact import Grid, Optimum, solve
from acclimate_training.problems.unknown_gain_policy import MemoryPolicy, meta_train
from acclimate_training.problems.unknown_gain_rivals import (
    best_feedbacks,
    certainty_equivalent,
    known_gain_expected_cost,
    known_gain_feedback,
    linear_expected_cost,
    oracle,
    robust,
)

PLANT = UnknownGain()
FRESH = draw(PLANT, 100_000, torch.Generator().manual_seed(1), dtype=torch.float64)
GRID_ERROR = 0.005  # of the default grid's costs, see `Grid`
number = st.floats(-3.0, 3.0)


@cache
def optimum() -> Optimum:
    return solve(PLANT)


def flown(controller: Controller) -> Tensor:
    with torch.no_grad():
        return episode_cost(PLANT, FRESH, controller)


def standard_error(cost: Tensor) -> float:
    return float(cost.std()) / len(cost) ** 0.5


def assert_lower(cost: Tensor, other: Tensor) -> None:
    """Significantly, on the same plants."""
    difference = other - cost
    assert float(difference.mean()) > 4.0 * standard_error(difference)


@given(data=st.lists(st.tuples(number, number), min_size=1, max_size=6))
def test_the_belief_is_the_posterior_found_by_weighing_every_gain(
    data: list[tuple[float, float]],
) -> None:
    """Prior times likelihood on a fine grid of gains, normalised: no formula for the posterior."""
    gains = torch.linspace(-12.0, 12.0, 40_001).double()
    log_weight = -0.5 * ((gains - PLANT.gain_mean) / PLANT.gain_std).square()
    belief = prior(PLANT, torch.zeros(1, dtype=torch.float64))
    for action, change in data:
        log_weight += -0.5 * ((change - gains * action) / PLANT.noise_std).square()
        belief = updated(PLANT, belief, torch.tensor(action), torch.tensor(change))
    weight = torch.softmax(log_weight, dim=0)
    mean = gains @ weight
    variance = (gains - mean).square() @ weight
    assert float(belief.mean) == pytest.approx(float(mean), abs=1e-5)
    assert float(1.0 / belief.precision) == pytest.approx(float(variance), rel=1e-4)


def test_the_optimum_costs_in_flight_what_its_value_function_says() -> None:
    cost = flown(informed(PLANT, optimum().law))
    tolerance = 4.0 * standard_error(cost) + GRID_ERROR * optimum().expected_cost
    assert float(cost.mean()) == pytest.approx(optimum().expected_cost, abs=tolerance)


@pytest.mark.parametrize("state", [0.0, 0.3, 1.5])
def test_the_first_of_two_actions_is_the_best_found_by_trying_all(state: float) -> None:
    """The last step has a closed form, so first actions of both signs can be tried by brute force.

    This checks what the dynamic program takes for granted: that the best action never pushes
    away from zero.
    """
    plant = UnknownGain(num_steps=2)
    now = torch.full((1,), state, dtype=torch.float64)
    best = two_step_costs(plant, state).min()
    chosen = solve(plant).law(0, now, prior(plant, now))
    cost = two_step_costs(plant, state, chosen)
    assert float(cost) == pytest.approx(float(best), rel=1e-3)  # the grid's error, squared


def two_step_costs(plant: UnknownGain, state: float, action: Tensor | None = None) -> Tensor:
    """Expected cost of first actions (many by default), the second being optimal."""
    first = torch.linspace(-3.0, 3.0, 1201).double() if action is None else action
    first = first.unsqueeze(-1)
    surprise = torch.linspace(-8.0, 8.0, 801).double()
    weight = torch.softmax(-0.5 * surprise.square(), dim=0)
    deviation = (plant.noise_std**2 + (plant.gain_std * first).square()).sqrt()
    change = plant.gain_mean * first + deviation * surprise
    belief = updated(plant, prior(plant, change), first, change)
    then = state + change
    # minimum over u of E (then + b u + w)^2 + r u^2 for a Gaussian b
    effort = belief.mean.square() + 1.0 / belief.precision + plant.action_weight
    last = then.square() * (1.0 - belief.mean.square() / effort) + plant.noise_std**2
    now = then.square() + plant.action_weight * first.square()
    return (now + last) @ weight


@pytest.mark.parametrize("gain", [0.4, -1.2])
def test_without_doubt_the_optimum_is_the_riccati_solution(gain: float) -> None:
    """On a finer grid, whose error was seen to be a quarter of the default's or less."""
    plant = UnknownGain(gain_mean=gain, gain_std=1e-3, num_steps=4)
    exact = solve(plant, Grid(states=61, means=61, precisions=2))
    known = torch.tensor(gain, dtype=torch.float64)
    expected = float(known_gain_expected_cost(plant, known))
    assert exact.expected_cost == pytest.approx(expected, rel=GRID_ERROR / 4)
    state = torch.tensor([-2.0, 0.7], dtype=torch.float64)
    action = exact.law(0, state, prior(plant, state))
    wanted = -known_gain_feedback(plant, 0, known) * state
    torch.testing.assert_close(action, wanted, rtol=GRID_ERROR / 4, atol=0.0)


def test_closed_forms_of_the_rivals_agree_with_their_flights() -> None:
    told = flown(oracle(PLANT, FRESH))
    expected = known_gain_expected_cost(PLANT, FRESH.gain)
    assert float((told - expected).mean()) == pytest.approx(0.0, abs=4 * standard_error(told))
    blind = flown(robust(PLANT))
    expected = float(linear_expected_cost(PLANT, best_feedbacks(PLANT)))
    assert float(blind.mean()) == pytest.approx(expected, abs=4 * standard_error(blind))


def test_no_other_linear_feedback_beats_the_robust_one() -> None:
    """Among a hundred thousand, half of them near by; local optima are what could go wrong."""
    best = best_feedbacks(PLANT)
    generator = torch.Generator().manual_seed(7)
    others = 0.5 * torch.randn(100_000, PLANT.num_steps, generator=generator).double()
    others[::2] = best + 0.2 * others[::2]
    least = linear_expected_cost(PLANT, others).min()
    assert float(least) >= float(linear_expected_cost(PLANT, best))


def test_knowing_beats_learning_beats_ignoring_doubt_beats_forgetting() -> None:
    optimal = flown(informed(PLANT, optimum().law))
    trusting = flown(certainty_equivalent(PLANT))
    assert_lower(flown(oracle(PLANT, FRESH)), optimal)
    assert_lower(optimal, trusting)
    assert_lower(trusting, flown(robust(PLANT)))


def test_a_little_meta_training_beats_certainty_equivalence_and_robustness() -> None:
    torch.manual_seed(0)
    policy = MemoryPolicy(PLANT)
    generator = torch.Generator().manual_seed(0)
    for _ in meta_train(policy, generator, iterations=250, num_envs=256):
        pass
    cost = flown(policy.double().controller())
    assert_lower(cost, flown(robust(PLANT)))
    assert_lower(cost, flown(certainty_equivalent(PLANT)))


def test_the_policy_remembers_what_it_saw_before_the_last_step() -> None:
    """Two plants that differ at step 0 alone are told apart at step 1."""
    torch.manual_seed(0)
    controller = MemoryPolicy(PLANT).controller()
    same = torch.zeros(2)
    controller(Seen(step=0, state=torch.tensor([1.0, -2.0]), previous_action=same, change=same))
    first, second = controller(Seen(step=1, state=same, previous_action=same, change=same))
    assert first.item() != second.item()


def test_learned_and_exact_memories_forget_the_episode_before() -> None:
    torch.manual_seed(0)
    for controller in (MemoryPolicy(PLANT).double().controller(), informed(PLANT, optimum().law)):
        torch.testing.assert_close(flown(controller), flown(controller), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("name", ["gain_std", "noise_std", "action_weight", "num_steps"])
def test_a_plant_without_exact_answer_is_refused_by_name(name: str) -> None:
    zero: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=f"{name} is 0:.*Fix: make it positive"):
        UnknownGain(**zero)
