"""The vocabulary of signals: what policies read, what robots produce, what ROS adapters fill.

World is ENU, body is FLU (REP-103). Quaternions are unit, order w x y z, and rotate body vectors
into the world. A policy holds heading zero: whoever wants another heading turns the world frame
about its z axis by the reference heading before filling the signals.
"""

from dataclasses import dataclass

PREVIOUS_ACTION = "previous_action"  # the runtime feeds its mean over a period of the memory
TIME_STEP = "time_step"  # the runtime measures it
REFERENCE_PREVIEW = "reference_preview"  # a policy that reads it looks ahead

PREVIEW_TIMES_S = (0.1, 0.2, 0.4, 0.6)
"""How far ahead each row of `reference_preview` looks."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One named input of a policy.

    Attributes:
        name: Unique in the vocabulary; also the name of the ONNX graph input.
        shape: Shape of one robot's value; the graph adds a leading batch axis.
        unit: SI unit, "1" where there is none.
        frame: "world", "body", "body to world" or "none".
        description: One sentence.
    """

    name: str
    shape: tuple[int, ...]
    unit: str
    frame: str
    description: str


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """What a policy commands, one named channel per actuator, in fixed order."""

    channels: tuple[str, ...]
    low: float
    high: float
    description: str


@dataclass(frozen=True, kw_only=True)
class RobotFamily:
    """Robots that share signals and actions, and therefore policies."""

    name: str
    signals: tuple[Signal, ...]
    action: ActionSpec

    def signal(self, name: str) -> Signal:
        """Look up one signal of this family; raises KeyError for an unknown name."""
        return {signal.name: signal for signal in self.signals}[name]


QUADROTOR = RobotFamily(
    name="quadrotor",
    signals=(
        Signal(
            name="position_error",
            shape=(3,),
            unit="m",
            frame="world",
            description="Position minus reference position.",
        ),
        Signal(
            name="orientation",
            shape=(4,),
            unit="1",
            frame="body to world",
            description="Unit quaternion w x y z, relative to the reference heading.",
        ),
        Signal(
            name="linear_velocity_error",
            shape=(3,),
            unit="m/s",
            frame="world",
            description="Velocity minus reference velocity.",
        ),
        Signal(
            name="angular_velocity",
            shape=(3,),
            unit="rad/s",
            frame="body",
            description="Body rate as a gyroscope measures it.",
        ),
        Signal(
            name=PREVIOUS_ACTION,
            shape=(4,),
            unit="1",
            frame="none",
            description="Setpoints that were really applied during the last period.",
        ),
        Signal(
            name=TIME_STEP,
            shape=(1,),
            unit="s",
            frame="none",
            description="Time since the memory last advanced.",
        ),
        Signal(
            name=REFERENCE_PREVIEW,
            shape=(len(PREVIEW_TIMES_S), 3),
            unit="m",
            frame="world",
            description="Reference positions 0.1, 0.2, 0.4 and 0.6 s ahead minus the present one; "
            "zeros where the future is unknown.",
        ),
    ),
    action=ActionSpec(
        channels=("front_right", "back_right", "back_left", "front_left"),
        low=-1.0,
        high=1.0,
        description="Motor setpoint: -1 is the lowest and +1 the highest speed command.",
    ),
)

ROBOT_FAMILIES: dict[str, RobotFamily] = {QUADROTOR.name: QUADROTOR}
