import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from acclimate_deploy import bag as bag_module
from acclimate_deploy.bag import BagError, BagWriter, partial_path, ros_types
from acclimate_deploy.bag_recovery import RECOVERED_KEY, recover_bag

STRING = "std_msgs/msg/String"

RECORDER = """
import sys, time
from acclimate_deploy.bag import BagWriter, ros_types
message = ros_types().types["std_msgs/msg/String"]
bag = BagWriter(sys.argv[1])
bag.add("/events", "std_msgs/msg/String")
bag.add("/robot/description", "std_msgs/msg/String", latched=True)
index = 0
while True:
    raw = ros_types().serialize_cdr(message(data=str(index)), "std_msgs/msg/String")
    bag.write("/events", time.time_ns(), raw)
    print(index, flush=True)
    index += 1
    time.sleep(0.002)
"""


def text(data: str) -> bytes:
    return bytes(ros_types().serialize_cdr(ros_types().types[STRING](data=data), STRING))


def read(path: Path) -> list[tuple[str, int, str]]:
    with Reader(path) as reader:
        return [
            (connection.topic, stamp_ns, ros_types().deserialize_cdr(raw, connection.msgtype).data)
            for connection, stamp_ns, raw in reader.messages()
        ]


def test_written_messages_come_back(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "flight") as bag:
        bag.add("/events", STRING)
        bag.add("/robot/description", STRING, latched=True)
        bag.write("/events", 10, text("take-off"))
        bag.write("/robot/description", 5, text("{}"))
    assert sorted(read(tmp_path / "flight")) == [
        ("/events", 10, "take-off"),
        ("/robot/description", 5, "{}"),
    ]
    assert {file.name for file in (tmp_path / "flight").iterdir()} == {
        "flight.mcap",
        "metadata.yaml",
    }
    with Reader(tmp_path / "flight") as reader:
        durability = {
            c.topic: [q.durability.name for q in c.ext.offered_qos_profiles]
            for c in reader.connections
        }
    assert durability == {"/events": [], "/robot/description": ["TRANSIENT_LOCAL"]}


def test_final_name_appears_only_at_close(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "flight")
    bag.add("/events", STRING)
    bag.write("/events", 1, text("take-off"))
    bag.flush()
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight.partial"]
    bag.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight"]
    bag.close()
    assert len(read(tmp_path / "flight")) == 1


def test_flush_hands_over_a_single_small_message(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "flight", flush_period_s=60.0)
    bag.add("/events", STRING)
    bag.write("/events", 1, text("x"))
    file = tmp_path / "flight.partial" / "flight" / "flight.mcap"
    before = file.stat().st_size
    bag.flush()
    assert file.stat().st_size > before
    bag.flush()
    bag.close()


def test_error_while_recording_keeps_the_evidence(tmp_path: Path) -> None:
    def crash() -> None:
        with BagWriter(tmp_path / "flight") as bag:
            bag.add("/events", STRING)
            bag.write("/events", 1, text("take-off"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert len(read(tmp_path / "flight")) == 1


def test_bag_without_messages_is_whole(tmp_path: Path) -> None:
    BagWriter(tmp_path / "flight").close()
    assert read(tmp_path / "flight") == []


def test_taken_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flight").mkdir()
    with pytest.raises(BagError, match="exists already, and a recording never overwrites"):
        BagWriter(tmp_path / "flight")
    with pytest.raises(BagError, match="choose another name"):
        BagWriter(tmp_path / "flight.partial")
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight"]


def test_second_recorder_and_leftover_are_refused(tmp_path: Path) -> None:
    with (
        BagWriter(tmp_path / "flight"),
        pytest.raises(BagError, match="another recorder is writing there, or one was killed"),
    ):
        BagWriter(tmp_path / "flight")


def test_path_taken_meanwhile_keeps_both(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "flight")
    bag.add("/events", STRING)
    bag.write("/events", 1, text("take-off"))
    (tmp_path / "flight").mkdir()
    with pytest.raises(BagError, match="appeared while the bag was being recorded"):
        bag.close()
    assert list((tmp_path / "flight").iterdir()) == []
    assert len(read(tmp_path / "flight.partial" / "flight")) == 1


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match=r"cannot create .* a part of the path is a file"):
        BagWriter(tmp_path / "file" / "flight")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_missing_permission(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(BagError, match="you may not write there"):
        BagWriter(tmp_path / "locked" / "flight")


@pytest.mark.parametrize("refused", ["mkdir", "open"])
def test_refusal_at_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, refused, refuse)
        with pytest.raises(BagError, match="you may not write there"):
            BagWriter(tmp_path / "flight")
    assert list(tmp_path.iterdir()) == []


def test_size_limit_of_the_system_stops_the_recording(tmp_path: Path) -> None:
    """A real refusal by the kernel: what came before it can be recovered."""
    bag = BagWriter(tmp_path / "flight", flush_period_s=0.0)
    bag.add("/events", STRING)
    written = 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, hard))

        def fill() -> None:
            nonlocal written
            while written < 1000:
                bag.write("/events", written, text("x" * 1000))
                written += 1

        with pytest.raises(BagError, match=r"allowed size.*acclimate report .*flight\.partial"):
            fill()
        with pytest.raises(BagError, match="allowed size"):
            bag.write("/events", 0, text("ignored"))
        with pytest.raises(BagError, match="allowed size"):
            bag.close()
        bag.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "flight").exists()
    # The refused message may be there: its chunk can fit when the index behind it does not.
    assert len(read(recover_bag(tmp_path / "flight.partial"))) in (written, written + 1)
    assert written > 10


