"""The enums of gymapi that single rigid bodies need; their numbers are not the real ones."""

from enum import Enum, auto


class SimType(Enum):
    """Physics engine behind a sim; the tensor API works with PhysX only."""

    SIM_PHYSX = auto()
    SIM_FLEX = auto()


class UpAxis(Enum):
    """Which axis points up."""

    UP_AXIS_Y = auto()
    UP_AXIS_Z = auto()


class CoordinateSpace(Enum):
    """Frame of a force; envs are never turned, so that vectors are the same in env and world."""

    ENV_SPACE = auto()
    LOCAL_SPACE = auto()
    GLOBAL_SPACE = auto()


class IndexDomain(Enum):
    """What an index counts in."""

    DOMAIN_ACTOR = auto()
    DOMAIN_ENV = auto()
    DOMAIN_SIM = auto()


class TensorDataType(Enum):
    """Type of a tensor's numbers."""

    DTYPE_FLOAT32 = auto()
    DTYPE_UINT32 = auto()
