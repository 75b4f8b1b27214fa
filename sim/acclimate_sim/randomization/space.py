"""A robot family's parameters and how they are drawn: one draw describes one robot."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.randomization import schema
from acclimate_sim.randomization.correlation import Correlation
from acclimate_sim.randomization.derived import Derived
from acclimate_sim.randomization.distributions import Distribution
from acclimate_sim.randomization.parameter import Parameter
from acclimate_sim.randomization.processes import Process
from acclimate_sim.randomization.streams import draw_ranks, spawn
from acclimate_sim.seeds import check_seed


@dataclass(frozen=True, kw_only=True)
class ParameterSpace:
    """The parameters of a robot family and how they are drawn.

    Each parameter has a stream of random numbers of its own, seeded from the caller's in order:
    appending a parameter or changing a range leaves the draws of all others as they were, and robot
    number i of a seed is the same in any batch, for any engine, on any device.

    Attributes:
        name: Of the space.
        parameters: Drawn, in this order.
        correlations: Which of them go together; no parameter is in two.
        derived: Computed from parameters, and from what stands before in the same list.
        processes: Factors that change during an episode.
    """

    name: str
    parameters: tuple[Parameter, ...]
    correlations: tuple[Correlation, ...] = ()
    derived: tuple[Derived, ...] = ()
    processes: tuple[Process, ...] = ()

    def __post_init__(self) -> None:
        self._check_once(self.names, "one draw of each")
        tied = [name for correlation in self.correlations for name in correlation.names]
        self._check_once(tied, "one correlation of each")
        drawn = [parameter.name for parameter in self.parameters]
        self._check_known(tied, drawn, "correlates")
        for i, derived in enumerate(self.derived):
            before = self.names[: len(drawn) + i]
            self._check_known(sorted(derived.formula.names), before, f"derives {derived.name!r} of")
        self._check_known((p.parameter for p in self.processes), self.names, "changes")

    @property
    def names(self) -> list[str]:
        """All numbers of a draw, in order."""
        return [number.name for number in (*self.parameters, *self.derived)]

    def sample(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw `n` robots, the first `n` of the generator's seed.

        Draws happen on the CPU, with one number from `generator` per parameter. To have the same
        robots on every device, draw them with a generator of the CPU and move them.

        Returns:
            Name -> (n,), float64, on the generator's device; derived ones after parameters.

        Raises:
            ConfigError: A derived parameter is not finite or leaves its bounds.
        """
        ranks = {p.name: draw_ranks(n, generator) for p in self.parameters}
        for correlation in self.correlations:
            ranks = correlation.apply(ranks)
        draws = {p.name: p.distribution.quantile(ranks[p.name]) for p in self.parameters}
        for derived in self.derived:
            draws[derived.name] = derived.compute(draws)
        return {name: values.to(generator.device) for name, values in draws.items()}

    def numbered(self, seed: int, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Draw the robots of a seed with these numbers, as `sample` does among all others.

        Returns:
            Name -> (len(numbers),), float64, CPU.
        """
        draws = self.sample(_count(seed, numbers), torch.Generator().manual_seed(seed))
        return {name: values[list(numbers)] for name, values in draws.items()}

    def factors(self, times_s: Tensor, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw what changes during an episode of `n` robots.

        Independent of what `sample` draws, also from a generator of the same seed.

        Args:
            times_s: (time, n) or (time, 1), since the start of the episode, none negative.
            n: Robots.
            generator: One number per process is taken from it.

        Returns:
            Name of each changing parameter -> (time, n), float64, on the generator's device.
        """
        fits = times_s.ndim == 2 and times_s.shape[1] in (1, n)
        if not (fits and bool(((times_s >= 0.0) & times_s.isfinite()).all())):
            raise ConfigError(
                f"times {tuple(times_s.shape)} of {n} robots need the shape (time, {n}) or "
                "(time, 1) and finite numbers from 0 on. Fix: count from the episode's start."
            )
        factors: dict[str, Tensor] = {}
        for process in self.processes:
            # A process spawns again, so that no stream of it is one of `sample` with this seed.
            drawn = process.factors(times_s.cpu(), n, spawn(generator))
            factors[process.parameter] = factors.get(process.parameter, 1.0) * drawn
        return {name: values.to(generator.device) for name, values in factors.items()}

    def numbered_factors(
        self, seed: int, numbers: Sequence[int], times_s: Tensor
    ) -> dict[str, Tensor]:
        """Draw what changes for the robots of a seed with these numbers.

        As `factors` with a fresh generator of that seed; `times_s` is (time, 1).
        """
        generator = torch.Generator().manual_seed(seed)
        drawn = self.factors(times_s, _count(seed, numbers), generator)
        return {name: values[:, list(numbers)] for name, values in drawn.items()}

    def with_distributions(
        self, name: str, distributions: Mapping[str, Distribution]
    ) -> "ParameterSpace":
        """Draw some parameters otherwise; everything else stays.

        Raises:
            ConfigError: No parameter has that name, or a distribution does not fit it.
        """
        self._check_known(distributions, [p.name for p in self.parameters], "redraws")
        parameters = (
            replace(p, distribution=distributions.get(p.name, p.distribution))
            for p in self.parameters
        )
        return replace(self, name=name, parameters=tuple(parameters))

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` of it equals this space."""
        return schema.encode(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ParameterSpace":
        """Inverse of `to_json`; raises ConfigError on unknown kinds, unknown or missing fields."""
        return schema.decode(cls, data, "space")

    def _check_once(self, names: list[str], survives: str) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                f"parameter space {self.name!r} has {twice} more than once: only {survives} "
                "would survive. Fix: rename or remove the others."
            )

    def _check_known(self, names: Iterable[str], known: Collection[str], does: str) -> None:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"parameter space {self.name!r} {does} {unknown}, which it does not have. "
                f"Fix: use one of {', '.join(known)}, or add a parameter."
            )


def _count(seed: int, numbers: Sequence[int]) -> int:
    """How many robots to draw to have those with these numbers."""
    check_seed(seed)
    if any(number < 0 for number in numbers):
        raise ConfigError(f"robots {list(numbers)} of seed {seed}: they are counted from 0.")
    return max(numbers, default=-1) + 1
