"""An integrator with unknown gain: a plant simple enough that the best controller is known.

The plant is x' = x + b u + w. Its gain b is drawn once per episode from a Gaussian wide enough to
leave its sign open, w is Gaussian noise, and each step costs x'^2 + r u^2: the plant of Åström and
Helmersson, "Dual control of an integrator with unknown gain" (1986), with a price on the action.
The belief about b stays Gaussian, so state, mean and precision are all that a controller can use.
The best use of them is not to act on the mean: an action also buys precision, which pays later.
`unknown_gain_exact` finds it, `unknown_gain_rivals` holds what is simpler or knows more, and
`unknown_gain_policy` learns from experience alone.

All quantities are dimensionless.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_contract import ConfigError


@dataclass(frozen=True, kw_only=True)
class UnknownGain:
    """The plant, its prior and its cost."""

    gain_mean: float = 0.5
    """Mean of the gains."""
    gain_std: float = 1.0
    """Standard deviation of the gains."""
    noise_std: float = 0.5
    """Standard deviation of the noise of one step."""
    start_std: float = 1.0
    """Standard deviation of the first state, whose mean is zero."""
    action_weight: float = 0.1
    """Cost of a squared action, in squared states."""
    num_steps: int = 6
    """Steps per episode."""

    def __post_init__(self) -> None:
        for name in ("gain_std", "noise_std", "start_std", "action_weight", "num_steps"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}: without it the problem has no exact answer "
                    "in the form computed here. Fix: make it positive; a small one will do."
                )


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What chance decides in a batch of episodes.

    Attributes:
        gain: (num_envs,).
        start: (num_envs,), first state.
        noise: (num_steps, num_envs).
    """

    gain: Tensor
    start: Tensor
    noise: Tensor


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that a controller is told at a step; what it remembers is its own affair.

    Attributes:
        step: Steps since the start.
        state: (num_envs,), now.
        previous_action: (num_envs,), zero at first.
        change: (num_envs,), of the state since the previous step, zero at first.
    """

    step: int
    state: Tensor
    previous_action: Tensor
    change: Tensor


@dataclass(frozen=True, kw_only=True)
class Belief:
    """Gaussian belief about the gain: mean and inverse variance, each (num_envs,)."""

    mean: Tensor
    precision: Tensor


Controller = Callable[[Seen], Tensor]
"""Actions (num_envs,) from what is seen; forgets everything at step 0."""

Law = Callable[[int, Tensor, Belief], Tensor]
"""Actions (num_envs,) from step, state and belief."""


def draw(
    plant: UnknownGain,
    num_envs: int,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
) -> Draws:
    """Draw fresh gains, first states and noise."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return Draws(
        gain=plant.gain_mean + plant.gain_std * normal(num_envs),
        start=plant.start_std * normal(num_envs),
        noise=plant.noise_std * normal(plant.num_steps, num_envs),
    )


def episode_cost(plant: UnknownGain, draws: Draws, controller: Controller) -> Tensor:
    """Cost (num_envs,) of whole episodes, differentiable in whatever the controller is made of."""
    state = draws.start
    action = change = cost = torch.zeros_like(state)
    for step, noise in enumerate(draws.noise.unbind(0)):
        action = controller(Seen(step=step, state=state, previous_action=action, change=change))
        change = draws.gain * action + noise
        state = state + change
        cost = cost + state.square() + plant.action_weight * action.square()
    return cost


def prior(plant: UnknownGain, like: Tensor) -> Belief:
    """What is known about the gain before the first action."""
    return Belief(
        mean=torch.full_like(like, plant.gain_mean),
        precision=torch.full_like(like, plant.gain_std**-2),
    )


def updated(plant: UnknownGain, belief: Belief, action: Tensor, change: Tensor) -> Belief:
    """Bayes' rule: the belief after an action (num_envs,) changed the state by `change`."""
    trust = plant.noise_std**-2
    precision = belief.precision + trust * action.square()
    mean = (belief.precision * belief.mean + trust * action * change) / precision
    return Belief(mean=mean, precision=precision)


def informed(plant: UnknownGain, law: Law) -> Controller:
    """A controller that keeps the exact belief and acts on it by a law."""
    belief = prior(plant, torch.zeros(()))

    def controller(seen: Seen) -> Tensor:
        nonlocal belief
        if seen.step == 0:
            belief = prior(plant, seen.state)
        else:
            belief = updated(plant, belief, seen.previous_action, seen.change)
        return law(seen.step, seen.state, belief)

    return controller
