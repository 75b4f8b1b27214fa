"""Turn what a killed recorder has left into a whole bag."""

import fcntl
import shutil
from pathlib import Path

from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.storage_mcap import McapReader

from acclimate_deploy.bag import (
    LATCHED,
    PARTIAL_SUFFIX,
    BagError,
    BagWriter,
    bag_error,
    is_partial,
    refuse_taken,
)

RECOVERED_KEY = "recovered"  # in the bag's custom data: it ends where its recorder was killed

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_MCAP_DATA_END = 0x0F


def recover_bag(partial: Path | str) -> Path:
    """Turn what a killed recorder left into a whole bag; the partial folder stays as it is.

    Reads the complete chunks, so all but the last `flush_period_s` before the kill.

    Args:
        partial: The `<path>.partial` folder.

    Returns:
        The path of the bag, `<path>`.

    Raises:
        BagError: Still being recorded, nothing readable inside, or the final path is taken.
    """
    partial = Path(partial).absolute()
    path = partial.with_name(partial.name.removesuffix(PARTIAL_SUFFIX))
    files = sorted(partial.rglob("*.mcap")) if is_partial(partial) else []
    if not files:
        raise BagError(
            f"'{partial}' is not what a killed recorder leaves: a folder whose name ends in "
            f"'{PARTIAL_SUFFIX}' with an .mcap file inside. Fix: check the path."
        )
    refuse_taken(path)
    # Beside the final path, so that the rename stays in one file system; the bag inside has its
    # final name, because rosbags names the data file after the folder.
    workshop = path.with_name(path.name + ".recovering")
    try:
        shutil.rmtree(workshop, ignore_errors=True)  # of a recovery that was killed itself
        _copy_messages(files[0], workshop / path.name)
        (workshop / path.name).rename(path)
    except OSError as error:
        raise bag_error("recover", path, error) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return path


def _copy_messages(source: Path, target: Path) -> None:
    reader = _UnfinishedMcap(source)
    try:
        reader.open()
    except (ReaderError, EOFError, ValueError, TypeError) as error:
        raise BagError(
            f"'{source}' cannot be recovered: {error} Its recorder was probably killed within the "
            "first second, before a message reached the disk. Fix: fly again, and delete it."
        ) from error
    try:
        _refuse_running(reader)
        with BagWriter(target) as bag:
            bag.set_custom_data(RECOVERED_KEY, "true")
            for connection in reader.connections:
                profiles = getattr(connection.ext, "offered_qos_profiles", [])
                bag.add(connection.topic, connection.msgtype, latched=LATCHED in profiles)
            for connection, stamp_ns, raw_cdr in reader.messages(reader.connections):
                bag.write(connection.topic, stamp_ns, raw_cdr)
    finally:
        reader.close()


class _UnfinishedMcap(McapReader):
    """Reads an MCAP file that has no footer, up to its last complete record."""

    def _open(self) -> None:
        assert self.bio is not None
        if self.bio.read(len(_MCAP_MAGIC)) != _MCAP_MAGIC:
            raise ReaderError("it is empty or not an MCAP file.")
        self.data_start = len(_MCAP_MAGIC)
        self.data_end = _end_of_complete_records(Path(str(self.path)))
        self.meta_scan()
        if self.statistics is None or not self.statistics.message_count:
            raise ReaderError("it holds no complete message.")


def _end_of_complete_records(file: Path) -> int:
    """Offset behind the last record that is wholly in the file."""
    size = file.stat().st_size
    end = len(_MCAP_MAGIC)
    with file.open("rb") as stream:
        while True:
            stream.seek(end)
            head = stream.read(9)  # opcode, length
            opcode = head[0] if head else 0
            length = int.from_bytes(head[1:], "little")
            # a power cut can leave zeros behind the last record
            if len(head) < 9 or not 0 < opcode < _MCAP_DATA_END or end + 9 + length > size:
                return end
            end += 9 + length


def _refuse_running(reader: McapReader) -> None:
    assert reader.bio is not None
    try:
        fcntl.flock(reader.bio.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BagError(
            f"'{reader.path}' is still being recorded, so it is not complete yet. Fix: stop the "
            "recorder; it closes its bag itself."
        ) from error
    except OSError:
        return
