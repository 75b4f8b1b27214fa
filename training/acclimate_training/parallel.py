"""One training run in several processes that agree on every gradient.

Each process flies its share of the robots; before every step the gradients of all are averaged, so
that all hold the same weights all the time. The process of rank 0 leads: it alone reports and
saves. How they talk is up to a channel: pipes to workers on this machine (`workers`), or
torch.distributed among processes that torchrun started, on any number of machines (`torchrun`).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

Plain = TypeVar("Plain")


class Channel(Protocol):
    """How the processes of a team talk; all of them make the same calls in the same order."""

    def mean(self, values: Tensor) -> Tensor:
        """Mean over all processes of a vector on the CPU, the same bits in each of them."""
        ...

    def from_leader(self, data: bytes) -> bytes:
        """What the leader gives, in every process; the others give anything."""
        ...


@dataclass(frozen=True, kw_only=True)
class Team:
    """One process's view of all that train together.

    What it sends or hears raises TrainingError if another process is gone; a worker whose leader
    is gone raises EOFError or ConnectionError.

    Attributes:
        rank: Of this process; 0 leads.
        size: Number of processes.
        channel: To the others; none for a process alone.
    """

    rank: int = 0
    size: int = 1
    channel: Channel | None = None

    @property
    def leads(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0

    def average(self, values: Tensor) -> Tensor:
        """Mean over all processes of a vector, the same bits in each of them."""
        if self.channel is None:
            return values
        return self.channel.mean(values.detach().cpu()).to(values.device)

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.channel is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        vector_to_parameters(self.average(parameters_to_vector(gradients)), gradients)

    def average_figures(self, figures: dict[str, float]) -> dict[str, float]:
        """Mean over all processes of each figure."""
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        return dict(zip(figures, self.average(values).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        return bool(self.average(torch.tensor([float(flag)])).item())

    def from_leader(self, value: Plain) -> Plain:
        """What the leader gives, in every process: plain data and tensors, which arrive on the CPU.

        The others give what they have, which is not looked at.
        """
        if self.channel is None:
            return value
        file = io.BytesIO()
        if self.leads:
            torch.save(value, file)
        data = self.channel.from_leader(file.getvalue())
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
