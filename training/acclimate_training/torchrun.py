"""Training in processes that torchrun started, on one machine or several.

The policies are tiny, so that gradients of any device travel through the CPU: gloo, unlike NCCL,
notices at once when a process is gone, and runs wherever there is a network.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from acclimate_contract import AcclimateError
from acclimate_deploy.command import EXIT_INTERRUPTED, EXIT_USAGE
from acclimate_training.errors import TrainingError
from acclimate_training.parallel import Team

PATIENCE = timedelta(minutes=10)
"""How long processes wait for the slowest of them, which may be compiling."""
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which torchrun tells a process who it is and where the others are."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What torchrun told this process.

    Attributes:
        rank: Among all processes; 0 leads.
        local_rank: Among the processes of this machine.
        size: Number of all processes.
    """

    rank: int
    local_rank: int
    size: int


def launched() -> Launch | None:
    """What torchrun told this process; none if it did not start it."""
    if any(name not in os.environ for name in NAMES):
        return None
    rank, size, local_rank = (int(os.environ[name]) for name in NAMES[:3])
    return Launch(rank=rank, local_rank=local_rank, size=size)


class Group:
    """A channel through torch.distributed's default group."""

    def mean(self, values: Tensor) -> Tensor:
        """See `Channel`."""
        total = values.clone()
        with _others_expected():
            dist.all_reduce(total)
        return total / dist.get_world_size()

    def from_leader(self, data: bytes) -> bytes:
        """See `Channel`."""
        box = [data]
        with _others_expected():
            dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(launch: Launch) -> Iterator[Team]:
    """Be one of the team while the context lasts.

    One error ends all processes. Only the first of them tells it; the others exit in silence,
    unless theirs is a bug.
    """
    store = _join(launch)
    try:
        yield Team(rank=launch.rank, size=launch.size, channel=Group())
    except BaseException as error:
        if _first(store) or not isinstance(error, AcclimateError | KeyboardInterrupt):
            raise
        interrupted = isinstance(error, KeyboardInterrupt)
        raise SystemExit(EXIT_INTERRUPTED if interrupted else EXIT_USAGE) from error
    finally:
        dist.destroy_process_group()


def _join(launch: Launch) -> Store:
    """Meet the others; gives the store that all of them can write to."""
    try:
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        team = PrefixStore("team", store)
        dist.init_process_group("gloo", store=team, rank=rank, world_size=size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {launch.rank} of {launch.size} could not meet the others at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} ({_in_short(error)}). "
            "Fix: check that torchrun runs on all machines with the same --nnodes and "
            "--rdzv-endpoint and that they reach each other; GLOO_SOCKET_IFNAME names the network "
            "interface where there are several."
        ) from error
    return store


def _first(store: Store) -> bool:
    """Whether no other process has failed before; also where nobody is left to tell."""
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:
        return True


@contextmanager
def _others_expected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"another of the {dist.get_world_size()} training processes ended by itself or cannot "
            f"be reached ({_in_short(error)}), and nobody can go on without its robots. The last "
            "checkpoint is untouched. Fix: run the same command to go on, or give torchrun "
            "--max-restarts; if it happens again, look above for its error or free memory."
        ) from error


def _in_short(error: Exception) -> str:
    """The first sentence of an error of torch.distributed, without the source file it is from."""
    sentence = str(error).strip().split("\n")[0].split(". ")[0]
    return sentence.split("] ", 1)[1] if sentence.startswith("[") and "] " in sentence else sentence
