"""Settings of a policy; its fields are flags of `acclimate train`."""

from dataclasses import dataclass
from typing import Literal

from acclimate_contract import ROBOT_FAMILIES, ConfigError, RobotFamily


@dataclass(frozen=True, kw_only=True)
class PolicyCfg:
    """Size and senses of a multirotor policy."""

    family: Literal["quadrotor", "hexarotor"] = "quadrotor"
    """Robots it flies; those of the training's space."""
    cell: Literal["gru", "none", "stack"] = "gru"
    """Memory cell: gru; none or stack are controls that remember nothing or a few frames."""
    width: int = 16
    """Width of the layer in front of the memory cell."""
    memory_width: int = 16
    """Numbers the cell remembers."""
    integrate: bool = True
    """Integrate the position error beside the cell."""
    time_aware: bool = False
    """Read `time_step`: the policy may be stepped at any rate."""
    preview: bool = False
    """Read `reference_preview`."""
    previous_action: bool = True
    """Read `previous_action`."""
    privileged: int = 0
    """Width of what only a simulator knows, read by oracles and teachers; zero on robots."""

    def __post_init__(self) -> None:
        for name in ("width", "memory_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}. Fix: make it at least 1.")

    @property
    def robots(self) -> RobotFamily:
        """What the contract says about the family."""
        return ROBOT_FAMILIES[self.family]

    @property
    def num_motors(self) -> int:
        """Setpoints it gives."""
        return len(self.robots.action.channels)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the contract's signals the policy reads, in the order of the graph."""
        optional = {
            "previous_action": self.previous_action,
            "time_step": self.time_aware,
            "reference_preview": self.preview,
        }
        always = ("position_error", "orientation", "linear_velocity_error", "angular_velocity")
        return (*always, *(name for name, read in optional.items() if read))
