"""Checks of the tensors that users pass: the real Gym trusts addresses and shapes blindly."""

import torch

from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError
from acclimate_sim.engines.isaacgym.fake.simulation import Sim
from acclimate_sim.engines.isaacgym.fake.structs import Tensor


def root_states(sim: Sim, states: Tensor) -> torch.Tensor:
    """Return root states (num_actors, 13); all actors, also where only some are set."""
    return _checked(sim, states, torch.float32, (len(sim.actors), 13))


def vectors(sim: Sim, given: Tensor | None) -> torch.Tensor:
    """Return a vector per body (num_bodies, 3), zero where none are given."""
    shape = (len(sim.actors), 3)
    if given is None:
        return torch.zeros(shape, device=sim.device)
    return _checked(sim, given, torch.float32, shape)


def actor_numbers(sim: Sim, given: Tensor, count: int) -> torch.Tensor:
    """Return numbers of actors in the sim (count,), each within range and there once only."""
    numbers = _checked(sim, given, torch.int32, (count,)).long()
    total = len(sim.actors)
    if count == 0 or bool((numbers < 0).any() or (numbers >= total).any()):
        raise IsaacGymError(
            f"actors {numbers.tolist()} of {total}: others' memory would be overwritten. "
            "Fix: pass at least one index from get_actor_index(..., DOMAIN_SIM)."
        )
    if len(numbers.unique()) != count:
        raise IsaacGymError(
            f"actors {numbers.tolist()} name one of them twice. Fix: pass each once."
        )
    return numbers


def _checked(sim: Sim, given: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    numbers = given.numbers()
    if numbers.dtype != dtype or numbers.device != sim.device or tuple(numbers.shape) != shape:
        raise IsaacGymError(
            f"a tensor of {numbers.dtype} {tuple(numbers.shape)} on {numbers.device} where Gym "
            f"reads {dtype} {shape} on {sim.device}: it would take other bytes for numbers. "
            "Fix: pass exactly that."
        )
    return numbers
