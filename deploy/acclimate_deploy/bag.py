"""Record raw ROS 2 messages into an MCAP bag that is whole or does not carry its final name."""

import errno
import fcntl
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from acclimate_contract import AcclimateError

PARTIAL_SUFFIX = ".partial"
FLUSH_PERIOD_S = 0.5

_NO_LIMIT = QosTime(0, 0)
LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_NO_LIMIT,
    lifespan=_NO_LIMIT,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_NO_LIMIT,
    avoid_ros_namespace_conventions=False,
)
_CAUSES = {
    errno.ENOSPC: ("the disk is full", "free some space or record to another disk"),
    errno.EDQUOT: ("your disk quota is used up", "free some space or record to another disk"),
    errno.EFBIG: ("the file reached the allowed size", "raise `ulimit -f` or record shorter"),
    errno.EACCES: ("you may not write there", "record into a folder of yours"),
    errno.EPERM: ("you may not write there", "record into a folder of yours"),
    errno.EROFS: ("the file system is read-only", "record to another disk"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path"),
}


class BagError(AcclimateError):
    """A bag cannot be created, written, closed or recovered."""


@cache
def ros_types() -> Typestore:
    """Definitions of the standard messages (ROS 2 Kilted); needs no ROS installation."""
    return get_typestore(Stores.ROS2_KILTED)


class BagWriter:
    """Writes serialised ROS 2 messages to a rosbag2 folder (MCAP, metadata version 9).

    Everything goes to `<path>.partial` until `close` renames it, so the final name always means a
    whole bag. What `write` got reaches the operating system at most `flush_period_s` later, as
    long as messages keep coming: a killed recorder loses no more, and `recover_bag` gets the rest
    back. (A power cut may cost more: the kernel writes to the disk when it sees fit.)

    Args:
        path: Folder that will hold the bag; must not exist yet.
        flush_period_s: Longest time that written messages stay in this process.

    Raises:
        BagError: The path is taken or not writable.
    """

    def __init__(self, path: Path | str, *, flush_period_s: float = FLUSH_PERIOD_S) -> None:
        self.path = Path(path).absolute()
        self._partial = partial_path(self.path)
        self._flush_period_s = flush_period_s
        self._connections: dict[str, Connection] = {}
        self._failure: BagError | None = None
        refuse_taken(self.path, self._partial)
        # The inner folder has the final name already: rosbags names the data file after it.
        self._writer: Writer | None = Writer(
            self._partial / self.path.name, version=9, storage_plugin=StoragePlugin.MCAP
        )
        try:
            self._writer.open()
            _lock(cast(McapWriter, self._writer.storage).bio.fileno())
        except (OSError, WriterError) as error:
            self._writer = None
            for folder in (self._partial / self.path.name, self._partial):
                with suppress(OSError):  # not there, or not empty and so not ours
                    folder.rmdir()
            raise bag_error("create", self.path, error) from error
        self._flushed_s = time.monotonic()

    def _open_writer(self) -> Writer:
        if self._failure is not None:
            raise self._failure
        if self._writer is None:
            raise BagError(
                f"the bag '{self.path}' is closed, so nothing can be added to it. "
                "Fix: open a new BagWriter with another path."
            )
        return self._writer

    def add(self, topic: str, msgtype: str, *, latched: bool = False) -> None:
        """Announce a topic before its first message.

        Args:
            topic: Full topic name, for example "/odom".
            msgtype: Message type, for example "nav_msgs/msg/Odometry".
            latched: True if the topic is transient local, so that a replay latches it too.

        Raises:
            BagError: The type is unknown, the topic is already there or the bag is closed.
        """
        writer = self._open_writer()
        if topic in self._connections:
            raise BagError(f"the bag already has topic {topic!r}. Fix: add each topic once.")
        if msgtype not in ros_types().types:
            raise BagError(
                f"message type {msgtype!r} of topic {topic!r} is not a standard ROS 2 message, so "
                "the bag could not say how to read it. Fix: write it as in "
                "'nav_msgs/msg/Odometry', or publish a standard message."
            )
        self._connections[topic] = writer.add_connection(
            topic,
            msgtype,
            typestore=ros_types(),
            offered_qos_profiles=[LATCHED] if latched else [],
        )

    def write(self, topic: str, stamp_ns: int, raw_cdr: bytes | memoryview) -> None:
        """Append one message.

        Args:
            topic: A topic given to `add`.
            stamp_ns: When it was received, nanoseconds since the epoch.
            raw_cdr: The serialised message as it came from the middleware, header included.

        Raises:
            BagError: Unknown topic, closed bag, or the system refuses to store more.
        """
        writer = self._open_writer()
        if topic not in self._connections:
            raise BagError(
                f"the bag does not have topic {topic!r}; it has {sorted(self._connections)}. "
                "Fix: call add(topic, msgtype) before the first message."
            )
        try:
            writer.write(self._connections[topic], stamp_ns, raw_cdr)
        except OSError as error:
            self._fail(error)
        if time.monotonic() - self._flushed_s >= self._flush_period_s:
            self.flush()

    def set_custom_data(self, key: str, value: str) -> None:
        """Add a text of one's own to the bag's metadata.

        Raises:
            BagError: The bag is closed.
        """
        self._open_writer().set_custom_data(key, value)

    def flush(self) -> None:
        """Hand everything written so far to the operating system.

        `write` does it on its own; call it from a timer if a topic may fall silent.

        Raises:
            BagError: The system refuses to store more.
        """
        storage = cast(McapWriter, self._open_writer().storage)
        try:
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()
        except OSError as error:
            self._fail(error)
        self._flushed_s = time.monotonic()

    def close(self) -> None:
        """Complete the bag and give it its final name; a second call does nothing.

        Raises:
            BagError: The bag could not be completed, now or in an earlier `write` (so that a
                caller who ignored that hears of it); what there is stays in `<path>.partial`.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._writer is None:
            return
        inner = self._writer.path
        try:
            self._writer.close()
            _sync_folder(inner)
            if os.path.lexists(self.path):  # rename would silently replace an empty folder
                raise BagError(
                    f"'{self.path}' appeared while the bag was being recorded. The bag is whole "
                    f"and stays in '{inner}'. Fix: move it from there to a free path."
                )
            inner.rename(self.path)
            self._writer = None
            self._partial.rmdir()
            _sync(self.path.parent)
        except OSError as error:
            if self._writer is not None:
                self._fail(error, keep=False)
        finally:
            self._writer = None

    def _fail(self, error: OSError, *, keep: bool = True) -> None:
        """Give up on the bag and say why; `keep` lets `close` repeat it."""
        failure = bag_error("write", self.path, error, partial=self._partial)
        self._failure = failure if keep else None
        if self._writer is not None:
            # Closing flushes a buffer that cannot be written: it fails again, and need not be told.
            with suppress(OSError, ValueError):
                self._writer.abort()
            self._writer = None
        raise failure from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bag also after an error: the evidence of a failed flight is worth most."""
        if error is None:
            self.close()
        else:
            with suppress(BagError):  # the error on its way says more
                self.close()


def partial_path(path: Path) -> Path:
    """Where a bag with this final path is while it is being recorded."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def is_partial(path: Path) -> bool:
    """True for a folder that a killed or still running recorder has left."""
    return path.name.endswith(PARTIAL_SUFFIX) and path.is_dir()


def _lock(descriptor: int) -> None:
    """Mark the file as being recorded; the system forgets it when this process ends."""
    with suppress(OSError):  # some network file systems cannot lock, and nothing else needs it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def refuse_taken(path: Path, partial: Path | None = None) -> None:
    """Raise a BagError if something is at the path, or where its recording would be."""
    if path.name.endswith(PARTIAL_SUFFIX):
        raise BagError(
            f"a bag cannot be called '{path.name}': '{PARTIAL_SUFFIX}' marks a recording that is "
            "not complete. Fix: choose another name."
        )
    if os.path.lexists(path):
        raise BagError(
            f"'{path}' exists already, and a recording never overwrites anything. "
            "Fix: choose another path, or move it away."
        )
    if partial is not None and os.path.lexists(partial):
        raise BagError(
            f"'{partial}' exists already: another recorder is writing there, or one was killed. "
            f"Fix: choose another path, or rescue the flight with `acclimate report {partial}` "
            "and then move the folder away."
        )


def bag_error(verb: str, path: Path, error: Exception, partial: Path | None = None) -> BagError:
    """Say why the system refused; `partial` is where the unfinished recording stays."""
    number = error.errno if isinstance(error, OSError) else None
    cause, fix = _CAUSES.get(number or 0, (str(error), "look at the path and the disk"))
    rescue = (
        f" What was recorded so far stays in '{partial}'; `acclimate report {partial}` recovers it."
        if partial is not None
        else ""
    )
    return BagError(f"cannot {verb} the bag '{path}': {cause}.{rescue} Fix: {fix}.")


def _sync_folder(folder: Path) -> None:
    """Put a finished bag on the disk before it gets its name: batteries are unplugged early."""
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
