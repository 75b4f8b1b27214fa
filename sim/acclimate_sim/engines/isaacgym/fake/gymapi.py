"""Stands in for isaacgym.gymapi."""

from acclimate_sim.engines.isaacgym.fake.enums import (
    CoordinateSpace,
    IndexDomain,
    SimType,
    TensorDataType,
    UpAxis,
)
from acclimate_sim.engines.isaacgym.fake.gym import Gym
from acclimate_sim.engines.isaacgym.fake.scene import Asset, Env
from acclimate_sim.engines.isaacgym.fake.simulation import Sim
from acclimate_sim.engines.isaacgym.fake.structs import (
    AssetOptions,
    Mat33,
    PhysXParams,
    PlaneParams,
    Quat,
    RigidBodyProperties,
    SimParams,
    Tensor,
    Transform,
    Vec3,
)

SIM_PHYSX, SIM_FLEX = SimType.SIM_PHYSX, SimType.SIM_FLEX
UP_AXIS_Y, UP_AXIS_Z = UpAxis.UP_AXIS_Y, UpAxis.UP_AXIS_Z
ENV_SPACE, LOCAL_SPACE = CoordinateSpace.ENV_SPACE, CoordinateSpace.LOCAL_SPACE
GLOBAL_SPACE = CoordinateSpace.GLOBAL_SPACE
DOMAIN_ACTOR, DOMAIN_ENV = IndexDomain.DOMAIN_ACTOR, IndexDomain.DOMAIN_ENV
DOMAIN_SIM = IndexDomain.DOMAIN_SIM


def acquire_gym() -> Gym:
    """Return the object whose methods are the interface; it has no state of its own."""
    return Gym()


__all__ = [
    "DOMAIN_ACTOR",
    "DOMAIN_ENV",
    "DOMAIN_SIM",
    "ENV_SPACE",
    "GLOBAL_SPACE",
    "LOCAL_SPACE",
    "SIM_FLEX",
    "SIM_PHYSX",
    "UP_AXIS_Y",
    "UP_AXIS_Z",
    "Asset",
    "AssetOptions",
    "CoordinateSpace",
    "Env",
    "Gym",
    "IndexDomain",
    "Mat33",
    "PhysXParams",
    "PlaneParams",
    "Quat",
    "RigidBodyProperties",
    "Sim",
    "SimParams",
    "SimType",
    "Tensor",
    "TensorDataType",
    "Transform",
    "UpAxis",
    "Vec3",
    "acquire_gym",
]
