"""States that stopped being numbers, and whose they are."""

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.envs.episodes import EpisodeSource
from acclimate_sim.envs.flight import Flight
from acclimate_sim.trees import pack


def check_finite(flight: Flight, action: Tensor, counting: Tensor, source: EpisodeSource) -> None:
    """Name the first robot whose state is not finite, so that it can be flown alone.

    Args:
        flight: After the step.
        action: (num_envs, num_motors), of the step.
        counting: (num_envs,) bool, which robots matter.
        source: Where the robots are from.

    Raises:
        ConfigError: The action was not finite.
        SimulationError: It was, and the state is not.
    """
    # The state of a robot whose action is not a number is none either: one look serves both.
    broken = counting & ~torch.isfinite(pack(flight.state)).all(dim=0)
    if not bool(broken.any()):
        return
    env = int(broken.nonzero()[0])
    if not bool(torch.isfinite(action[env]).all()):
        raise ConfigError(
            f"the action of environment {env} is {action[env].tolist()}: motors cannot follow "
            "anything but finite numbers. Fix: check the policy."
        )
    seed, number = int(flight.seed[env]), int(flight.number[env])
    values = zip(source.context_names, flight.episode.context[env].tolist(), strict=True)
    robot = ", ".join(f"{name} {value:.4g}" for name, value in values)
    raise SimulationError(
        f"robot {number} of seed {seed} of {source.space.name!r}, in environment {env}, is in no "
        f"finite state after {int(flight.tick[env])} steps: what follows would not be physics. "
        f"Its parameters: {robot}. Fix: check them; it flies again alone after "
        f"reset(seed={seed}, options={{'robot': {number}}})."
    )
