"""A ROS domain of its own for each run, so that parallel runs never hear each other.

A domain is claimed by a lock on a file. The kernel lets go of it when the claiming process ends,
however it ends.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acclimate_contract import ConfigError

# Domain 0 is everybody's default; above 101 the ports of DDS run into those Linux hands out.
DOMAINS = range(1, 102)


@contextmanager
def claimed_domain(wanted: int | None = None) -> Iterator[int]:
    """Hold a ROS domain id while the context lasts.

    Args:
        wanted: This one and no other; None takes any that no other run of this user holds.

    Raises:
        ConfigError: The wanted domain, or every domain, is taken.
    """
    folder = Path(tempfile.gettempdir(), f"acclimate-domains-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in [wanted] if wanted is not None else _shuffled():
        descriptor = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        try:
            yield number
        finally:
            os.close(descriptor)
        return
    taken = "every ROS domain" if wanted is None else f"ROS domain {wanted}"
    raise ConfigError(
        f"{taken} is taken by another run on this computer; two flights in one domain would fly "
        "each other's robots. Fix: wait for it, or choose another with --domain-id."
    )


def _shuffled() -> list[int]:
    """All domains, starting at a place that differs between processes."""
    first = os.getpid() % len(DOMAINS)
    return [*DOMAINS[first:], *DOMAINS[:first]]
