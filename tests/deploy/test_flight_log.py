import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from acclimate_deploy.bag import BagWriter, ros_types
from acclimate_deploy.flight_log import TOPICS, FlightLogError, read_flight_log

from . import synthetic_flight as synthetic

STRING = "std_msgs/msg/String"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.write_flight(tmp_path_factory.mktemp("log") / "flight")


def write_text(path: Path, *rows: tuple[str, int, str], flush_period_s: float = 1.0) -> Path:
    """A small bag of texts: (topic, stamp, text)."""
    with BagWriter(path, flush_period_s=flush_period_s) as writer:
        for topic in dict.fromkeys(topic for topic, _, _ in rows):
            writer.add(topic, STRING)
        for topic, stamp_ns, text in rows:
            message = ros_types().types[STRING](data=text)
            writer.write(topic, stamp_ns, ros_types().serialize_cdr(message, STRING))
    return path


def test_arrays_are_those_that_were_flown(bag: Path) -> None:
    log, flight = read_flight_log(bag), synthetic.fly()
    np.testing.assert_allclose(log.odometry.time_s, flight.time_s, atol=1e-9)
    np.testing.assert_array_equal(log.odometry.position, flight.position)
    np.testing.assert_array_equal(log.odometry.orientation, flight.orientation)
    np.testing.assert_array_equal(log.odometry.angular_velocity, flight.rate)
    np.testing.assert_array_equal(log.reference.position, flight.reference)
    np.testing.assert_array_equal(log.memory.value, flight.memory[::2].astype(np.float32))
    np.testing.assert_allclose(log.timing.period_s, flight.period_s, rtol=1e-6)
    np.testing.assert_allclose(log.timing.latency_s, flight.latency_s, rtol=1e-6)
    assert log.missing == ()
    assert not log.recovered
    assert log.robot == synthetic.ROBOT
    assert log.policy == synthetic.POLICY


def test_velocity_is_turned_from_body_to_world(bag: Path) -> None:
    """The message holds it in the body frame; only the right rotation gives the derivative back."""
    log, flight = read_flight_log(bag), synthetic.fly()
    assert np.linalg.norm(flight.velocity, axis=1).max() > 1.0
    np.testing.assert_allclose(log.odometry.linear_velocity, flight.velocity, atol=1e-12)


def test_motors_go_by_name(bag: Path) -> None:
    """The bag holds them in two orders."""
    log, flight = read_flight_log(bag), synthetic.fly()
    assert log.actuators.channels == log.policy_command.channels == synthetic.CHANNELS
    np.testing.assert_array_equal(log.actuators.setpoint, flight.setpoint)
    np.testing.assert_array_equal(log.policy_command.setpoint, flight.setpoint)


def test_events_and_safety_changes(bag: Path) -> None:
    log = read_flight_log(bag)
    assert ("payload attached: +0.250 kg (+20 %)", synthetic.PAYLOAD_S) in [
        (event.text, event.time_s) for event in log.events
    ]
    assert [(change.time_s, change.mode) for change in log.safety] == [
        (0.0, "disarmed"),
        (synthetic.ARM_S, "armed"),
        (synthetic.DISARM_S, "disarmed"),
    ]


def test_trip_with_reasons(tmp_path: Path) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", trip_s=8.0, until_s=9.0)
    last = read_flight_log(bag).safety[-1]
    assert (last.mode, last.time_s) == ("tripped", pytest.approx(8.0))
    assert last.reasons == ("tilt 1.31 rad is over the limit 1.20 rad",)


@pytest.mark.parametrize("asked", [None, "drone1", "/drone1", "/drone1/"])
def test_namespace_is_found_or_given(tmp_path: Path, asked: str | None) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", namespace="/drone1", until_s=0.5)
    log = read_flight_log(bag, namespace=asked)
    assert log.namespace == "/drone1"
    assert len(log.odometry.time_s) == 101


def test_several_namespaces_need_a_choice(tmp_path: Path) -> None:
    flight = synthetic.write_flight(tmp_path / "one", namespace="/drone1", until_s=0.1)
    raw = synthetic.write_flight(tmp_path / "two", namespace="/drone2", until_s=0.2)
    merged = tmp_path / "both"
    with BagWriter(merged) as writer:
        for source in (flight, raw):
            with Reader(source) as reader:
                for connection in reader.connections:
                    writer.add(connection.topic, connection.msgtype)
                for connection, stamp_ns, data in reader.messages():
                    writer.write(connection.topic, stamp_ns, data)
    with pytest.raises(FlightLogError, match=r"several flights.*'/drone1', '/drone2'"):
        read_flight_log(merged)
    assert len(read_flight_log(merged, namespace="drone2").odometry.time_s) == 41
    with pytest.raises(FlightLogError, match=r"no topics under namespace '/drone3'.*Fix"):
        read_flight_log(merged, namespace="drone3")


