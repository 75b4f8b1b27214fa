"""Dryden gusts against their analytic variance, correlation and spectrum."""

import math

import pytest
import torch
from torch import Tensor

from acclimate_sim.wind import dryden

HEIGHT_M, HEIGHT_FT = 10.0, 10.0 / 0.3048
SPEED_M_S = 6.0
# MIL-F-8785C, low altitude, section 3.7.3.4: lengths in feet and spreads over the wind speed.
LENGTH_M = {
    "along": HEIGHT_FT / (0.177 + 0.000823 * HEIGHT_FT) ** 1.2 * 0.3048,
    "across": HEIGHT_FT / (0.177 + 0.000823 * HEIGHT_FT) ** 1.2 * 0.3048,
    "up": HEIGHT_M,
}
SPREAD = {
    "along": 0.1 / (0.177 + 0.000823 * HEIGHT_FT) ** 0.4,
    "across": 0.1 / (0.177 + 0.000823 * HEIGHT_FT) ** 0.4,
    "up": 0.1,
}
AXES = tuple(LENGTH_M)


def gusts(
    n: int, times: int, dt_s: float, *, heading_rad: float = 0.0, seed: int = 0
) -> dict[str, Tensor]:
    """Deviation (times, n) from the mean wind along it, across it and upwards, in its spread."""
    mean = torch.tensor([math.cos(heading_rad), math.sin(heading_rad), 0.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    wind = dryden((SPEED_M_S * mean).expand(n, 3), HEIGHT_M, times, dt_s, generator)
    deviation = wind - SPEED_M_S * mean
    left = torch.stack((-mean[1], mean[0], mean[2]))
    sides = {"along": deviation @ mean, "across": deviation @ left, "up": deviation[..., 2]}
    return {axis: sides[axis] / (SPREAD[axis] * SPEED_M_S) for axis in AXES}


@pytest.mark.parametrize("heading_rad", [0.0, 2.0])
def test_gusts_begin_and_stay_in_their_stationary_distribution(heading_rad: float) -> None:
    """The shares turn with the wind: across and along do not mix."""
    n = 40_000
    drawn = gusts(n, 20, 0.2, heading_rad=heading_rad)
    for axis in AXES:
        for t in (0, 1, 19):
            values = drawn[axis][t]
            assert values.mean().item() == pytest.approx(0.0, abs=4.0 / math.sqrt(n))
            assert values.var().item() == pytest.approx(1.0, abs=4.0 * math.sqrt(2.0 / n))
    mixed = (drawn["along"] * drawn["across"]).mean().item()
    assert mixed == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("axis", AXES)
def test_gusts_are_correlated_over_their_length(axis: str) -> None:
    """exp(-d) along the wind and exp(-d) (1 - d / 2) across, d the way over the length.

    Those are the transforms of the Dryden spectra. Sixty steps per length leave a hundredth to
    the discretisation, and 20,000 draws four times 0.007.
    """
    steps = 60
    drawn = gusts(20_000, 2 * steps + 1, LENGTH_M[axis] / SPEED_M_S / steps)[axis]
    for lag in (steps // 4, steps, 2 * steps):
        d = lag / steps
        expected = math.exp(-d) if axis == "along" else math.exp(-d) * (1.0 - d / 2.0)
        got = (drawn[0] * drawn[lag]).mean().item()
        assert got == pytest.approx(expected, abs=0.038)


@pytest.mark.parametrize("axis", AXES)
def test_spectrum_is_that_of_dryden(axis: str) -> None:
    """Averaged over robots and bands from a third of to eight times the corner frequency.

    A band averages 400 flights and several lines, about 2 % of noise; the step adds 1 % more.
    """
    corner = SPEED_M_S / LENGTH_M[axis]  # rad/s
    dt_s, times = 0.03 / corner, 4096
    drawn = gusts(400, times, dt_s, seed=1)[axis]
    window = torch.hann_window(times, dtype=torch.float64).unsqueeze(-1)
    lines = torch.fft.rfft(drawn * window, dim=0).abs().square().mean(1)
    power = lines * dt_s / window.square().sum() / math.pi  # one-sided, per rad/s
    rate = torch.fft.rfftfreq(times, dt_s, dtype=torch.float64) * 2.0 * math.pi / corner
    square = rate.square()
    if axis == "along":
        density = 2.0 / math.pi / corner / (1.0 + square)
    else:
        density = (1.0 + 3.0 * square) / (1.0 + square).square() / math.pi / corner
    for low in (0.3, 0.5, 1.0, 2.0, 4.0):
        band = (rate >= low) & (rate < 2.0 * low)
        ratio = (power[band].sum() / density[band].sum()).item()
        assert ratio == pytest.approx(1.0, abs=0.08), low


def test_no_wind_has_no_gusts_and_a_stronger_one_has_stronger() -> None:
    mean = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [8.0, 0.0, 0.0]])
    wind = dryden(mean, HEIGHT_M, 3000, 0.1, torch.Generator().manual_seed(2))
    assert wind[:, 0].abs().max() == 0.0
    assert wind.dtype == mean.dtype
    assert wind[:, 2].std(0)[1] > 2.0 * wind[:, 1].std(0)[1] > 0.0


def test_same_seed_same_wind() -> None:
    mean = torch.tensor([[3.0, 1.0, 0.0]])
    one, same, other = (
        dryden(mean, HEIGHT_M, 5, 0.01, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_below_ten_feet_the_wind_is_that_at_ten_feet() -> None:
    mean = torch.tensor([[3.0, 1.0, 0.0]])
    low, floor, high = (
        dryden(mean, height, 5, 0.01, torch.Generator().manual_seed(0)) for height in (0.1, 3.05, 9)
    )
    assert torch.equal(low, floor)
    assert not torch.equal(low, high)
