"""What changes during an episode: right in shape, and the same whoever looks, and how."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import calm, changed
from acclimate_sim.randomization import (
    Categorical,
    Constant,
    Parameter,
    ParameterSpace,
    Process,
    Ramp,
    RandomWalk,
    Uniform,
    step_change,
)
from acclimate_sim.robots import load_robot

THRUST = "thrust_to_weight"
WALK = RandomWalk(parameter=THRUST, spread=0.3, low=0.7, high=1.2)
RAMP = Ramp(
    parameter=THRUST,
    factor=Uniform(low=0.5, high=0.9),
    begin_s=Uniform(low=0.5, high=2.0),
    duration_s=Uniform(low=0.0, high=1.0),
)
STEP = step_change(
    parameter="control_delay",
    factor=Categorical(values=(1.0, 2.0), weights=(3.0, 1.0)),
    at_s=Uniform(low=0.0, high=3.0),
)


def space_of(*processes: Process) -> ParameterSpace:
    parameters = tuple(
        Parameter(name=name, unit="1", distribution=Uniform(low=1.0, high=2.0), description="")
        for name in (THRUST, "control_delay")
    )
    return ParameterSpace(name="test", parameters=parameters, processes=processes)


def times(count: int, period_s: float = 0.05) -> Tensor:
    return (period_s * torch.arange(count, dtype=torch.float64)).unsqueeze(-1)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SPACE = space_of(WALK, STEP)


@settings(max_examples=25, deadline=None)  # busy machines stall
@given(n=st.integers(1, 40), more=st.integers(1, 40), count=st.integers(1, 80))
def test_a_robot_s_factors_depend_on_its_number_and_the_seed_only(
    n: int, more: int, count: int
) -> None:
    """Neither on the batch nor on how long the episode is, to the last bit."""
    for process in (WALK, RAMP, STEP):
        space = space_of(process)
        some = space.factors(times(count), n, seeded())[process.parameter]
        longer = space.factors(times(count + more), n + more, seeded())[process.parameter]
        assert some.shape == (count, n)
        assert some.dtype == torch.float64
        assert torch.equal(longer[:count, :n], some)


@pytest.mark.parametrize("process", [WALK, RAMP, STEP])
def test_a_finer_look_sees_the_same(process: Process) -> None:
    coarse = space_of(process).factors(times(60, 0.05), 5, seeded())[process.parameter]
    fine = space_of(process).factors(times(600, 0.005), 5, seeded())[process.parameter]
    torch.testing.assert_close(fine[::10], coarse)


def test_each_robot_may_have_its_own_clock() -> None:
    clocks = torch.cat((times(40, 0.05), times(40, 0.03)), dim=1)
    own = SPACE.factors(clocks, 2, seeded())[THRUST]
    for env, period_s in enumerate((0.05, 0.03)):
        alone = SPACE.factors(times(40, period_s), 2, seeded())[THRUST]
        torch.testing.assert_close(own[:, env], alone[:, env])


def test_robots_are_replayed_by_number() -> None:
    everyone = SPACE.factors(times(30), 20, seeded(7))
    again = SPACE.numbered_factors(7, [17, 2], times(30))
    assert again.keys() == everyone.keys()
    for name, values in again.items():
        assert torch.equal(values, everyone[name][:, [17, 2]])


def test_factors_are_not_tied_to_the_parameters_of_the_same_seed() -> None:
    """One seed for both must not make the heavy robots those that lose thrust; 4 errors."""
    begin = Ramp(
        parameter=THRUST,
        factor=Constant(value=0.0),
        begin_s=Constant(value=0.0),
        duration_s=Uniform(low=1.0, high=2.0),
    )
    factor = space_of(begin).factors(times(2, 0.5), 10_000, seeded())[THRUST][1]
    drawn = space_of(begin).sample(10_000, seeded())
    for values in drawn.values():
        assert torch.corrcoef(torch.stack((values, factor)))[0, 1].abs() < 0.04


def test_appending_a_process_keeps_the_others() -> None:
    alone = space_of(WALK).factors(times(20), 6, seeded())[THRUST]
    assert torch.equal(SPACE.factors(times(20), 6, seeded())[THRUST], alone)


def test_processes_on_one_parameter_multiply() -> None:
    half, fifth = (
        step_change(parameter=THRUST, factor=Constant(value=v), at_s=Constant(value=0.5))
        for v in (0.5, 0.2)
    )
    both = space_of(half, fifth).factors(times(3, 0.5), 2, seeded())[THRUST]
    torch.testing.assert_close(both, torch.tensor([[1.0, 1.0], [0.1, 0.1], [0.1, 0.1]]).double())


def test_a_ramp_runs_from_one_to_its_factor() -> None:
    ramp = Ramp(
        parameter=THRUST,
        factor=Constant(value=0.6),
        begin_s=Constant(value=1.0),
        duration_s=Constant(value=2.0),
    )
    seen = space_of(ramp).factors(times(9, 0.5), 1, seeded())[THRUST].squeeze(-1)
    expected = torch.tensor([1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6]).double()
    torch.testing.assert_close(seen, expected)


def test_a_step_happens_once_at_its_moment_to_the_chosen_share() -> None:
    factors = space_of(STEP).factors(times(100, 0.05), 4000, seeded())["control_delay"]
    assert set(factors.unique().tolist()) == {1.0, 2.0}
    assert (factors.diff(dim=0) >= 0.0).all()
    assert float((factors[-1] == 2.0).double().mean()) == pytest.approx(0.25, abs=0.03)
    half = factors[30] == 2.0  # of those that ever change, half have by 1.5 s of 3 s
    assert float(half.double().mean()) == pytest.approx(0.125, abs=0.025)


def test_a_free_walk_spreads_with_the_square_root_of_time() -> None:
    free = RandomWalk(parameter=THRUST, spread=0.2, low=1e-6, high=1e6)
    n = 4000
    logs = space_of(free).factors(times(5, 1.0), n, seeded())[THRUST].log()
    assert (logs[0] == 0.0).all()
    for second in (1, 4):
        spread = 0.2 * math.sqrt(second)
        assert float(logs[second].std()) == pytest.approx(spread, rel=4.0 / math.sqrt(2 * n))
        assert abs(float(logs[second].mean())) < 4.0 * spread / math.sqrt(n)


def test_a_walk_is_reflected_at_its_ends() -> None:
    wild = RandomWalk(parameter=THRUST, spread=3.0, low=0.7, high=1.2)
    factors = space_of(wild).factors(times(50, 0.1), 400, seeded())[THRUST]  # as drawn
    assert factors.min() >= 0.7 - 1e-12
    assert factors.max() <= 1.2 + 1e-12
    places = (factors[10:].log() - math.log(0.7)) / (math.log(1.2) - math.log(0.7))
    for share in (0.1, 0.5, 0.9):  # stationary by now: even in the logarithm, without a heap
        assert float((places < share).double().mean()) == pytest.approx(share, abs=0.04)


def test_factors_become_disturbances_of_a_quadrotor() -> None:
    robots = load_robot("x500")[torch.tensor([0, 0, 0])]
    plain = calm(robots, 40, 0.05)
    factors = SPACE.factors(times(40), 3, seeded())
    now = changed(plain, factors)
    torch.testing.assert_close(now.thrust_factor, factors[THRUST].unsqueeze(-1).expand(-1, -1, 4))
    torch.testing.assert_close(now.delay_factor, factors["control_delay"])
    assert torch.equal(now.mass_factor, plain.mass_factor)


def test_a_parameter_that_cannot_change_in_flight_is_refused() -> None:
    plain = calm(load_robot("x500"), 2, 0.05)
    with pytest.raises(ConfigError, match=r"\['size'\].*thrust_to_weight"):
        changed(plain, {"size": torch.ones(2, 1)})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (RandomWalk, {"spread": -1.0}),
        (RandomWalk, {"spread": math.nan}),
        (RandomWalk, {"low": 0.0}),
        (RandomWalk, {"low": 1.1}),
        (RandomWalk, {"high": 0.9}),
        (RandomWalk, {"low": 1.0, "high": 1.0}),
        (RandomWalk, {"interval_s": 0.0}),
        (Ramp, {"factor": Constant(value=1.0, unit="N")}),
        (Ramp, {"begin_s": Constant(value=1.0, unit="ms")}),
        (Ramp, {"begin_s": Constant(value=-1.0)}),
        (Ramp, {"duration_s": Uniform(low=-0.1, high=1.0)}),
    ],
)
def test_impossible_processes_are_refused(kind: type, wrong: dict[str, Any]) -> None:
    good = WALK if kind is RandomWalk else RAMP
    with pytest.raises(ConfigError, match=r"thrust_to_weight.*Fix:"):
        kind(**(vars(good) | wrong))


def test_a_process_on_a_stranger_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"'mass'.*thrust_to_weight, control_delay"):
        space_of(RandomWalk(parameter="mass", spread=0.1, low=0.5, high=2.0))


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(4),
        torch.zeros(4, 2),
        torch.full((4, 1), -0.1),
        torch.full((4, 1), math.inf),
        torch.full((4, 1), math.nan),
    ],
)
def test_times_that_fit_no_episode_are_refused(wrong: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"\(time, 3\).*Fix:"):
        SPACE.factors(wrong, 3, seeded())
