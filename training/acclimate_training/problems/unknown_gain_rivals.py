"""Controllers of the plant with unknown gain that are known in closed form.

None of them is the best use of what is seen: the certainty-equivalent one does not probe and does
not doubt, the robust one does not remember, and the oracle knows what nobody is told.
"""

import numpy as np
import torch
from torch import Tensor

from acclimate_training.problems.unknown_gain import (
    Belief,
    Controller,
    Draws,
    Seen,
    UnknownGain,
    informed,
)


def known_gain_costs(plant: UnknownGain, gain: Tensor) -> list[Tensor]:
    """Riccati's recursion for known gains: what a squared state costs from each step on.

    Kwakernaak and Sivan, Linear Optimal Control Systems (1972), section 6.4.3, for a scalar.

    Returns:
        Least cost to go per squared state, noise apart, before each step and after the last:
        `num_steps` + 1 times the shape of `gain`.
    """
    costs = [torch.zeros_like(gain)]
    for _ in range(plant.num_steps):
        next_weight = 1.0 + costs[0]
        effort = plant.action_weight + next_weight * gain.square()
        costs.insert(0, next_weight * plant.action_weight / effort)
    return costs


def known_gain_feedback(plant: UnknownGain, step: int, gain: Tensor) -> Tensor:
    """Optimal action per negative state if the gain were known, in the shape of `gain`."""
    next_weight = 1.0 + known_gain_costs(plant, gain)[step + 1]
    return next_weight * gain / (plant.action_weight + next_weight * gain.square())


def known_gain_expected_cost(plant: UnknownGain, gain: Tensor) -> Tensor:
    """Cost of an episode under the oracle, over first states and noise; the shape of `gain`."""
    first, *others = known_gain_costs(plant, gain)
    return plant.start_std**2 * first + plant.noise_std**2 * sum(1.0 + cost for cost in others)


def oracle(plant: UnknownGain, draws: Draws) -> Controller:
    """The optimum of one who is told the gains of these draws."""
    feedbacks = [known_gain_feedback(plant, step, draws.gain) for step in range(plant.num_steps)]
    return lambda seen: -feedbacks[seen.step] * seen.state


def certainty_equivalent(plant: UnknownGain) -> Controller:
    """Learns exactly, but acts as if the mean of its belief were the gain."""

    def law(step: int, state: Tensor, belief: Belief) -> Tensor:
        return -known_gain_feedback(plant, step, belief.mean) * state

    return informed(plant, law)


def robust(plant: UnknownGain) -> Controller:
    """The best linear feedback without memory, one number per step."""
    feedbacks = best_feedbacks(plant).tolist()

    def controller(seen: Seen) -> Tensor:
        return -feedbacks[seen.step] * seen.state

    return controller


def best_feedbacks(plant: UnknownGain, num_starts: int = 64) -> Tensor:
    """Feedbacks (num_steps,) of least expected cost, in float64.

    There are many local optima, the good ones with alternating signs: a push and a pull together
    shrink the state whichever sign the gain has. The best of random starts is taken.
    """
    generator = torch.Generator().manual_seed(0)
    feedbacks = 0.5 * torch.randn(num_starts, plant.num_steps, generator=generator).double()
    feedbacks.requires_grad_()
    optimizer = torch.optim.LBFGS([feedbacks], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        cost = linear_expected_cost(plant, feedbacks).sum()
        cost.backward()
        return cost

    optimizer.step(closure)
    return feedbacks.detach()[linear_expected_cost(plant, feedbacks).argmin()]


def linear_expected_cost(plant: UnknownGain, feedbacks: Tensor) -> Tensor:
    """Expected cost of an episode over gains, starts and noise, for feedbacks (..., num_steps).

    Given the gain, the state's variance follows a recursion; over gains it is a polynomial of
    degree 2 `num_steps`, which Gauss-Hermite quadrature integrates exactly.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(plant.num_steps + 1)
    gain = plant.gain_mean + plant.gain_std * torch.from_numpy(points)
    variance = torch.full_like(gain, plant.start_std**2)
    cost = torch.zeros_like(gain)
    for feedback in feedbacks.unsqueeze(-1).unbind(-2):
        cost = cost + plant.action_weight * feedback.square() * variance
        variance = (1.0 - gain * feedback).square() * variance + plant.noise_std**2
        cost = cost + variance
    return cost @ torch.from_numpy(weights / weights.sum())
