"""What a sim is built from: assets, envs and the actors in them. Opaque to users."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError
from acclimate_sim.engines.isaacgym.fake.rigid_bodies import RigidBodies
from acclimate_sim.engines.isaacgym.fake.structs import (
    AssetOptions,
    Mat33,
    RigidBodyProperties,
    Transform,
    Vec3,
)

if TYPE_CHECKING:
    from acclimate_sim.engines.isaacgym.fake.simulation import Sim


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One rigid body: `half_extent_m` of the box around it, and what it is made of."""

    half_extent_m: tuple[float, float, float]
    properties: RigidBodyProperties
    options: AssetOptions


@dataclass(kw_only=True)
class Actor:
    """An asset somewhere in the world."""

    asset: Asset
    properties: RigidBodyProperties
    row: list[float]
    """Position, quaternion x y z w, velocities: 13 numbers, world frame."""


@dataclass(kw_only=True, eq=False)
class Env:
    """A place in a sim, and the numbers in the sim of the actors that stand there."""

    sim: Sim
    origin: Vec3
    actors: list[int] = field(default_factory=list)


def solid(
    options: AssetOptions | None,
    half_extent_m: tuple[float, float, float],
    volume_m3: float,
    squared_radii_m2: tuple[float, float, float],
) -> Asset:
    """Make an asset of even density.

    Args:
        options: The user's, or none for the defaults.
        half_extent_m: Of the box around it.
        volume_m3: What the density fills.
        squared_radii_m2: Moments of inertia per mass about x, y and z.
    """
    options = deepcopy(options) if options is not None else AssetOptions()
    properties = RigidBodyProperties()
    properties.mass = options.density * volume_m3
    properties.invMass = 1.0 / properties.mass
    for axis, squared in zip("xyz", squared_radii_m2, strict=True):
        setattr(getattr(properties.inertia, axis), axis, properties.mass * squared)
        setattr(getattr(properties.invInertia, axis), axis, 1.0 / (properties.mass * squared))
    return Asset(half_extent_m=half_extent_m, properties=properties, options=options)


def placed(asset: Asset, pose: Transform, origin: Vec3) -> Actor:
    """Stand a resting actor at a pose relative to an env's origin."""
    position = [origin.x + pose.p.x, origin.y + pose.p.y, origin.z + pose.p.z]
    orientation = [pose.r.x, pose.r.y, pose.r.z, pose.r.w]
    row = [*position, *orientation, *[0.0] * 6]
    return Actor(asset=asset, properties=deepcopy(asset.properties), row=row)


def changed(
    before: RigidBodyProperties, after: RigidBodyProperties, recompute_inertia: bool
) -> RigidBodyProperties:
    """Take over new properties; the inverses are Gym's to compute and are not read.

    Raises:
        IsaacGymError: No body has such a mass or inertia, or the fake cannot carry it.
    """
    if not after.mass > 0.0:
        raise IsaacGymError(f"a mass of {after.mass} kg is not positive. Fix: check its unit.")
    if any(getattr(after.com, axis) for axis in "xyz"):
        raise IsaacGymError(
            "the fake knows bodies with their mass in the middle only. Fix: leave com at zero."
        )
    properties = deepcopy(after)
    if recompute_inertia:
        for row in "xyz":
            for axis in "xyz":
                old = getattr(getattr(before.inertia, row), axis)
                setattr(getattr(properties.inertia, row), axis, old * after.mass / before.mass)
    moments = torch.linalg.eigvalsh(torch.tensor(rows_of(properties.inertia)))
    if not bool(moments[0] > 0.0):
        raise IsaacGymError(
            f"inertia with principal moments {moments.tolist()} is not positive: the body would "
            "not turn at all. Fix: set all of inertia.x.x, inertia.y.y and inertia.z.z."
        )
    return properties


def rows_of(matrix: Mat33) -> list[list[float]]:
    """Return the rows of a matrix."""
    return [[row.x, row.y, row.z] for row in (matrix.x, matrix.y, matrix.z)]


def bodies_of(actors: list[Actor], device: torch.device) -> RigidBodies:
    """Gather the actors' bodies, in order."""

    def gathered(values: list) -> torch.Tensor:
        return torch.tensor(values, device=device)

    options = [actor.asset.options for actor in actors]
    return RigidBodies(
        mass_kg=gathered([actor.properties.mass for actor in actors]),
        inertia_kg_m2=gathered([rows_of(actor.properties.inertia) for actor in actors]),
        half_extent_m=gathered([actor.asset.half_extent_m for actor in actors]),
        weightless=gathered([o.disable_gravity for o in options]),
        gyroscopic=gathered([o.enable_gyroscopic_forces for o in options]),
        linear_damping_1_s=gathered([o.linear_damping for o in options]),
        angular_damping_1_s=gathered([o.angular_damping for o in options]),
        max_speed_m_s=gathered([o.max_linear_velocity for o in options]),
        max_rate_rad_s=gathered([o.max_angular_velocity for o in options]),
    )
