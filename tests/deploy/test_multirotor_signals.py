import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_contract import HEXAROTOR, QUADROTOR, ContractError
from acclimate_deploy import rotations
from acclimate_deploy.multirotor_signals import MultirotorState, Reference, SignalBuilder

ROUNDING = 2e-6  # float32 of values up to 10
RNG = np.random.default_rng(0)


def a_state(seed: int = 0) -> MultirotorState:
    rng = np.random.default_rng(seed)
    quat = rng.normal(size=4)
    return MultirotorState(
        position=rng.normal(size=3),
        orientation=quat / np.linalg.norm(quat),
        linear_velocity=rng.normal(size=3),
        angular_velocity=rng.normal(size=3),
        stamp_s=1.0,
    )


def fill(state: MultirotorState, reference: Reference) -> dict[str, np.ndarray]:
    return SignalBuilder().fill(state, reference, np.zeros(4), 0.01)


def test_fills_the_vocabulary_of_the_family() -> None:
    signals = SignalBuilder().fill(
        a_state(),
        Reference(position=np.zeros(3), linear_velocity=np.zeros(3)),
        RNG.normal(size=4),
        0.01,
    )
    assert {n: v.shape for n, v in signals.items()} == {s.name: s.shape for s in QUADROTOR.signals}
    assert {v.dtype for v in signals.values()} == {np.dtype(np.float32)}


def test_a_hexarotor_has_six_previous_setpoints() -> None:
    still = Reference(position=np.zeros(3), linear_velocity=np.zeros(3))
    setpoints = RNG.normal(size=6).astype(np.float32)
    signals = SignalBuilder(HEXAROTOR).fill(a_state(), still, setpoints, 0.01)
    np.testing.assert_array_equal(signals["previous_action"], setpoints)


def test_at_heading_zero_errors_are_plain_differences() -> None:
    state = a_state()
    reference = Reference(
        position=np.array([1.0, 2, 3]),
        linear_velocity=np.array([0.1, 0.2, 0.3]),
        preview=RNG.normal(size=(4, 3)),
    )
    action = np.array([0.1, -0.2, 0.3, -0.4])
    signals = SignalBuilder().fill(state, reference, action, 0.004)
    expected = {
        "position_error": state.position - reference.position,
        "linear_velocity_error": state.linear_velocity - reference.linear_velocity,
        "angular_velocity": state.angular_velocity,
        "orientation": state.orientation * np.sign(state.orientation[0]),
        "previous_action": action,
        "time_step": [0.004],
        "reference_preview": reference.preview,
    }
    assert expected.keys() == signals.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(signals[name], value, atol=ROUNDING)


@given(st.integers(0, 1000), st.floats(-10.0, 10.0))
def test_turning_robot_and_reference_together_changes_nothing(seed: int, angle: float) -> None:
    """What heading zero means: the policy cannot tell where north is."""
    state = a_state(seed)
    reference = Reference(
        position=np.array([1.0, 2.0, 3.0]),
        linear_velocity=np.array([0.5, 0.0, -0.5]),
        preview=np.random.default_rng(seed).normal(size=(4, 3)),
    )
    turn = rotations.from_heading(angle)
    turned_state = MultirotorState(
        position=rotations.rotate(turn, state.position),
        orientation=rotations.multiply(turn, state.orientation),
        linear_velocity=rotations.rotate(turn, state.linear_velocity),
        angular_velocity=state.angular_velocity,
        stamp_s=1.0,
    )
    turned_reference = Reference(
        position=rotations.rotate(turn, reference.position),
        linear_velocity=rotations.rotate(turn, reference.linear_velocity),
        heading_rad=angle,
        preview=rotations.rotate(turn, reference.preview),
    )
    plain, turned = fill(state, reference), fill(turned_state, turned_reference)
    if abs(plain["orientation"][0]) < 1e-3:  # either sign may be chosen at a half turn
        turned["orientation"] *= np.sign(plain["orientation"] @ turned["orientation"])
    for name, value in plain.items():
        np.testing.assert_allclose(turned[name], value, atol=ROUNDING)


