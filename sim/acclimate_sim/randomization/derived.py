"""Parameters that follow from others."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.randomization.expression import Expression
from acclimate_sim.randomization.parameter import Bounds, check_bounds, in_words


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A number of a robot that is computed from its draws.

    Attributes:
        name: In the draws.
        unit: SI, "1" for ratios.
        expression: Arithmetic on names of parameters and of what was derived before, such as
            "0.5 * mass * arm ** 2" (see `Expression`).
        description: One sentence.
        bounds: Between which values it is physical, both included; checked at each draw.
    """

    name: str
    unit: str
    expression: str
    description: str
    bounds: Bounds = (None, None)

    def __post_init__(self) -> None:
        check_bounds(self.name, self.bounds)
        if not self.formula.names:
            raise ConfigError(
                f"derived parameter {self.name!r} is {self.expression!r} for every robot. Fix: "
                "name parameters in it, or make it a parameter with a Constant."
            )

    @cached_property
    def formula(self) -> Expression:
        """The expression, parsed."""
        return Expression(self.expression)

    def compute(self, draws: Mapping[str, Tensor]) -> Tensor:
        """Values (n,), float64.

        Raises:
            ConfigError: A value is not finite or leaves the bounds.
        """
        values = self.formula.evaluate(draws)
        low, high = self.bounds
        wrong = ~values.isfinite()
        if low is not None:
            wrong |= values < low
        if high is not None:
            wrong |= values > high
        if wrong.any():
            number = int(torch.nonzero(wrong)[0])
            given = {name: float(draws[name][number]) for name in sorted(self.formula.names)}
            raise ConfigError(
                f"derived parameter {self.name!r} is {float(values[number]):g} {self.unit} for "
                f"robot {number}, with {given}, and physical {in_words(self.bounds)}. Fix: "
                f"narrow these, or change {self.expression!r}."
            )
        return values
