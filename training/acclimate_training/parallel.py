"""Training on several CPU cores: processes that agree on every gradient.

The first process leads, the others are its workers. Each flies robots of its own; before every step
the gradients of all are averaged, so that all hold the same weights all the time. A pipe to each
worker carries everything, for the policies are tiny, and it also tells who is gone: a worker whose
leader closed the pipe ends, and a leader whose worker is gone says so.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from acclimate_training.errors import TrainingError

FAREWELL_S = 5.0
"""Time that workers have to end by themselves."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """One process's view of all that train together.

    Attributes:
        rank: Of this process; 0 leads.
        size: Number of processes.
        links: To the workers in the order of their ranks; in a worker, the one to the leader.
    """

    rank: int = 0
    size: int = 1
    links: tuple[Connection, ...] = ()

    def average(self, values: Tensor) -> Tensor:
        """Mean over all processes of a vector, the same bits in each of them.

        Raises:
            TrainingError: In the leader, if a worker is gone.
            EOFError: In a worker, if the leader is gone.
        """
        if self.size == 1:
            return values
        mine = values.detach().numpy()
        if self.rank > 0:
            self.links[0].send_bytes(mine.tobytes())
            return torch.from_numpy(np.frombuffer(self.links[0].recv_bytes(), mine.dtype).copy())
        mean = sum((self._hear(rank, mine) for rank in range(1, self.size)), mine) / self.size
        for link in self.links:
            # A worker that ends just now is noticed when it is heard next.
            with suppress(ConnectionError):
                link.send_bytes(mean.tobytes())
        return torch.from_numpy(mean)

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        vector_to_parameters(self.average(parameters_to_vector(gradients)), gradients)

    def average_figures(self, figures: dict[str, float]) -> dict[str, float]:
        """Mean over all processes of each figure."""
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        return dict(zip(figures, self.average(values).tolist(), strict=True))

    def _hear(self, rank: int, like: np.ndarray) -> np.ndarray:
        try:
            return np.frombuffer(self.links[rank - 1].recv_bytes(), like.dtype)
        except (EOFError, ConnectionError) as error:
            raise TrainingError(
                f"training process {rank} of {self.size} ended by itself, and the others cannot go "
                "on without its robots. The last checkpoint is untouched. Fix: run the same "
                "command to go on; if it happens again, look above for its error, free memory, or "
                "start anew with fewer --workers."
            ) from error


@contextmanager
def team(size: int, work: Callable[[Team], None]) -> Iterator[Team]:
    """Lead a team while the context lasts; each worker runs `work`, which must be picklable."""
    context = multiprocessing.get_context("spawn")  # forking under torch's threads may hang
    links, workers = [], []
    try:
        for rank in range(1, size):
            link, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(work, rank, size, theirs))
            with _deaf_children():
                worker.start()
            theirs.close()  # held by the worker alone, the pipe breaks when it ends
            links.append(link)
            workers.append(worker)
        yield Team(size=size, links=tuple(links))
    finally:
        for link in links:
            link.close()
        for worker in workers:
            worker.join(FAREWELL_S)
            worker.kill()
            worker.join()


def _work(work: Callable[[Team], None], rank: int, size: int, link: Connection) -> None:
    """Body of a worker process; without its leader it ends in silence."""
    with suppress(EOFError, ConnectionError):
        work(Team(rank=rank, size=size, links=(link,)))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that ignore SIGINT and SIGTERM: their leader decides when the team stops."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
