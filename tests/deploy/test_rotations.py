"""Quaternions against rotation matrices, an independent form of the same thing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from acclimate_deploy import rotations

VECTORS = npst.arrays(np.float64, 3, elements=st.floats(-10, 10))
QUATERNIONS = (
    npst.arrays(np.float64, 4, elements=st.floats(-1, 1))
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)


def matrix(quat: np.ndarray) -> np.ndarray:
    """Body to world, Diebel (2006), equation 125 transposed."""
    w, x, y, z = quat
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )


@given(QUATERNIONS, VECTORS)
def test_rotate_is_the_matrix(quat: np.ndarray, vec: np.ndarray) -> None:
    np.testing.assert_allclose(rotations.rotate(quat, vec), matrix(quat) @ vec, atol=1e-12)


@given(QUATERNIONS, VECTORS)
def test_rotate_inverse_undoes_rotate(quat: np.ndarray, vec: np.ndarray) -> None:
    again = rotations.rotate_inverse(quat, rotations.rotate(quat, vec))
    np.testing.assert_allclose(again, vec, atol=1e-12)


@given(QUATERNIONS, QUATERNIONS)
def test_multiply_composes(a: np.ndarray, b: np.ndarray) -> None:
    product = rotations.multiply(a, b)
    np.testing.assert_allclose(matrix(product), matrix(a) @ matrix(b), atol=1e-12)


@given(st.floats(-3.1, 3.1))
def test_heading_of_from_heading(angle: float) -> None:
    quat = rotations.from_heading(angle)
    assert rotations.heading(quat) == pytest.approx(angle, abs=1e-12)
    forward = rotations.rotate(quat, np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(forward, [np.cos(angle), np.sin(angle), 0.0], atol=1e-12)


@given(QUATERNIONS)
def test_heading_is_where_the_nose_points(quat: np.ndarray) -> None:
    nose = matrix(quat) @ [1.0, 0.0, 0.0]
    if np.hypot(nose[0], nose[1]) > 1e-3:
        expected = np.arctan2(nose[1], nose[0])
        turn = rotations.heading(quat) - expected
        assert np.cos(turn) == pytest.approx(1.0, abs=1e-9)


def test_functions_broadcast_over_leading_axes() -> None:
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(5, 2, 4))
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    vecs = rng.normal(size=(2, 3))
    turned = rotations.rotate(quats, vecs)
    assert turned.shape == (5, 2, 3)
    np.testing.assert_allclose(turned[3, 1], matrix(quats[3, 1]) @ vecs[1])
    assert rotations.multiply(quats, quats[0, 0]).shape == (5, 2, 4)
    assert rotations.heading(quats).shape == (5, 2)
    assert rotations.from_heading(np.zeros((5, 2))).shape == (5, 2, 4)
