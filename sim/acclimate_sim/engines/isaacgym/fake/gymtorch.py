"""Stands in for isaacgym.gymtorch: torch tensors and Gym's descriptions of them, without copies."""

import torch

from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError
from acclimate_sim.engines.isaacgym.fake.structs import Tensor


def wrap_tensor(
    gym_tensor: Tensor,
    offsets: tuple[int, ...] | None = None,
    counts: tuple[int, ...] | None = None,
) -> torch.Tensor:
    """Look at one of Gym's buffers as a torch tensor that shares its memory."""
    if offsets is not None or counts is not None:
        raise IsaacGymError(
            "the fake wraps whole buffers: how the real one cuts them is not documented. "
            "Fix: wrap without offsets and counts, then slice in torch."
        )
    return gym_tensor.numbers()


def unwrap_tensor(torch_tensor: torch.Tensor) -> Tensor:
    """Describe a contiguous torch tensor to Gym; keep the tensor while the description is used."""
    return Tensor.describe(torch_tensor)