def test_disk_full_at_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = BagWriter(tmp_path / "flight")
    bag.add("/events", STRING)
    bag.write("/events", 1, text("take-off"))

    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bag_module, "_sync_folder", full)
    with pytest.raises(BagError, match=r"the disk is full.*Fix: free some space"):
        bag.close()
    bag.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight.partial"]


def test_unknown_topic_type_and_closed_bag(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "flight")
    with pytest.raises(BagError, match="not a standard ROS 2 message"):
        bag.add("/events", "std_msgs/String")
    bag.add("/events", STRING)
    with pytest.raises(BagError, match="already has topic"):
        bag.add("/events", STRING)
    with pytest.raises(BagError, match=r"does not have topic '/odom'; it has \['/events'\]"):
        bag.write("/odom", 1, b"")
    bag.close()
    with pytest.raises(BagError, match="is closed"):
        bag.write("/events", 1, b"")


@pytest.fixture
def recorder(tmp_path: Path):
    """A process that records until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(tmp_path / "flight")], stdout=subprocess.PIPE
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_killed_recorder_loses_less_than_a_second(
    tmp_path: Path, recorder: subprocess.Popen
) -> None:
    assert recorder.stdout is not None
    recorder.stdout.readline()
    time.sleep(2.0)
    partial = tmp_path / "flight.partial"
    with pytest.raises(BagError, match="is still being recorded"):
        recover_bag(partial)
    recorder.send_signal(signal.SIGKILL)
    killed_ns = time.time_ns()
    written = int(recorder.stdout.read().split()[-1]) + 1
    recorder.wait()
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight.partial"]

    messages = read(recover_bag(partial))
    assert [data for _, _, data in messages] == [str(i) for i in range(len(messages))]
    assert 0 < len(messages) <= written
    assert killed_ns - messages[-1][1] < 1_000_000_000
    with Reader(tmp_path / "flight") as reader:
        assert RECOVERED_KEY in reader.storage.metadata.custom
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["flight", "flight.partial"]
    with pytest.raises(BagError, match="exists already"):
        recover_bag(partial)


def unfinished(tmp_path: Path, messages: int = 20) -> Path:
    """What a recorder leaves that was killed after flushing every message on its own."""
    bag = BagWriter(tmp_path / "source" / "flight", flush_period_s=0.0)
    bag.add("/events", STRING)
    for index in range(messages):
        bag.write("/events", index, text(str(index)))
    shutil.copytree(partial_path(bag.path), tmp_path / "flight.partial")
    bag.close()
    return tmp_path / "flight.partial"


@pytest.mark.parametrize("tail", [b"", b"\0" * 4096, b"\x06\xff\xff", b"\x05" + b"\xff" * 30])
def test_recovery_ignores_a_torn_end(tmp_path: Path, tail: bytes) -> None:
    partial = unfinished(tmp_path)
    file = partial / "flight" / "flight.mcap"
    file.write_bytes(file.read_bytes() + tail)
    assert len(read(recover_bag(partial))) == 20


def test_recovery_at_every_length(tmp_path: Path) -> None:
    """Wherever the file ends: either a clear refusal or a readable beginning, never a crash."""
    partial = unfinished(tmp_path, messages=4)
    file = partial / "flight" / "flight.mcap"
    whole = file.read_bytes()
    counts = []
    for size in range(0, len(whole) + 1, 13):
        file.write_bytes(whole[:size])
        try:
            counts.append(len(read(recover_bag(partial))))
            shutil.rmtree(tmp_path / "flight")
        except BagError as error:
            assert "cannot be recovered" in str(error)  # noqa: PT017 - both ways are right
            counts.append(0)
    assert counts == sorted(counts)
    assert counts[-1] >= 3
    assert not (tmp_path / "flight.recovering").exists()


def test_recovery_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="not what a killed recorder leaves"):
        recover_bag(tmp_path / "flight.partial")
    (tmp_path / "flight.partial").mkdir()
    with pytest.raises(BagError, match="not what a killed recorder leaves"):
        recover_bag(tmp_path / "flight.partial")
    (tmp_path / "flight.partial" / "flight.mcap").write_bytes(b"not a bag at all")
    with pytest.raises(BagError, match="empty or not an MCAP file"):
        recover_bag(tmp_path / "flight.partial")
    assert [entry.name for entry in tmp_path.iterdir()] == ["flight.partial"]
