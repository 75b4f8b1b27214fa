import math
from collections.abc import Callable

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.references import Trajectory, figure_eight, hover, random_smooth, steps

LIKE = torch.zeros((), dtype=torch.float64)
NUM_ENVS = 3


def eight(period_s: float = 5.5) -> Trajectory:
    return figure_eight(NUM_ENVS, period_s=period_s, like=LIKE)


def smooth() -> Trajectory:
    seeded = torch.Generator().manual_seed(0)
    return random_smooth(NUM_ENVS, amplitude_m=1.5, max_rate_rad_s=2.0, generator=seeded, like=LIKE)


def jumps(seed: int = 0) -> Trajectory:
    seeded = torch.Generator().manual_seed(seed)
    return steps(NUM_ENVS, interval_s=0.5, half_width_m=0.7, count=4, generator=seeded, like=LIKE)


ALL: dict[str, Callable[[], Trajectory]] = {
    "hover": lambda: hover(NUM_ENVS, like=LIKE),
    "figure_eight": eight,
    "random_smooth": smooth,
    "steps": jumps,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("time", [0.0, 0.31, torch.tensor(2.2, dtype=torch.float64)])
def test_shape_and_type(name: str, time: float | torch.Tensor) -> None:
    reference = ALL[name]()(time)
    for value in (reference.position, reference.linear_velocity):
        assert value.shape == (NUM_ENVS, 3)
        assert value.dtype == LIKE.dtype
        assert value.isfinite().all()


@pytest.mark.parametrize("name", ["hover", "figure_eight", "random_smooth"])
@pytest.mark.parametrize("time_s", [0.4, 0.99, 1.01, 3.7])
def test_velocity_is_the_derivative_of_the_position(name: str, time_s: float) -> None:
    trajectory, h = ALL[name](), 1e-5
    slope = (trajectory(time_s + h).position - trajectory(time_s - h).position) / (2 * h)
    # Central differences err by h^2 / 6 times the third derivative, here below 10 m/s^3.
    assert torch.allclose(trajectory(time_s).linear_velocity, slope, atol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_every_trajectory_starts_at_the_origin(name: str) -> None:
    assert ALL[name]()(0.0).position.abs().max() == 0.0


@pytest.mark.parametrize("period_s", [5.5, 10.0])
def test_figure_eight_ramps_up_and_closes(period_s: float) -> None:
    trajectory = eight(period_s)
    assert trajectory(0.0).linear_velocity.abs().max() == 0.0
    # The ramp of 1 s costs half a second of phase; from then on x = sin with the full rate.
    start = trajectory(0.5 + period_s)
    assert torch.allclose(start.position, torch.zeros_like(start.position), atol=1e-12)
    quarter = trajectory(0.5 + 1.25 * period_s).position[0]
    assert quarter.tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-12)
    eighth = trajectory(0.5 + 1.125 * period_s).position[0]
    assert eighth.tolist() == pytest.approx([math.sqrt(0.5), 0.5, 0.0], abs=1e-12)
    rate = 2 * math.pi / period_s
    assert start.linear_velocity[0].tolist() == pytest.approx([rate, rate, 0.0], abs=1e-12)


def test_figure_eight_speed_grows_linearly_in_the_ramp() -> None:
    trajectory, rate = eight(), 2 * math.pi / 5.5
    phase = rate * 0.5**2 / 2
    expected = [0.5 * rate * math.cos(phase), 0.5 * rate * math.cos(2 * phase), 0.0]
    assert trajectory(0.5).linear_velocity[0].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("bad", [{"period_s": 0.0}, {"period_s": 5.0, "ramp_s": 0.0}])
def test_figure_eight_needs_time(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        figure_eight(NUM_ENVS, like=LIKE, **bad)


def test_steps_hold_between_jumps_and_after_the_last() -> None:
    trajectory = jumps()
    for start in (0.0, 0.5, 1.0, 1.5):
        held = trajectory(start).position
        assert torch.equal(held, trajectory(start + 0.49).position)
        assert not torch.equal(held, trajectory(start + 0.51).position) or start == 1.5
    assert torch.equal(trajectory(1.5).position, trajectory(99.0).position)
    assert trajectory(1.0).linear_velocity.abs().max() == 0.0


def test_steps_stay_within_their_width_and_differ_between_robots() -> None:
    positions = jumps()(0.7).position
    assert positions.abs().max() <= 0.7
    assert not torch.equal(positions[0], positions[1])


def test_steps_jump_on_time_at_multiples_of_a_control_period() -> None:
    """0.3 / 0.1 is 2.9999... in binary: the jump must not come a period late."""
    trajectory = steps(
        1,
        interval_s=0.1,
        half_width_m=1.0,
        count=10,
        generator=torch.Generator().manual_seed(0),
        like=LIKE,
    )
    for k in range(1, 10):
        assert torch.equal(trajectory(0.1 * k).position, trajectory(0.1 * k + 0.05).position)
        assert torch.equal(trajectory(k / 10).position, trajectory(k / 10 + 0.05).position)


@pytest.mark.parametrize("bad", [{"interval_s": 0.0, "count": 3}, {"interval_s": 1.0, "count": 0}])
def test_steps_need_an_interval_and_a_count(bad: dict, generator: torch.Generator) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        steps(1, half_width_m=1.0, generator=generator, like=LIKE, **bad)


def test_random_references_repeat_with_their_seed() -> None:
    assert torch.equal(smooth()(1.3).position, smooth()(1.3).position)
    assert torch.equal(jumps(1)(0.7).position, jumps(1)(0.7).position)
    assert not torch.equal(jumps(1)(0.7).position, jumps(2)(0.7).position)


def test_random_smooth_stays_within_twice_its_waves() -> None:
    """Two waves of at most 1.5 m, each counted from its own start."""
    times = torch.linspace(0.0, 60.0, 600, dtype=torch.float64)
    trajectory = smooth()
    reach = torch.stack([trajectory(time).position.abs().max() for time in times])
    assert reach.max() <= 2 * 2 * 1.5
    assert reach.max() > 0.2
