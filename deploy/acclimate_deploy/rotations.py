"""Rotations in numpy: unit quaternions, order w x y z, that turn body vectors into the world.

Every function takes any leading axes and broadcasts them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compose two rotations: first `b`, then `a`.

    Args:
        a: (..., 4) quaternions.
        b: (..., 4) quaternions.

    Returns:
        (..., 4), the Hamilton product a b.
    """
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        axis=-1,
    )


def rotate(quat_body_to_world: np.ndarray, vec_body: np.ndarray) -> np.ndarray:
    """Express body vectors in the world frame.

    Args:
        quat_body_to_world: (..., 4), unit.
        vec_body: (..., 3), any unit.

    Returns:
        (..., 3), world frame, unit of `vec_body`.
    """
    w, x, y, z = _components(quat_body_to_world)
    vx, vy, vz = _components(vec_body)
    # v + w t + a x t with t = 2 a x v; spelt out, because np.cross costs ten times as much here.
    tx, ty, tz = 2.0 * (y * vz - z * vy), 2.0 * (z * vx - x * vz), 2.0 * (x * vy - y * vx)
    rotated = (
        vx + w * tx + y * tz - z * ty,
        vy + w * ty + z * tx - x * tz,
        vz + w * tz + x * ty - y * tx,
    )
    return np.array(rotated) if isinstance(rotated[0], float) else np.stack(rotated, axis=-1)


def rotate_inverse(quat_body_to_world: np.ndarray, vec_world: np.ndarray) -> np.ndarray:
    """Express world vectors in the body frame.

    Args:
        quat_body_to_world: (..., 4), unit.
        vec_world: (..., 3), any unit.

    Returns:
        (..., 3), body frame, unit of `vec_world`.
    """
    return rotate(quat_body_to_world * np.array([1.0, -1.0, -1.0, -1.0]), vec_world)


def heading(quat_body_to_world: np.ndarray) -> np.ndarray:
    """Angle about world z from world x to the body's x axis seen from above.

    Args:
        quat_body_to_world: (..., 4), unit.

    Returns:
        (...), radians in [-pi, pi].
    """
    w, x, y, z = np.moveaxis(quat_body_to_world, -1, 0)
    return np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def from_heading(heading_rad: np.ndarray | float) -> np.ndarray:
    """Level orientation with the given heading.

    Args:
        heading_rad: (...), radians about world z.

    Returns:
        (..., 4) unit quaternions.
    """
    half = 0.5 * np.asarray(heading_rad, dtype=np.float64)
    zero = np.zeros_like(half)
    return np.stack((np.cos(half), zero, zero, np.sin(half)), axis=-1)


def _components(values: np.ndarray) -> Sequence[Any]:
    """Entries along the last axis: plain floats of one vector, arrays of many."""
    return values.tolist() if values.ndim == 1 else tuple(np.moveaxis(values, -1, 0))
