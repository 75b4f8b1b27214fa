"""Ground floor: signals, frames and units, and what a policy file says about itself."""

from acclimate_contract.errors import AcclimateError, ConfigError, ContractError
from acclimate_contract.golden import GOLDEN_TOLERANCE, GoldenSequence
from acclimate_contract.graph import ACTION_OUTPUT, check_graph
from acclimate_contract.manifest import (
    MANIFEST_KEY,
    SCHEMA_VERSION,
    Manifest,
    MemorySpec,
    RateSpec,
)
from acclimate_contract.signals import (
    HEXAROTOR,
    PREVIEW_TIMES_S,
    PREVIOUS_ACTION,
    QUADROTOR,
    REFERENCE_PREVIEW,
    ROBOT_FAMILIES,
    TIME_STEP,
    ActionSpec,
    RobotFamily,
    Signal,
    multirotor_family,
    robot_family,
)

__all__ = [
    "ACTION_OUTPUT",
    "GOLDEN_TOLERANCE",
    "HEXAROTOR",
    "MANIFEST_KEY",
    "PREVIEW_TIMES_S",
    "PREVIOUS_ACTION",
    "QUADROTOR",
    "REFERENCE_PREVIEW",
    "ROBOT_FAMILIES",
    "SCHEMA_VERSION",
    "TIME_STEP",
    "AcclimateError",
    "ActionSpec",
    "ConfigError",
    "ContractError",
    "GoldenSequence",
    "Manifest",
    "MemorySpec",
    "RateSpec",
    "RobotFamily",
    "Signal",
    "check_graph",
    "multirotor_family",
    "robot_family",
]
