"""Free rigid bodies, moved by semi-implicit Euler steps as PhysX moves them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_sim.rotations import axis_angle_to_quat, quat_multiply, rotation_matrix

WXYZ = [6, 3, 4, 5]
"""Columns of a state in which an orientation w x y z stands."""


@dataclass(frozen=True, kw_only=True)
class RigidBodies:
    """What does not change about a batch of bodies.

    Attributes:
        mass_kg: (num_bodies,).
        inertia_kg_m2: (num_bodies, 3, 3), about the centre of mass, body frame.
        half_extent_m: (num_bodies, 3), of the box around the shape, body frame.
        weightless: (num_bodies,), bool.
        gyroscopic: (num_bodies,), bool; without it turning axes do not precess.
        linear_damping_1_s: (num_bodies,), share of the speed lost per second.
        angular_damping_1_s: (num_bodies,).
        max_speed_m_s: (num_bodies,).
        max_rate_rad_s: (num_bodies,).
    """

    mass_kg: Tensor
    inertia_kg_m2: Tensor
    half_extent_m: Tensor
    weightless: Tensor
    gyroscopic: Tensor
    linear_damping_1_s: Tensor
    angular_damping_1_s: Tensor
    max_speed_m_s: Tensor
    max_rate_rad_s: Tensor


def advance(
    bodies: RigidBodies,
    rows: Tensor,
    force_world: Tensor,
    torque_world: Tensor,
    gravity_world: Tensor,
    dt_s: float,
) -> Tensor:
    """Move bodies through one step: velocities first, then positions with the new velocities.

    Args:
        bodies: The bodies.
        rows: (num_bodies, 13): position, quaternion x y z w, velocity and body rates, all world.
        force_world: (num_bodies, 3) N, at the centre of mass.
        torque_world: (num_bodies, 3) N m.
        gravity_world: (3,) m/s^2.
        dt_s: Step.

    Returns:
        (num_bodies, 13), the states `dt_s` later.
    """
    position, velocity, rate = rows[:, :3], rows[:, 7:10], rows[:, 10:]
    weight = torch.where(bodies.weightless.unsqueeze(-1), 0.0, gravity_world)
    velocity = velocity + dt_s * (force_world / bodies.mass_kg.unsqueeze(-1) + weight)
    rate = rate + dt_s * _angular_acceleration(bodies, rows, torque_world)
    velocity = _slowed(velocity, dt_s * bodies.linear_damping_1_s, bodies.max_speed_m_s)
    rate = _slowed(rate, dt_s * bodies.angular_damping_1_s, bodies.max_rate_rad_s)
    orientation = quat_multiply(_turn(rate, dt_s), rows[:, WXYZ])
    orientation = torch.nn.functional.normalize(orientation, dim=-1).roll(-1, dims=-1)
    return torch.cat((position + dt_s * velocity, orientation, velocity, rate), dim=-1)


def rest_on_floor(bodies: RigidBodies, rows: Tensor, up: Tensor) -> Tensor:
    """Lift bodies out of the plane through the origin and stop them there; no friction.

    Args:
        bodies: The bodies.
        rows: (num_bodies, 13).
        up: (3,), the plane's normal.
    """
    up_body = torch.einsum("nij,i->nj", rotation_matrix(rows[:, WXYZ]), up)
    reach = (up_body.abs() * bodies.half_extent_m).sum(-1)
    depth = (reach - rows[:, :3] @ up).clamp_min(0.0)
    sinking = (rows[:, 7:10] @ up).clamp_max(0.0) * (depth > 0.0)
    lifted = rows.clone()
    lifted[:, :3] += depth.unsqueeze(-1) * up
    lifted[:, 7:10] -= sinking.unsqueeze(-1) * up
    return lifted


def to_world(rows: Tensor, vec_body: Tensor) -> Tensor:
    """Turn vectors (num_bodies, 3) from the bodies' frames of `rows` into the world."""
    return (rotation_matrix(rows[:, WXYZ]) @ vec_body.unsqueeze(-1)).squeeze(-1)


def _angular_acceleration(bodies: RigidBodies, rows: Tensor, torque_world: Tensor) -> Tensor:
    """Euler's equation (num_bodies, 3), world frame."""
    rotation = rotation_matrix(rows[:, WXYZ])
    inertia = rotation @ bodies.inertia_kg_m2 @ rotation.mT
    rate = rows[:, 10:]
    momentum = (inertia @ rate.unsqueeze(-1)).squeeze(-1)
    gyroscopic = torch.cross(rate, momentum, dim=-1) * bodies.gyroscopic.unsqueeze(-1)
    return torch.linalg.solve(inertia, torque_world - gyroscopic)


def _slowed(vector: Tensor, lost: Tensor, limit: Tensor) -> Tensor:
    vector = vector * (1.0 - lost).clamp_min(0.0).unsqueeze(-1)
    length = vector.norm(dim=-1, keepdim=True)
    return vector * (limit.unsqueeze(-1) / length.clamp_min(1e-9)).clamp_max(1.0)


def _turn(rate_world: Tensor, dt_s: float) -> Tensor:
    """Quaternion w x y z (num_bodies, 4) of `dt_s` at a constant rate."""
    speed = rate_world.norm(dim=-1)
    axis = rate_world / speed.clamp_min(1e-9).unsqueeze(-1)
    return axis_angle_to_quat(axis, speed * dt_s)
