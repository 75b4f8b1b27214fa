"""Parameters that go together: a Gaussian copula over their ranks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.randomization.streams import LARGEST_RANK, LEAST_RANK


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Ranks of some parameters, tied together by correlated normal numbers.

    Each parameter keeps its own distribution; only which robots get its high values changes.

    Attributes:
        names: Of the parameters.
        matrix: Correlations of the normal numbers, one row per name, 1 on the diagonal. Between
            ranks (Spearman) a correlation r becomes 6 / pi * asin(r / 2) (Kruskal 1958, JASA
            53(284), section 3).

    Raises:
        ConfigError: The matrix does not fit the names, or no numbers correlate like that.
    """

    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        square = [len(row) for row in self.matrix] == [count] * count
        if not (square and 1 < len(set(self.names)) == count):
            raise ConfigError(
                f"correlation of {list(self.names)} has the matrix {self.matrix}, and needs two "
                "names or more, each once, with a row and a column each. Fix: make them fit."
            )
        rows = torch.tensor(self.matrix, dtype=torch.float64).reshape(count, count)
        even = torch.equal(rows, rows.T) and bool((rows.diagonal() == 1.0).all())
        if not (even and int(torch.linalg.cholesky_ex(rows).info) == 0):
            raise ConfigError(
                f"correlation of {list(self.names)} is not positive definite, symmetric and 1 on "
                f"its diagonal: no numbers correlate like {self.matrix}. Fix: move its entries "
                "towards 0; what follows exactly from others is a derived parameter."
            )

    def apply(self, ranks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Correlated ranks of `names`, each (n,), from independent ones; the first is kept."""
        normals = [torch.special.ndtri(ranks[name]) for name in self.names]
        rows = torch.linalg.cholesky(torch.tensor(self.matrix, dtype=torch.float64)).tolist()
        tied = dict(ranks)
        # Sums of columns: a matrix product rounds a robot differently in another batch.
        for i, name in enumerate(self.names[1:], start=1):
            mixed = sum((rows[i][j] * normals[j] for j in range(i + 1)), start=torch.zeros(()))
            tied[name] = torch.special.ndtr(mixed).clamp(LEAST_RANK, LARGEST_RANK)
        return tied


def pair(first: str, second: str, correlation: float) -> Correlation:
    """Tie two parameters together."""
    if not (math.isfinite(correlation) and abs(correlation) < 1.0):
        raise ConfigError(
            f"correlation {correlation:g} of {first!r} and {second!r} lies outside (-1, 1). Fix: "
            "bring it inside; what follows exactly from the other is a derived parameter."
        )
    matrix = ((1.0, correlation), (correlation, 1.0))
    return Correlation(names=(first, second), matrix=matrix)
