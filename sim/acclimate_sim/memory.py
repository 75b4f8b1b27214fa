"""How much memory there is, how much a piece of work takes at its peak, and what would fit."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

from acclimate_contract import ConfigError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What resets the peak that Linux keeps of a process; see proc(5), clear_refs."""


def free_bytes(device: torch.device) -> int:
    """Memory that could still be had on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return 1024 * int(available)


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """How far memory grows at most while `work` runs; of a process, in whole pages.

    Raises:
        OSError: The system keeps no peaks of processes.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # what was freed before would be used again, and not be seen
    CLEAR.write_text(RESET_PEAK)
    before = _resident("VmRSS")
    work()
    return max(0, _resident("VmHWM") - before)


def check_room(what: str, count: int, bytes_each: int, device: torch.device) -> None:
    """Refuse before the system kills the process: Linux grants memory that it does not have.

    Args:
        what: Things that there are to be many of, for the message.
        count: How many.
        bytes_each: What one takes.
        device: Where.

    Raises:
        ConfigError: They do not fit; it says how many would.
    """
    free = free_bytes(device)
    if count * bytes_each > free:
        raise too_many(what, count, bytes_each, free)


def too_many(what: str, count: int, bytes_each: int, free: int) -> ConfigError:
    """The error that says how many, a power of two, would have fitted."""
    fit = max(1, free // bytes_each)
    return ConfigError(
        f"{count:,} {what} need about {count * bytes_each / 1e9:,.1f} GB and {free / 1e9:,.1f} GB "
        f"are free. Fix: at most {2 ** (fit.bit_length() - 1)} at once."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on a CPU or on a GPU, or Python said that there is no more."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _resident(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(name + ":"))
    return 1024 * int(kilobytes)
