"""How one number is drawn: quantile functions of a rank, uniform between 0 and 1.

A rank belongs to the robot and a quantile function to the parameter: robot 17 has the same rank
whatever the range, so ranges can be compared, widened and correlated robot by robot.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from acclimate_contract import ConfigError

Number = TypeVar("Number", float, Tensor)
LEAST_MASS = 1e-6
"""Of a normal between its cuts: with less, nearby ranks would give the same value."""


class Distribution(Protocol):
    """One number's distribution."""

    @property
    def unit(self) -> str | None:
        """What its values are in; None: in the unit of the parameter that it is given to."""
        ...

    @property
    def support(self) -> tuple[float, float]:
        """Least and largest value, infinite where there is none."""
        ...

    def quantile(self, rank: Tensor) -> Tensor:
        """Values, elementwise, below which lies the share `rank` of all draws, in (0, 1)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same for every robot."""

    value: float
    unit: str | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ConfigError(f"{self} is no number. Fix: make it finite.")

    @property
    def support(self) -> tuple[float, float]:
        """The value, twice."""
        return self.value, self.value

    def quantile(self, rank: Tensor) -> Tensor:
        """The value, once for each rank."""
        return torch.full_like(rank, self.value)


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Uniform on [low, high]; low == high is a constant."""

    low: float
    high: float
    unit: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigError(f"{self} is empty. Fix: make low at most high, both finite.")

    @property
    def support(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def quantile(self, rank: Tensor) -> Tensor:
        """Linear in the rank."""
        return self.low + (self.high - self.low) * rank


@dataclass(frozen=True, kw_only=True)
class LogUniform:
    """Uniform in the logarithm on [low, high]: every factor is as likely as any other."""

    low: float
    high: float
    unit: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high < math.inf:
            raise ConfigError(f"{self} is impossible. Fix: make 0 < low <= high.")

    @property
    def support(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def quantile(self, rank: Tensor) -> Tensor:
        """Exponential in the rank."""
        low, high = math.log(self.low), math.log(self.high)
        return (low + (high - low) * rank).exp()


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal with the given mean and standard deviation."""

    mean: float
    std: float
    unit: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std >= 0.0):
            raise ConfigError(f"{self} has no density. Fix: make both finite, std zero or more.")

    @property
    def support(self) -> tuple[float, float]:
        """Everything, unless there is no spread."""
        return (-math.inf, math.inf) if self.std > 0.0 else (self.mean, self.mean)

    def quantile(self, rank: Tensor) -> Tensor:
        """Inverse of the normal distribution function."""
        return self.mean + self.std * torch.special.ndtri(rank)


@dataclass(frozen=True, kw_only=True)
class TruncatedNormal:
    """Normal with the given mean and standard deviation, among its draws those in [low, high]."""

    mean: float
    std: float
    low: float
    high: float
    unit: str | None = None

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.mean, self.std, self.low, self.high)))
        if not (finite and self.std > 0.0 and self.low < self.high):
            raise ConfigError(f"{self} is empty. Fix: make std positive and low less than high.")
        below, above = self._shares
        if above - below < LEAST_MASS:
            raise ConfigError(
                f"{self} cuts off all but {above - below:.1g} of the normal: what is left has "
                "no shape that numbers could resolve. Fix: move the mean nearer, or use Uniform."
            )

    @property
    def _shares(self) -> tuple[float, float]:
        """Shares of the whole normal below both cuts."""
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        below, above = torch.special.ndtr((ends - self.mean) / self.std).tolist()
        return below, above

    @property
    def support(self) -> tuple[float, float]:
        """Both cuts."""
        return self.low, self.high

    def quantile(self, rank: Tensor) -> Tensor:
        """That of the whole normal, at the ranks between the cuts."""
        below, above = self._shares
        whole = torch.special.ndtri(below + (above - below) * rank)
        return (self.mean + self.std * whole).clamp(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """One of a few values, each as often as its weight says, by default all alike."""

    values: tuple[float, ...]
    weights: tuple[float, ...] = ()
    unit: str | None = None

    def __post_init__(self) -> None:
        if not (self.values and all(map(math.isfinite, self.values))):
            raise ConfigError(f"{self} has nothing to choose. Fix: give finite values.")
        fit = len(self.weights) in (0, len(self.values))
        possible = all(0.0 <= weight < math.inf for weight in self.weights)
        if not (fit and possible and (not self.weights or sum(self.weights) > 0.0)):
            raise ConfigError(
                f"{self} has weights that are no shares. Fix: give one per value, none negative "
                "and one positive, or none for all alike."
            )

    @property
    def support(self) -> tuple[float, float]:
        """Least and largest value."""
        return min(self.values), max(self.values)

    def quantile(self, rank: Tensor) -> Tensor:
        """Values in their given order, each over a stretch of ranks as long as its share."""
        weights = self.weights or (1.0,) * len(self.values)
        ends = list(itertools.accumulate(weights))
        # In the ranks' type from the start: a detour through float32 would round the values.
        inner = rank.new_tensor([end / ends[-1] for end in ends[:-1]])
        return rank.new_tensor(self.values)[torch.bucketize(rank, inner, right=True)]


@dataclass(frozen=True, kw_only=True)
class Between:
    """On the way from a narrow distribution to a full one.

    Values of the same rank are interpolated, so that a robot moves steadily as `progress` grows
    from 0, where it is the narrow one's, to 1, where it is the full one's.
    """

    narrow: Distribution
    full: Distribution
    progress: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.progress <= 1.0:
            raise ConfigError(f"progress {self.progress:g} is not from 0 to 1. Fix: clamp it.")
        kinds = {type(self.narrow), type(self.full)}
        if Categorical in kinds:
            raise ConfigError(
                f"nothing lies between {self.narrow} and {self.full}: a choice is not a range. "
                "Fix: give both stages the same Categorical."
            )
        units = {d.unit for d in (self.narrow, self.full) if d.unit is not None}
        if len(units) > 1:
            raise ConfigError(
                f"{self.narrow} and {self.full} have different units. Fix: convert one of them."
            )

    @property
    def unit(self) -> str | None:
        """The one that either is in."""
        return self.full.unit or self.narrow.unit

    @property
    def support(self) -> tuple[float, float]:
        """Both ends, interpolated."""
        ends = zip(self.narrow.support, self.full.support, strict=True)
        low, high = (self._mix(narrow, full) for narrow, full in ends)
        return low, high

    def quantile(self, rank: Tensor) -> Tensor:
        """Values of both at that rank, interpolated."""
        return self._mix(self.narrow.quantile(rank), self.full.quantile(rank))

    def _mix(self, narrow: Number, full: Number) -> Number:
        # At the ends the other one must not count: it may be infinite.
        if self.progress in (0.0, 1.0):
            return full if self.progress else narrow
        return (1.0 - self.progress) * narrow + self.progress * full
