"""What training flights meet: how often, when, and within which limits."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from acclimate_contract import PREVIEW_TIMES_S
from acclimate_sim.multirotor import published
from acclimate_sim.multirotor.distribution import DISTRIBUTIONS, diverse
from acclimate_sim.multirotor.imperfections import NO_FLOOR_M
from acclimate_sim.randomization import Constant, Ramp
from acclimate_sim.rotations import tilt
from acclimate_training.problems.episodes import (
    MAX_DELAY_TAPS,
    MIN_THRUST_TO_WEIGHT,
    SITUATIONS,
    Situations,
    draw_episodes,
)
from acclimate_training.problems.multirotor_tracking import PERIOD_S, Episodes

NOTHING = Situations(moving=0.0, foreseeing=0.0)
NAMES = [field.name for field in fields(Situations)]
N = 2000
FOUR_ERRORS = 4.0 * (0.25 / N) ** 0.5


def drawn(situations: Situations, *, n: int = N, steps: int = 60, seed: int = 0) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    return draw_episodes(published(), situations, n, steps, generator, preview=True)


def test_processes_of_a_space_change_its_robots_in_flight_and_nothing_else() -> None:
    falling = Ramp(
        parameter="thrust_to_weight",
        factor=Constant(value=0.8),
        begin_s=Constant(value=0.195),
        duration_s=Constant(value=0.0),
    )
    plain, changing = (
        draw_episodes(
            replace(published(), processes=processes),
            SITUATIONS["calm"],
            5,
            40,
            torch.Generator().manual_seed(3),
        )
        for processes in ((), (falling,))
    )
    before, after = plain.disturbances.thrust_factor, changing.disturbances.thrust_factor
    assert torch.equal(after[:20], before[:20])
    torch.testing.assert_close(after[20:], 0.8 * before[20:])
    assert after.dtype == before.dtype
    assert torch.equal(changing.disturbances.force_n, plain.disturbances.force_n)
    assert torch.equal(changing.robots.mass_kg, plain.robots.mass_kg)


def varies(schedule: Tensor) -> Tensor:
    """Which robots (num_envs,) a schedule (time, num_envs, ...) ever changes for."""
    return (
        (schedule != schedule[0]).flatten(2).any(-1).any(0)
        if schedule.dim() > 2
        else (schedule != schedule[0]).any(0)
    )


def meeting(batch: Episodes) -> dict[str, Tensor]:
    """Which robots (num_envs,) visibly meet each situation."""
    happening, preview = batch.disturbances, batch.preview
    assert preview is not None
    changes = (happening.mass_factor, happening.thrust_factor, happening.delay_factor)
    changing = varies(happening.force_n)
    for factor in changes:
        changing = changing | (factor != 1.0).reshape(len(factor), len(changing), -1).any(-1).any(0)
    return {
        "moving": (batch.reference.position != 0.0).any(-1).any(0),
        "anyhow": tilt(batch.start.orientation) > 1.01,
        "windy": (happening.wind_m_s != 0.0).any(-1).any(0),
        "changing": changing,
        "unsteady": (happening.time_step_s != torch.tensor(PERIOD_S)).any(0),
        "deaf": happening.dropout.any(0),
        "low": batch.imperfections.floor_m > NO_FLOOR_M,
        "foreseeing": (preview != 0.0).flatten(2).any(-1).any(0),
    }


# Of the robots that meet it, the share that shows: one in ten starts at rest although anyhow, and
# a third of the others tilts less than 1 rad; some lose a measurement in fifty steps only rarely.
SHOWN = {"anyhow": (0.9 * (1 - 1.01 / 3.14159), 0.03), "deaf": (0.94, 0.04)}


@pytest.mark.parametrize("name", NAMES)
def test_each_situation_is_met_by_its_share_and_comes_alone(name: str) -> None:
    """Robots foresee only a reference that moves."""
    moving = {"moving": 1.0} if name == "foreseeing" else {}
    met = meeting(drawn(replace(NOTHING, **{name: 0.5, **moving})))
    shown, slack = SHOWN.get(name, (1.0, 0.0))
    share = met.pop(name).double().mean().item()
    assert share == pytest.approx(0.5 * shown, abs=FOUR_ERRORS + slack)
    for other, robots in met.items():
        assert robots.any() == (other in moving), other


def test_situations_are_independent() -> None:
    met = meeting(drawn(Situations(**dict.fromkeys(NAMES, 0.5))))
    for name in ("moving", "windy", "changing", "unsteady", "deaf", "low"):
        for other in ("moving", "windy", "changing", "unsteady", "deaf", "low"):
            if name < other:
                both = torch.stack((met[name], met[other])).double()
                assert abs(torch.corrcoef(both)[0, 1]) < 4.0 / N**0.5, (name, other)


def test_one_change_per_robot_within_its_limits() -> None:
    """Payloads up to half the mass, motors down to six tenths, delays doubled."""
    batch = drawn(replace(NOTHING, changing=1.0))
    happening = batch.disturbances
    changed = {
        "payload": (happening.mass_factor != 1.0).any(0),
        "motors": (happening.thrust_factor != 1.0).any(-1).any(0),
        "force": varies(happening.force_n),
        "delay": (happening.delay_factor != 1.0).any(0),
    }
    assert (torch.stack(list(changed.values())).sum(0) == 1).all()
    single = (happening.thrust_factor != 1.0).any(0).sum(-1)
    shares = {
        **{name: robots.double().mean().item() for name, robots in changed.items()},
        "one": (single == 1).double().mean().item(),
        "all": (single == 4).double().mean().item(),
    }
    expected = {"payload": 0.2, "motors": 0.4, "force": 0.2, "delay": 0.2, "one": 0.2, "all": 0.2}
    assert shares == pytest.approx(expected, abs=FOUR_ERRORS)
    assert 1.45 < happening.mass_factor.max() <= 1.5
    assert 0.6 <= happening.thrust_factor.min() < 0.65
    assert set(happening.delay_factor.unique().tolist()) == {1.0, 2.0}


def test_changes_begin_in_flight_and_last_a_random_while() -> None:
    batch = drawn(replace(NOTHING, changing=1.0), steps=100)
    active = (batch.disturbances.delay_factor != 1.0)[:, varies(batch.disturbances.delay_factor)]
    begin = active.double().argmax(0)
    assert 9 <= begin.min() < 15
    assert 75 < begin.max() <= 80
    assert (active.diff(dim=0).sum(0) <= 2).all()  # on once, off at most once
    assert active[-1].any()
    assert not active[-1].all()


@pytest.mark.parametrize("space", ["published", "widened", "diverse"])
def test_no_change_leaves_a_robot_that_cannot_fly(space: str) -> None:
    """With sagging batteries; the weakest motor counts for all, as level flight needs all four."""
    harsh = replace(SITUATIONS["harsh"], changing=1.0)
    generator = torch.Generator().manual_seed(2)
    batch = draw_episodes(DISTRIBUTIONS[space](), harsh, 4000, 40, generator)
    happening = batch.disturbances
    battery = (1.0 - batch.imperfections.voltage_sag).square()
    at_first = battery * batch.robots.thrust_to_weight
    factor = happening.thrust_factor.amin(-1) / happening.mass_factor
    weakest = (at_first * factor).amin(0)
    bound = at_first.clamp_max(MIN_THRUST_TO_WEIGHT)
    assert (weakest >= bound - 1e-5).all()
    assert (weakest < 1.3).any()  # the limit is at work


def test_the_future_shown_is_the_reference_ahead() -> None:
    """Whole steps of 10 ms, so that the offsets can be read off the reference itself."""
    batch = drawn(Situations(moving=1.0, foreseeing=1.0), n=20, steps=100)
    position, preview = batch.reference.position, batch.preview
    assert preview is not None
    for k, ahead_s in enumerate(PREVIEW_TIMES_S):
        ahead = round(ahead_s / PERIOD_S)
        torch.testing.assert_close(
            preview[:-ahead, :, k], position[ahead:] - position[:-ahead], atol=1e-5, rtol=0
        )


def test_robots_that_do_not_foresee_are_shown_zeros() -> None:
    blind = drawn(Situations(moving=1.0, foreseeing=0.0), n=50)
    assert blind.preview is not None
    assert (blind.preview == 0.0).all()
    assert (blind.reference.position != 0.0).any()


def test_without_preview_none_is_drawn_and_all_else_is_the_same() -> None:
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    plain, more = (
        draw_episodes(published(), SITUATIONS["calm"], 20, 10, generator, preview=preview)
        for generator, preview in zip(generators, (False, True), strict=True)
    )
    assert plain.preview is None
    assert torch.equal(plain.reference.position, more.reference.position)
    assert torch.equal(plain.robots.mass_kg, more.robots.mass_kg)


def test_the_reference_velocity_is_the_slope_of_its_position() -> None:
    """Also at odd and jittering rates: second-order differences of 10 ms at 2.5 rad/s."""
    batch = drawn(replace(NOTHING, moving=1.0, unsteady=1.0), n=50, steps=40)
    reference, dt_s = batch.reference, batch.disturbances.time_step_s[1:].unsqueeze(-1)
    slope = reference.position.diff(dim=0) / dt_s
    mean = 0.5 * (reference.linear_velocity[1:] + reference.linear_velocity[:-1])
    torch.testing.assert_close(slope, mean, atol=2e-3, rtol=0)


def test_robots_that_hold_a_point_have_a_reference_at_rest() -> None:
    reference = drawn(replace(NOTHING, moving=0.5), n=100).reference
    holding = (reference.position == 0.0).all(-1).all(0)
    assert 30 < holding.sum() < 70
    assert (reference.linear_velocity[:, holding] == 0.0).all()
    assert (reference.linear_velocity[:, ~holding] != 0.0).all()


def test_unsteady_steps_stay_in_their_range() -> None:
    """Rates from half to nearly twice the nominal one, a fifth of jitter, at most 30 ms."""
    steps = drawn(replace(NOTHING, unsteady=1.0), steps=200).disturbances.time_step_s
    assert 0.8 * 0.6 * PERIOD_S - 1e-6 <= steps.min() < 0.5 * PERIOD_S
    assert steps.max().item() == pytest.approx(0.03)
    period = steps.median(0).values
    assert period.min() < 0.65 * PERIOD_S
    assert period.max() > 1.9 * PERIOD_S
    missed = (steps > 1.5 * period).double().mean().item()
    assert missed == pytest.approx(0.02, abs=0.005)


def test_no_robot_loses_more_than_a_third_of_its_measurements() -> None:
    dropout = drawn(replace(NOTHING, deaf=1.0), steps=400).disturbances.dropout
    assert set(dropout.unique().tolist()) == {0.0, 1.0}
    share = dropout.mean(0)
    assert share.mean().item() == pytest.approx(0.15, abs=0.01)
    assert 0.25 < share.max() < 0.4


def test_the_floor_is_close_and_below_all_of_the_reference() -> None:
    batch = drawn(replace(NOTHING, low=1.0, moving=0.5))
    clearance = batch.reference.position[..., 2].amin(0) - batch.imperfections.floor_m
    assert 0.049 < clearance.min() < 0.06
    assert 0.9 < clearance.max() < 1.001


@pytest.mark.parametrize("situations", SITUATIONS)
def test_same_seed_draws_the_same_episodes_and_another_seed_does_not(situations: str) -> None:
    def flat(group: Any) -> list[Tensor]:
        if is_dataclass(group):
            return [tensor for value in vars(group).values() for tensor in flat(value)]
        return [group] if isinstance(group, Tensor) else []

    one, same, other = (
        draw_episodes(
            diverse(),
            SITUATIONS[situations],
            30,
            10,
            torch.Generator().manual_seed(seed),
            preview=True,
        )
        for seed in (3, 3, 4)
    )
    assert len(flat(one)) > 30
    assert all(torch.equal(a, b) for a, b in zip(flat(one), flat(same), strict=True))
    assert all(tensor.dtype == torch.float32 for tensor in flat(one))
    assert (one.robots.mass_kg != other.robots.mass_kg).all()
    assert (one.disturbances.sensor_noise != other.disturbances.sensor_noise).any()


def test_taps_reach_back_to_the_longest_delay_doubled() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = draw_episodes(diverse(), SITUATIONS["harsh"], 500, 10, generator)
    assert batch.delay_taps == MAX_DELAY_TAPS
    longest = 2.0 * batch.imperfections.control_delay_s.max().item()
    assert longest <= (MAX_DELAY_TAPS - 1) * PERIOD_S
    assert longest > (MAX_DELAY_TAPS - 2) * PERIOD_S


def test_moving_a_batch_keeps_it() -> None:
    batch = drawn(SITUATIONS["harsh"], n=5, steps=4)
    moved = batch.to(torch.device("cpu"))
    assert moved.delay_taps == batch.delay_taps
    assert torch.equal(moved.disturbances.wind_m_s, batch.disturbances.wind_m_s)
    assert torch.equal(moved.reference.position, batch.reference.position)
