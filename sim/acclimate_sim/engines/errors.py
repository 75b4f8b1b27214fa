"""What can go wrong inside an engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from acclimate_contract import AcclimateError

if TYPE_CHECKING:  # a family's module may itself raise this error
    from acclimate_sim.multirotor.state import MultirotorState


class SimulationError(AcclimateError, RuntimeError):
    """The engine's state stopped being usable: not finite, or beyond what it can integrate.

    Attributes:
        rows: Which robots of a batch, by index.
        state: Where the batch went, theirs not a number, for whom the others are enough; or none.
    """

    def __init__(
        self, message: str, *, rows: Sequence[int] = (), state: "MultirotorState | None" = None
    ) -> None:
        super().__init__(message)
        self.rows = tuple(rows)
        self.state = state


def named(rows: Sequence[int]) -> str:
    """Robots by index, for a message; of many the first."""
    first = ", ".join(str(row) for row in rows[:8])
    more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
    return f"robot{'s' if len(rows) > 1 else ''} {first}{more}"
