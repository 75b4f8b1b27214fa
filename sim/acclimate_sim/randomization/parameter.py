"""What is drawn: a number with a name, a unit, physical bounds and a distribution."""

import math
from dataclasses import dataclass

from acclimate_contract import ConfigError
from acclimate_sim.randomization.distributions import Distribution

Bounds = tuple[float | None, float | None]
"""Least and largest possible value, None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One random number of a robot.

    Attributes:
        name: In the draws.
        unit: SI, "1" for ratios.
        distribution: How it is drawn.
        description: One sentence.
        bounds: Between which values it is physical, both included; no draw may leave them.

    Raises:
        ConfigError: The distribution leaves the bounds or has another unit.
    """

    name: str
    unit: str
    distribution: Distribution
    description: str
    bounds: Bounds = (None, None)

    def __post_init__(self) -> None:
        check_bounds(self.name, self.bounds)
        if self.distribution.unit not in (None, self.unit):
            raise ConfigError(
                f"parameter {self.name!r} is in {self.unit!r} and its distribution in "
                f"{self.distribution.unit!r}: its numbers would be taken for something else. "
                f"Fix: convert them to {self.unit!r}."
            )
        low, high = self.distribution.support
        if not (inside(low, self.bounds) and inside(high, self.bounds)):
            raise ConfigError(
                f"parameter {self.name!r} is physical {in_words(self.bounds)} {self.unit}, and "
                f"{self.distribution} draws from {low:g} to {high:g}. Fix: narrow it, or use "
                "TruncatedNormal for a Normal."
            )


def check_bounds(name: str, bounds: Bounds) -> None:
    """Raise ConfigError if nothing lies between the bounds."""
    low, high = bounds
    numbers = [bound for bound in bounds if bound is not None]
    empty = low is not None and high is not None and low > high
    if empty or not all(map(math.isfinite, numbers)):
        raise ConfigError(
            f"parameter {name!r} has bounds {bounds}, between which is nothing. Fix: make the "
            "first at most the second, and None where there is no bound."
        )


def inside(value: float, bounds: Bounds) -> bool:
    """Whether a value is physical."""
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def in_words(bounds: Bounds) -> str:
    """Bounds in words."""
    low, high = bounds
    if low is None:
        return "everywhere" if high is None else f"up to {high:g}"
    return f"from {low:g}" if high is None else f"from {low:g} to {high:g}"


def covers(outer: Bounds, inner: Bounds) -> bool:
    """Whether everything inside `inner` is inside `outer`."""
    low, high = inner
    below, above = outer
    lower = below is None or (low is not None and low >= below)
    return lower and (above is None or (high is not None and high <= above))
