"""Processes on this machine, one CPU core each, that a training run starts and ends itself.

A pipe from the leader to each worker carries everything, for the policies are tiny, and it also
tells who is gone: a worker whose leader closed the pipe ends, and a leader whose worker is gone
says so.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor

from acclimate_training.errors import TrainingError
from acclimate_training.parallel import Team

FAREWELL_S = 5.0
"""Time that workers have to end by themselves."""


@dataclass(frozen=True)
class ToWorkers:
    """The leader's channel: one pipe to each worker, in the order of their ranks."""

    links: tuple[Connection, ...]

    def mean(self, values: Tensor) -> Tensor:
        """See `Channel`."""
        mine, size = values.numpy(), 1 + len(self.links)
        mean = sum((self._hear(rank, mine) for rank in range(1, size)), mine) / size
        self.from_leader(mean.tobytes())
        return torch.from_numpy(mean)

    def from_leader(self, data: bytes) -> bytes:
        """See `Channel`."""
        for link in self.links:
            # A worker that ends just now is noticed when it is heard next.
            with suppress(ConnectionError):
                link.send_bytes(data)
        return data

    def _hear(self, rank: int, like: np.ndarray) -> np.ndarray:
        try:
            return np.frombuffer(self.links[rank - 1].recv_bytes(), like.dtype)
        except (EOFError, ConnectionError) as error:
            raise TrainingError(
                f"training process {rank} of {1 + len(self.links)} ended by itself, and the others "
                "cannot go on without its robots. The last checkpoint is untouched. Fix: run the "
                "same command to go on; if it happens again, look above for its error, free "
                "memory, or take fewer --workers."
            ) from error


@dataclass(frozen=True)
class ToLeader:
    """A worker's channel: its pipe to the leader."""

    link: Connection

    def mean(self, values: Tensor) -> Tensor:
        """See `Channel`."""
        mine = values.numpy()
        self.link.send_bytes(mine.tobytes())
        return torch.from_numpy(np.frombuffer(self.link.recv_bytes(), mine.dtype).copy())

    def from_leader(self, data: bytes) -> bytes:
        """See `Channel`."""
        return self.link.recv_bytes()


@contextmanager
def hired(size: int, work: Callable[[Team], None]) -> Iterator[Team]:
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
        yield Team(size=size, channel=ToWorkers(tuple(links)))
    finally:
        for link in links:
            link.close()
        for worker in workers:
            worker.join(FAREWELL_S)
            worker.kill()
            worker.join()


def _work(work: Callable[[Team], None], rank: int, size: int, link: Connection) -> None:
    """Body of a worker process.

    It ends in silence without its leader, and where all agreed to end: the leader says why.
    """
    with suppress(EOFError, ConnectionError, TrainingError, KeyboardInterrupt):
        work(Team(rank=rank, size=size, channel=ToLeader(link)))


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
