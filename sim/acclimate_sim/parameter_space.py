"""Named, bounded, unit-carrying random parameters: one draw describes one robot."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acclimate_contract import ConfigError


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Uniform on [low, high]; low == high is a constant."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigError(f"{self} is empty. Fix: make low at most high, both finite.")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n,) float64 values on the generator's device."""
        unit = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        return self.low + (self.high - self.low) * unit


@dataclass(frozen=True, kw_only=True)
class LogUniform:
    """Uniform in the logarithm on [low, high]: every factor is as likely as any other."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high < math.inf:
            raise ConfigError(f"{self} is impossible. Fix: make 0 < low <= high.")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n,) float64 values on the generator's device."""
        return Uniform(low=math.log(self.low), high=math.log(self.high)).sample(n, generator).exp()


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal with the given mean and standard deviation."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std >= 0.0):
            raise ConfigError(f"{self} has no density. Fix: make both finite, std zero or more.")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n,) float64 values on the generator's device."""
        unit = torch.randn(n, generator=generator, device=generator.device, dtype=torch.float64)
        return self.mean + self.std * unit


Distribution = Uniform | LogUniform | Normal
DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "normal": Normal,
}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One independent random number of a robot."""

    name: str
    unit: str
    distribution: Distribution
    description: str


@dataclass(frozen=True, kw_only=True)
class ParameterSpace:
    """The independent parameters of a robot family and how they are drawn.

    Each parameter draws from its own generator, seeded from the caller's in order: appending a
    parameter or changing a range leaves the draws of all others as they were.
    """

    name: str
    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                f"parameter space {self.name!r} has {twice} more than once: only one draw of each "
                "would survive. Fix: rename or remove the others."
            )

    def sample(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw `n` robots.

        Returns:
            Parameter name -> (n,), float64, on the generator's device.
        """
        draws = {}
        for parameter in self.parameters:
            seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
            own = torch.Generator(generator.device).manual_seed(seed)
            draws[parameter.name] = parameter.distribution.sample(n, own)
        return draws

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` of it equals this space."""
        kinds = {kind: name for name, kind in DISTRIBUTIONS.items()}
        return {
            "name": self.name,
            "parameters": [
                {
                    "name": p.name,
                    "unit": p.unit,
                    "description": p.description,
                    "distribution": {"kind": kinds[type(p.distribution)], **vars(p.distribution)},
                }
                for p in self.parameters
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ParameterSpace":
        """Inverse of `to_json`; raises ConfigError on unknown kinds or missing fields."""
        try:
            return cls(
                name=data["name"],
                parameters=tuple(
                    Parameter(
                        name=p["name"],
                        unit=p["unit"],
                        description=p["description"],
                        distribution=_distribution(p["distribution"]),
                    )
                    for p in data["parameters"]
                ),
            )
        except ConfigError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"malformed parameter space ({type(error).__name__}: {error}). "
                "Fix: compare it with the output of ParameterSpace.to_json()."
            ) from error


def _distribution(data: Mapping[str, Any]) -> Distribution:
    settings = dict(data)
    kind = settings.pop("kind")
    if kind not in DISTRIBUTIONS:
        raise ConfigError(f"unknown distribution {kind!r}. Fix: use one of {list(DISTRIBUTIONS)}.")
    return DISTRIBUTIONS[kind](**settings)
