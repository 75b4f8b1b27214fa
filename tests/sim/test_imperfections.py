"""Imperfect robots: what the diverse distribution draws, and what it must not break."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    Imperfections,
    MultirotorParameters,
    perfect,
    published,
    sample,
    sample_imperfect,
    widened,
)
from acclimate_sim.multirotor.distribution import diverse
from acclimate_sim.multirotor.imperfections import NO_FLOOR_M
from acclimate_sim.multirotor.sampling import build, build_imperfections
from acclimate_sim.robots import load_robot

NAMES = [field.name for field in fields(Imperfections)]
N = 20_000


@pytest.fixture(scope="module")
def draws() -> dict[str, Tensor]:
    return diverse().sample(N, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def robots(draws: dict[str, Tensor]) -> MultirotorParameters:
    return build(draws)


@pytest.fixture(scope="module")
def imperfections(draws: dict[str, Tensor], robots: MultirotorParameters) -> Imperfections:
    return build_imperfections(draws, robots)


def test_unequal_motors_keep_the_total_thrust(
    draws: dict[str, Tensor], robots: MultirotorParameters
) -> None:
    """Thrust-to-weight means the same with and without imperfections."""
    torch.testing.assert_close(robots.thrust_to_weight, draws["thrust_to_weight"])
    strength = robots.thrust_curve_n.sum(-1)
    spread = strength.amax(-1) / strength.amin(-1)
    # Between 0.8 and 1.2 of nominal: at most half as strong again.
    assert 1.3 < spread.max() <= 1.5


def test_robots_of_negative_severity_are_perfect(
    draws: dict[str, Tensor], robots: MultirotorParameters, imperfections: Imperfections
) -> None:
    flawless = draws["severity"] <= 0.0
    assert flawless.double().mean().item() == pytest.approx(0.5, abs=0.02)
    these, ideal = imperfections[flawless], perfect(robots[flawless])
    for name in set(NAMES) - {"rotor_radius_m", "sensor_noise"}:  # no floor, and noise is its own
        assert torch.equal(getattr(these, name), getattr(ideal, name)), name
    good = robots[flawless]
    assert (good.motor_axis == torch.tensor([0.0, 0.0, 1.0])).all()
    assert (good.thrust_curve_n == good.thrust_curve_n[:, :1]).all()
    assert good.motor_position_m.mean(1).abs().max() < 1e-15


def test_imperfections_stay_in_their_ranges_and_reach_their_ends(
    draws: dict[str, Tensor], robots: MultirotorParameters, imperfections: Imperfections
) -> None:
    for values, high in (
        (imperfections.control_delay_s, 0.03),
        (imperfections.rotor_drag_1_s, 1.0),
        (imperfections.body_drag_1_m, 0.1),
        (imperfections.voltage_sag, 0.15),
        (imperfections.sensor_noise[:, 0], 1.2 * 0.01),
        (imperfections.sensor_noise[:, 1], 1.2 * 0.02),
        (imperfections.sensor_noise[:, 2], 1.2 * 0.05),
        (imperfections.sensor_noise[:, 3], 1.2 * 0.1),
    ):
        assert 0.0 <= values.min() < 1e-3 * high
        # A product of two uniform draws: its last twentieth holds 0.1 % of them.
        assert 0.95 * high < values.max() <= high * (1 + 1e-6)
    tilt = robots.motor_axis[..., :2] / robots.motor_axis[..., 2:]
    assert 0.047 < tilt.abs().max() <= 0.05 + 1e-12
    torch.testing.assert_close(robots.motor_axis.norm(dim=-1), torch.ones(N, 4).double())
    # Neighbouring motors of an X are sqrt(2) arms apart.
    side = robots.motor_position_m.diff(dim=1).norm(dim=-1)[:, :1]
    offset = 2**0.5 * robots.motor_position_m.mean(1) / side
    assert 0.14 < offset.abs().max() <= 0.15 + 1e-9
    assert (imperfections.floor_m == NO_FLOOR_M).all()
    assert (imperfections.sensor_bias[:, :3] == 0.0).all()


def test_severity_scales_all_imperfections_of_a_robot_but_noise(draws: dict[str, Tensor]) -> None:
    half = {**draws, "severity": 0.5 * draws["severity"].abs()}
    whole = {**draws, "severity": draws["severity"].abs()}
    mild, severe = (build_imperfections(d, build(d)) for d in (half, whole))
    for name in ("control_delay_s", "rotor_drag_1_s", "body_drag_1_m", "voltage_sag"):
        torch.testing.assert_close(2.0 * getattr(mild, name), getattr(severe, name))
    torch.testing.assert_close(mild.sensor_noise, severe.sensor_noise)
    torch.testing.assert_close(2.0 * mild.sensor_bias, severe.sensor_bias)
    gentle, strong = (build(d).motor_axis for d in (half, whole))
    slopes = [axes[..., :2] / axes[..., 2:] for axes in (gentle, strong)]
    torch.testing.assert_close(2.0 * slopes[0], slopes[1])


def test_biases_have_their_typical_size(
    draws: dict[str, Tensor], imperfections: Imperfections
) -> None:
    """0.01 rad, 0.03 m/s and 0.03 rad/s where severity and level are one."""
    scale = (draws["bias_level"] * draws["severity"].clamp_min(0.0)).unsqueeze(-1)
    unit = (imperfections.sensor_bias / scale)[scale.squeeze(-1) > 0.01]
    expected = torch.tensor([0.0, 0.01, 0.03, 0.03]).double().repeat_interleave(3)
    torch.testing.assert_close(unit.std(0), expected, rtol=0.03, atol=1e-12)


@pytest.mark.parametrize("space", [published(), widened()], ids=lambda space: space.name)
def test_spaces_without_imperfections_draw_perfect_robots(space) -> None:
    robots, imperfections = sample_imperfect(space, 50, torch.Generator().manual_seed(1))
    ideal = perfect(robots)
    for name in set(NAMES) - {"rotor_radius_m"}:
        assert torch.equal(getattr(imperfections, name), getattr(ideal, name)), name
    plain = sample(space, 50, torch.Generator().manual_seed(1))
    for field in fields(plain):
        assert torch.equal(getattr(robots, field.name), getattr(plain, field.name))


def test_appended_imperfections_leave_the_other_draws_as_they_were() -> None:
    """The same seed gives the same masses and motors: robots can be compared one by one."""
    plain = widened().sample(100, torch.Generator().manual_seed(5))
    for name in ("noisy", "diverse"):
        more = DISTRIBUTIONS[name]().sample(100, torch.Generator().manual_seed(5))
        assert list(more)[: len(plain)] == list(plain)
        wider = {"thrust_to_weight", "arm_deviation"} if name == "diverse" else set()
        for parameter in set(plain) - wider:
            assert torch.equal(more[parameter], plain[parameter]), parameter


def test_published_robots_are_the_same_as_ever() -> None:
    """The first of seed 0, noted before imperfections existed: old results stay comparable."""
    robot = sample(published(), 1, torch.Generator().manual_seed(0))
    figures = torch.cat((robot.mass_kg, robot.max_thrust_n, robot.rise_time_s[0, :1]))
    noted = (0.10809923192227154, 2.5450009370879156, 0.04430863939101534)
    assert figures.tolist() == pytest.approx(noted, rel=1e-12)


@pytest.mark.parametrize("space", ["noisy", "diverse"])
def test_noise_is_taken_as_drawn_and_every_second_robot_has_none(space: str) -> None:
    """Without robots that see exactly, a policy learns small swings that noise would drown."""
    draws = DISTRIBUTIONS[space]().sample(1000, torch.Generator().manual_seed(2))
    noise = build_imperfections(draws, build(draws)).sensor_noise
    torch.testing.assert_close(noise[:, 3], 0.1 * draws["noise_level"].relu())
    assert 400 < int((noise == 0.0).all(-1).sum()) < 600


def test_a_batch_can_be_cut_and_moved() -> None:
    robots = load_robot("x500")[torch.tensor([0, 0, 0])]
    ideal = perfect(robots)
    assert len(ideal) == 3
    assert len(ideal[1:]) == 2
    single = ideal.to(torch.float32)
    assert {getattr(single, name).dtype for name in NAMES} == {torch.float32}
