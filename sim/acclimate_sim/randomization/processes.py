"""What changes during an episode: factors on parameters, drawn for every robot.

Like parameters, a robot's factors depend on its number and the seed only: neither the other
robots of its batch, nor how long or how finely somebody looks, change them.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.randomization.distributions import Constant, Distribution
from acclimate_sim.randomization.streams import draw_ranks


class Process(Protocol):
    """A factor on one parameter over the time of an episode."""

    @property
    def parameter(self) -> str:
        """Name of what it multiplies."""
        ...

    def factors(self, times_s: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw the factors of `n` robots.

        Args:
            times_s: (time, n) or (time, 1), since the start of the episode, none negative.
            n: Robots.
            generator: Stream of this process alone.

        Returns:
            (time, n), float64, CPU.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """From 1 to a drawn factor, linearly from a drawn moment on for a drawn while.

    Attributes:
        parameter: Name of what it multiplies.
        factor: Where it ends; a `Categorical` with a 1 in it leaves some robots as they are.
        begin_s: When it begins.
        duration_s: How long it takes; zero is a step.
    """

    parameter: str
    factor: Distribution
    begin_s: Distribution
    duration_s: Distribution

    def __post_init__(self) -> None:
        _check_unit(self.parameter, "factor", self.factor, "1")
        for name in ("begin_s", "duration_s"):
            _check_unit(self.parameter, name, getattr(self, name), "s")
            low, high = getattr(self, name).support
            if not 0.0 <= low <= high < math.inf:
                raise ConfigError(
                    f"{name} of a process on {self.parameter!r} is drawn from {low:g} to {high:g} "
                    "s: there is no such moment. Fix: keep it between zero and some end."
                )

    def factors(self, times_s: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw (time, n) factors; see `Process`."""
        drawn = (self.factor, self.begin_s, self.duration_s)
        factor, begin_s, duration_s = (d.quantile(draw_ranks(n, generator)) for d in drawn)
        since = times_s.to(factor) - begin_s
        # A step has happened at its very moment; 0 / 0 would say nothing.
        rising = torch.where(duration_s > 0.0, since / duration_s, (since >= 0.0).to(factor))
        return 1.0 + (factor - 1.0) * rising.clamp(0.0, 1.0)


def step_change(*, parameter: str, factor: Distribution, at_s: Distribution) -> Ramp:
    """From 1 to a drawn factor at once, at a drawn moment."""
    at_once = Constant(value=0.0)
    return Ramp(parameter=parameter, factor=factor, begin_s=at_s, duration_s=at_once)


@dataclass(frozen=True, kw_only=True)
class RandomWalk:
    """Brownian motion of the factor's logarithm from 0 on, reflected at both ends.

    Attributes:
        parameter: Name of what it multiplies.
        spread: Standard deviation of the logarithm after one second.
        low: Least factor, at most 1.
        high: Largest factor, at least 1.
        interval_s: Between the moments that are drawn; the factor is linear in between.
    """

    parameter: str
    spread: float
    low: float
    high: float
    interval_s: float = 0.1

    def __post_init__(self) -> None:
        moving = 0.0 <= self.spread < math.inf and 0.0 < self.interval_s < math.inf
        if not (moving and 0.0 < self.low <= 1.0 <= self.high < math.inf and self.low < self.high):
            raise ConfigError(
                f"{self} cannot walk. Fix: make low < high with 1 between them, interval_s "
                "positive and spread zero or more."
            )

    def factors(self, times_s: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw (time, n) factors; see `Process`."""
        places = times_s.double() / self.interval_s
        before = places.floor()
        # One stream per moment: a longer look draws more moments and changes none.
        knots = int(before.max()) + 2 if before.numel() else 2
        moves = [torch.special.ndtri(draw_ranks(n, generator)) for _ in range(knots - 1)]
        walk = torch.stack([torch.zeros(n, dtype=torch.float64), *moves]).cumsum(0)
        values = self._reflected(self.spread * math.sqrt(self.interval_s) * walk).exp()
        index = before.long().expand(-1, n)
        left, right = values.gather(0, index), values.gather(0, index + 1)
        return left + (right - left) * (places - before)

    def _reflected(self, walk: Tensor) -> Tensor:
        """Fold a free walk into the logarithms of both ends."""
        low, high = math.log(self.low), math.log(self.high)
        width = high - low
        return low + width - ((walk - low).remainder(2.0 * width) - width).abs()


def _check_unit(parameter: str, name: str, distribution: Distribution, unit: str) -> None:
    if distribution.unit not in (None, unit):
        raise ConfigError(
            f"{name} of a process on {parameter!r} is in {unit!r}, not in {distribution.unit!r}. "
            "Fix: convert its distribution."
        )