def test_foreign_topic_is_no_second_flight(tmp_path: Path) -> None:
    bag = write_text(tmp_path / "flight", ("/other/events", 1, "x"), ("/events", 2, "land"))
    with pytest.raises(FlightLogError, match="several flights"):
        read_flight_log(bag, required=())
    bag = write_text(tmp_path / "one", ("/else", 1, "x"), ("/events", 2, "land"))
    log = read_flight_log(bag, required=())
    assert [event.text for event in log.events] == ["land"]


def test_missing_topic(tmp_path: Path) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", omit=["odom", "policy/memory"], until_s=1.0)
    with pytest.raises(FlightLogError, match=r"no message on /odom; it has messages on .*Fix"):
        read_flight_log(bag)
    log = read_flight_log(bag, required=())
    assert log.missing == ("odom", "policy/memory")
    assert log.odometry.position.shape == (0, 3)
    assert log.memory.value.shape == (0, 0)
    with pytest.raises(FlightLogError, match="/policy/memory"):
        read_flight_log(bag, required=("policy/memory",))


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_every_topic_may_be_missing(tmp_path: Path, name: str) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", omit=[name], until_s=1.0)
    assert read_flight_log(bag, required=()).missing == (name,)


def test_wrong_message_type(tmp_path: Path) -> None:
    bag = write_text(tmp_path / "flight", ("/odom", 1, "not odometry"))
    with pytest.raises(FlightLogError, match=r"carries std_msgs/msg/String instead of nav_msgs"):
        read_flight_log(bag)


def test_empty_bag(tmp_path: Path) -> None:
    BagWriter(tmp_path / "flight").close()
    with pytest.raises(FlightLogError, match=r"holds no message of a flight.*ROS_DOMAIN_ID"):
        read_flight_log(tmp_path / "flight")


def test_not_a_bag(tmp_path: Path) -> None:
    with pytest.raises(FlightLogError, match="there is no bag at"):
        read_flight_log(tmp_path / "nowhere")
    with pytest.raises(FlightLogError, match=r"without metadata\.yaml"):
        read_flight_log(tmp_path)
    (tmp_path / "notes.txt").write_text("take-off went well")
    with pytest.raises(FlightLogError, match=r"not an \.mcap file"):
        read_flight_log(tmp_path / "notes.txt")
    (tmp_path / "notes.mcap").write_text("take-off went well")
    with pytest.raises(FlightLogError, match="cannot be read as a bag"):
        read_flight_log(tmp_path / "notes.mcap")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, part: float) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.5)
    file = bag / "flight.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(FlightLogError, match=r"truncated, damaged or was written.*Fix"):
        read_flight_log(bag)


@pytest.mark.parametrize("text", ["", "[]", "rosbag2_bagfile_information: {}", "{"])
def test_damaged_metadata(tmp_path: Path, text: str) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.1)
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(FlightLogError, match="cannot be read as a bag"):
        read_flight_log(bag)


def test_data_file_alone_is_enough(tmp_path: Path) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.1)
    shutil.copy(bag / "flight.mcap", tmp_path / "copied.mcap")
    assert len(read_flight_log(tmp_path / "copied.mcap").odometry.time_s) == 21


def test_uncompleted_recording_is_named(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "flight")
    for path in (tmp_path / "flight", tmp_path / "flight.partial"):
        with pytest.raises(FlightLogError, match=r"never completed.*acclimate report .*partial"):
            read_flight_log(path)
    writer.close()


def test_description_that_is_not_json(tmp_path: Path) -> None:
    bag = write_text(
        tmp_path / "flight", ("/robot/description", 1, "{oops"), ("/policy/description", 1, "3")
    )
    log = read_flight_log(bag, required=())
    assert log.robot == {"unreadable": "{oops"}
    assert log.policy == {"unreadable": "3"}


def test_last_description_counts(tmp_path: Path) -> None:
    rows = [("/robot/description", i, json.dumps({"name": f"v{i}"})) for i in range(3)]
    log = read_flight_log(write_text(tmp_path / "flight", *rows), required=())
    assert log.robot["name"] == "v2"


def test_quaternion_without_norm_gives_no_velocity(tmp_path: Path) -> None:
    """A broken estimator's message: the log says NaN instead of something plausible."""

    def broken(flight: synthetic.Flight) -> synthetic.Flight:
        orientation = flight.orientation.copy()
        orientation[3] = 0.0
        return replace(flight, orientation=orientation)

    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.1, change=broken)
    velocity = read_flight_log(bag).odometry.linear_velocity
    assert np.isnan(velocity[3]).all()
    assert np.isfinite(np.delete(velocity, 3, axis=0)).all()


def test_messages_out_of_order_are_sorted(tmp_path: Path) -> None:
    """A clock that was set back while recording."""
    rows = [("/events", stamp_ns, str(stamp_ns)) for stamp_ns in (5, 9, 2, 7)]
    bag = write_text(tmp_path / "flight", *rows, flush_period_s=0.0)
    log = read_flight_log(bag, required=())
    assert [event.text for event in log.events] == ["2", "5", "7", "9"]
    assert log.events[0].time_s == 0.0
