"""The vocabulary of signals: what policies read, what robots produce, what ROS adapters fill.

World is ENU, body is FLU (REP-103). Quaternions are unit, order w x y z, and rotate body vectors
into the world. A policy holds heading zero: whoever wants another heading turns the world frame
about its z axis by the reference heading before filling the signals.
"""

from dataclasses import dataclass

from acclimate_contract.errors import ConfigError

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


def _multirotor(name: str, channels: tuple[str, ...]) -> RobotFamily:
    """A family of robots that fly on motors alone, named clockwise from the front right."""
    return RobotFamily(
        name=name,
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
                shape=(len(channels),),
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
                description="Reference positions 0.1, 0.2, 0.4 and 0.6 s ahead minus the present "
                "one; zeros where the future is unknown.",
            ),
        ),
        action=ActionSpec(
            channels=channels,
            low=-1.0,
            high=1.0,
            description="Motor setpoint: -1 is the lowest and +1 the highest speed command.",
        ),
    )


QUADROTOR = _multirotor("quadrotor", ("front_right", "back_right", "back_left", "front_left"))
HEXAROTOR = _multirotor(
    "hexarotor", ("front_right", "right", "back_right", "back_left", "left", "front_left")
)

ROBOT_FAMILIES: dict[str, RobotFamily] = {family.name: family for family in (QUADROTOR, HEXAROTOR)}


def robot_family(name: str) -> RobotFamily:
    """Find a family; raises ConfigError for one that this release does not know."""
    if name not in ROBOT_FAMILIES:
        raise ConfigError(
            f"there is no robot family {name!r}. Fix: use one of {', '.join(ROBOT_FAMILIES)}."
        )
    return ROBOT_FAMILIES[name]


def multirotor_family(num_motors: int) -> RobotFamily:
    """The family with so many motors; raises ConfigError if there is none."""
    known = {len(family.action.channels): family for family in ROBOT_FAMILIES.values()}
    if num_motors not in known:
        raise ConfigError(
            f"no robot family has {num_motors} motors: its signals and motors have no names. "
            f"Fix: use {' or '.join(map(str, known))}, or add a family to the contract."
        )
    return known[num_motors]