def test_an_unknown_future_is_zeros() -> None:
    builder = SignalBuilder()
    known = Reference(
        position=np.zeros(3), linear_velocity=np.zeros(3), preview=np.ones((4, 3)), heading_rad=1.0
    )
    unknown = Reference(position=np.ones(3), linear_velocity=np.ones(3), heading_rad=1.0)
    builder.fill(a_state(), known, np.zeros(4), 0.01)
    signals = builder.fill(a_state(), unknown, np.zeros(4), 0.01)
    np.testing.assert_array_equal(signals["reference_preview"], np.zeros((4, 3)))


@given(st.integers(0, 1000), st.floats(-4.0, 4.0))
def test_one_attitude_is_one_value(seed: int, angle: float) -> None:
    """q and -q are the same attitude, and a slightly wrong norm is not part of it."""
    state = a_state(seed)
    reference = Reference(position=np.zeros(3), linear_velocity=np.zeros(3), heading_rad=angle)
    plain = fill(state, reference)["orientation"]
    assert plain[0] >= 0.0
    assert np.linalg.norm(plain) == pytest.approx(1.0, abs=1e-6)
    for factor in (-1.0, 0.995, -1.005):
        other = MultirotorState(
            position=state.position,
            orientation=factor * state.orientation,
            linear_velocity=state.linear_velocity,
            angular_velocity=state.angular_velocity,
            stamp_s=1.0,
        )
        if plain[0] > 1e-3:
            np.testing.assert_allclose(fill(other, reference)["orientation"], plain, atol=1e-6)


@pytest.mark.parametrize("quat", [[0.0] * 4, [np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [1e300] * 4])
def test_an_orientation_that_is_none_becomes_nan_and_not_level(quat: list[float]) -> None:
    state = MultirotorState(
        position=np.zeros(3),
        orientation=np.array(quat),
        linear_velocity=np.zeros(3),
        angular_velocity=np.zeros(3),
        stamp_s=0.0,
    )
    reference = Reference(position=np.zeros(3), linear_velocity=np.zeros(3))
    assert np.isnan(fill(state, reference)["orientation"]).all()


@pytest.mark.parametrize("angle", [np.nan, np.inf])
def test_a_heading_that_is_none_becomes_nan(angle: float) -> None:
    reference = Reference(position=np.zeros(3), linear_velocity=np.zeros(3), heading_rad=angle)
    assert np.isnan(fill(a_state(), reference)["orientation"]).all()


def test_errors_of_far_positions_keep_their_millimetres() -> None:
    """The difference is taken in float64: at 100 km a float32 position is 8 mm coarse."""
    state = a_state()
    here = state.position + 1e5
    far = MultirotorState(
        position=here + 0.001,
        orientation=state.orientation,
        linear_velocity=state.linear_velocity,
        angular_velocity=state.angular_velocity,
        stamp_s=0.0,
    )
    signals = fill(far, Reference(position=here, linear_velocity=np.zeros(3)))
    np.testing.assert_allclose(signals["position_error"], 0.001, atol=1e-6)


def test_buffers_are_made_once() -> None:
    builder = SignalBuilder()
    reference = Reference(position=np.zeros(3), linear_velocity=np.zeros(3))
    first = builder.fill(a_state(1), reference, np.zeros(4), 0.01)
    ids = {name: id(value) for name, value in first.items()}
    second = builder.fill(a_state(2), reference, np.zeros(4), 0.01)
    assert {name: id(value) for name, value in second.items()} == ids


def test_state_refuses_a_wrong_shape() -> None:
    with pytest.raises(ContractError, match=r"orientation has shape \(3,\) and should have \(4,\)"):
        MultirotorState(
            position=np.zeros(3),
            orientation=np.zeros(3),
            linear_velocity=np.zeros(3),
            angular_velocity=np.zeros(3),
            stamp_s=0.0,
        )
