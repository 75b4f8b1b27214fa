"""Schedules of what happens in flight."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate_sim.multirotor import Disturbances, between, calm
from acclimate_sim.robots import load_robot

NAMES = [field.name for field in fields(Disturbances)]


def schedule(num_steps: int = 6) -> Disturbances:
    """Every entry tells its step, so that none can be mistaken for another."""
    robots = load_robot("x500")[torch.tensor([0, 0, 0])]
    plain = calm(robots, num_steps, 0.01)
    count = torch.arange(num_steps, dtype=torch.float64)
    marked = {}
    for k, name in enumerate(NAMES):
        values = getattr(plain, name)
        marked[name] = values + (100 * k + count).reshape(-1, *[1] * (values.dim() - 1))
    return replace(plain, **marked)


def test_on_a_calm_day_nothing_happens() -> None:
    robots = load_robot("x500")[torch.tensor([0, 0, 0])].to(torch.float32)
    day = calm(robots, 5, 0.02)
    assert len(day) == 5
    neutral = {"time_step_s": 0.02, "mass_factor": 1.0, "thrust_factor": 1.0, "delay_factor": 1.0}
    widths = {"force_n": (3,), "wind_m_s": (3,), "thrust_factor": (4,), "sensor_noise": (12,)}
    for name in NAMES:
        values = getattr(day, name)
        assert values.shape == (5, 3, *widths.get(name, ()))
        assert values.dtype == torch.float32
        assert values == pytest.approx(neutral.get(name, 0.0))


def test_one_step_is_one_row() -> None:
    whole = schedule()
    for t in range(len(whole)):
        for name in NAMES:
            assert torch.equal(getattr(whole.at(t), name), getattr(whole, name)[t])


def test_a_schedule_moves_as_a_whole() -> None:
    assert {getattr(schedule().to(torch.float32), name).dtype for name in NAMES} == {torch.float32}


@given(
    begin_s=st.lists(st.floats(0.0, 2.0), min_size=3, max_size=3),
    length_s=st.lists(st.floats(0.0, 2.0), min_size=3, max_size=3),
)
def test_a_window_is_one_from_begin_until_end(begin_s: list[float], length_s: list[float]) -> None:
    times = (0.1 * torch.arange(12, dtype=torch.float64)).unsqueeze(-1).expand(12, 3)
    begin = torch.tensor(begin_s, dtype=torch.float64)
    end = begin + torch.tensor(length_s, dtype=torch.float64)
    window = between(times, begin, end)
    assert window.dtype == times.dtype
    for t in range(12):
        for env in range(3):
            inside = begin[env].item() <= times[t, env].item() < end[env].item()
            assert window[t, env].item() == float(inside)


def test_a_window_may_be_the_same_for_all() -> None:
    times = torch.tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    assert between(times, 0.5, 2.0).tolist() == [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
