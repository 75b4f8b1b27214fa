"""Unit quaternions in torch, order w x y z, batched over any leading axes."""

import torch
from torch import Tensor


def rotation_matrix(quat: Tensor) -> Tensor:
    """Rotation matrix (..., 3, 3) of a unit quaternion (..., 4)."""
    w, x, y, z = quat.unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def axis_angle_to_quat(axis: Tensor, angle_rad: Tensor) -> Tensor:
    """Quaternion (..., 4) of a turn by `angle_rad` (...) about the unit vector `axis` (..., 3)."""
    half = 0.5 * angle_rad.unsqueeze(-1)
    return torch.cat((torch.cos(half), torch.sin(half) * axis), dim=-1)


def tilt(quat_body_to_world: Tensor) -> Tensor:
    """Angle (...) in rad between the body's z axis and the world's z axis."""
    _, x, y, _ = quat_body_to_world.unbind(-1)
    return torch.acos((1 - 2 * (x * x + y * y)).clamp(-1.0, 1.0))


def body_z(quat_body_to_world: Tensor) -> Tensor:
    """The body's z axis (..., 3) in the world."""
    w, x, y, z = quat_body_to_world.unbind(-1)
    up = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
    return torch.stack(up, dim=-1)


def quat_multiply(left: Tensor, right: Tensor) -> Tensor:
    """Hamilton product (..., 4): turn by `right` first, then by `left`."""
    aw, ax, ay, az = left.unbind(-1)
    bw, bx, by, bz = right.unbind(-1)
    product = (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
    return torch.stack(product, dim=-1)
