"""Normal draws as a pure function of keys and counters.

A generator hands out its numbers in order, so what one robot gets would depend on how many others
fly beside it. These draws depend on nothing but their own key and counter: any robot can be
flown again alone, noise included.
"""

import math

import torch
from torch import Tensor

# The mixing constants of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 17), as signed
# numbers: torch multiplies 64-bit integers modulo 2^64.
GOLDEN = 0x9E3779B97F4A7C15 - 2**64
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
RESOLUTION = 2**24
"""Steps of a uniform number: all that a float32 resolves."""


def mix(bits: Tensor) -> Tensor:
    """Scramble 64-bit integers, any shape, so that neighbours have nothing in common."""
    bits = bits + GOLDEN
    bits = (bits ^ _shifted(bits, 30)) * FIRST_FACTOR
    bits = (bits ^ _shifted(bits, 27)) * SECOND_FACTOR
    return bits ^ _shifted(bits, 31)


def unit_normals(keys: Tensor, counters: Tensor, width: int) -> Tensor:
    """Draw independent unit normals by the method of Box and Muller.

    Args:
        keys: (n,) int64, one per stream.
        counters: (n,) int64, position in the stream.
        width: How many numbers, even.

    Returns:
        (n, width), float32.
    """
    lanes = torch.arange(width // 2, device=keys.device)
    bits = mix(mix(mix(keys) + counters).unsqueeze(-1) + lanes)
    radius, angle = (_shifted(bits, shift) % RESOLUTION for shift in (40, 16))
    radius = torch.sqrt(-2.0 * torch.log((radius + 1).float() / RESOLUTION))
    angle = angle.float() * (2.0 * math.pi / RESOLUTION)
    return torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Shift right as unsigned numbers do: zeros come in, not the sign."""
    return (bits >> count) & (2 ** (64 - count) - 1)
