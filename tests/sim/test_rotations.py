import math

import torch

from acclimate_sim.rotations import (
    axis_angle_to_quat,
    body_z,
    quat_multiply,
    rotation_matrix,
    tilt,
)


def turns(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return axis / axis.norm(dim=-1, keepdim=True), angle


def test_matrix_of_a_turn_is_its_matrix_exponential(generator: torch.Generator) -> None:
    axis, angle = turns(100, generator)
    x, y, z = (angle.unsqueeze(-1) * axis).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))
    matrix = rotation_matrix(axis_angle_to_quat(axis, angle))
    assert torch.allclose(matrix, torch.linalg.matrix_exp(cross), atol=1e-12)


def test_matrix_is_a_rotation(generator: torch.Generator) -> None:
    matrix = rotation_matrix(axis_angle_to_quat(*turns(100, generator)))
    identity = torch.eye(3, dtype=torch.float64).expand(100, 3, 3)
    assert torch.allclose(matrix @ matrix.mT, identity, atol=1e-12)
    assert torch.allclose(torch.linalg.det(matrix), torch.ones(100).double(), atol=1e-12)


def test_tilt_is_the_angle_between_the_vertical_axes(generator: torch.Generator) -> None:
    quat = axis_angle_to_quat(*turns(100, generator))
    up = rotation_matrix(quat)[:, 2, 2]
    # acos loses half of the digits near 0 and pi.
    assert torch.allclose(torch.cos(tilt(quat)), up, atol=1e-7)


def test_a_turn_about_the_vertical_does_not_tilt() -> None:
    quat = axis_angle_to_quat(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([2.0]))
    assert tilt(quat).item() == 0.0


def test_body_z_is_the_last_column_of_the_matrix(generator: torch.Generator) -> None:
    quat = axis_angle_to_quat(*turns(100, generator))
    torch.testing.assert_close(body_z(quat), rotation_matrix(quat)[..., 2], rtol=0, atol=1e-15)


def test_a_product_of_quaternions_turns_by_the_right_one_first(generator: torch.Generator) -> None:
    left, right = (axis_angle_to_quat(*turns(100, generator)) for _ in range(2))
    product = rotation_matrix(quat_multiply(left, right))
    expected = rotation_matrix(left) @ rotation_matrix(right)
    torch.testing.assert_close(product, expected, rtol=0, atol=1e-14)
