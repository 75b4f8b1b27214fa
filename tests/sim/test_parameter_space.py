import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_contract import ConfigError
from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_sim.randomization import (
    Categorical,
    Constant,
    Derived,
    LogUniform,
    Normal,
    Parameter,
    ParameterSpace,
    RandomWalk,
    TruncatedNormal,
    Uniform,
    pair,
    step_change,
)
from acclimate_sim.randomization.streams import draw_ranks

UNHURRIED = settings(deadline=None)  # busy machines stall for longer than a deadline
FINITE = st.floats(min_value=-1e6, max_value=1e6)
POSITIVE = st.floats(min_value=1e-6, max_value=1e6)
DISTRIBUTION = st.one_of(
    st.tuples(FINITE, FINITE).map(lambda ends: Uniform(low=min(ends), high=max(ends))),
    st.tuples(POSITIVE, POSITIVE).map(lambda ends: LogUniform(low=min(ends), high=max(ends))),
    st.tuples(FINITE, st.floats(0.0, 1e6)).map(lambda pair: Normal(mean=pair[0], std=pair[1])),
)
PARAMETERS = st.lists(
    st.builds(
        Parameter,
        name=st.text(),
        unit=st.text(max_size=5),
        distribution=DISTRIBUTION,
        description=st.text(),
    ),
    unique_by=lambda parameter: parameter.name,
    max_size=5,
).map(tuple)


def space(*distributions: Uniform | LogUniform | Normal) -> ParameterSpace:
    return ParameterSpace(
        name="test",
        parameters=tuple(
            Parameter(name=f"p{i}", unit="1", distribution=d, description="")
            for i, d in enumerate(distributions)
        ),
    )


RICH = ParameterSpace(
    name="rich",
    parameters=(
        Parameter(
            name="mass",
            unit="kg",
            distribution=LogUniform(low=0.02, high=5.0, unit="kg"),
            description="Without battery.",
            bounds=(0.001, None),
        ),
        Parameter(
            name="arm",
            unit="m",
            distribution=TruncatedNormal(mean=0.1, std=0.05, low=0.04, high=0.3),
            description="Middle to motor.",
            bounds=(0.0, 1.0),
        ),
        Parameter(
            name="blades",
            unit="1",
            distribution=Categorical(values=(2.0, 3.0), weights=(3.0, 1.0)),
            description="Of each propeller.",
        ),
        Parameter(
            name="gain", unit="1", distribution=Normal(mean=1.0, std=0.1), description="Drifts."
        ),
        Parameter(name="rate", unit="Hz", distribution=Constant(value=100.0), description="All."),
    ),
    correlations=(pair("mass", "arm", 0.8),),
    derived=(
        Derived(
            name="inertia",
            unit="kg m^2",
            expression="0.5 * mass * arm ** 2 + 0.001 * sqrt(mass) ** 1.5",
            description="Roll.",
            bounds=(0.0, None),
        ),
    ),
    processes=(
        RandomWalk(parameter="gain", spread=0.1, low=0.8, high=1.2),
        step_change(
            parameter="mass", factor=Uniform(low=1.0, high=1.3), at_s=Uniform(low=1.0, high=4.0)
        ),
    ),
)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@UNHURRIED
@given(name=st.text(), parameters=PARAMETERS)
def test_json_round_trip(name: str, parameters: tuple[Parameter, ...]) -> None:
    original = ParameterSpace(name=name, parameters=parameters)
    assert ParameterSpace.from_json(json.loads(json.dumps(original.to_json()))) == original


@UNHURRIED
@given(parameters=PARAMETERS, seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20))
def test_draws_stay_in_range_and_repeat(
    parameters: tuple[Parameter, ...], seed: int, n: int
) -> None:
    space = ParameterSpace(name="test", parameters=parameters)
    draws = space.sample(n, seeded(seed))
    again = space.sample(n, seeded(seed))
    assert list(draws) == [parameter.name for parameter in parameters]
    for parameter in parameters:
        values = draws[parameter.name]
        assert values.shape == (n,)
        assert values.dtype == torch.float64
        assert torch.equal(values, again[parameter.name])
        if isinstance(parameter.distribution, Uniform | LogUniform):
            low, high = parameter.distribution.low, parameter.distribution.high
            slack = 1e-12 * max(abs(low), abs(high))  # low + (high - low) * rank rounds, exp too
            assert (values >= low - slack).all()
            assert (values <= high + slack).all()


def test_every_factor_of_a_log_uniform_draw_is_as_likely() -> None:
    """From 1 to 16 the median is 4, and a quarter lies below 2; three standard errors."""
    values = space(LogUniform(low=1.0, high=16.0)).sample(20_000, seeded())["p0"]
    for bound, share in ((2.0, 0.25), (4.0, 0.5), (8.0, 0.75)):
        assert (values < bound).double().mean().item() == pytest.approx(share, abs=0.011)


def test_another_seed_draws_other_robots() -> None:
    some = space(Uniform(low=0.0, high=1.0))
    assert not torch.equal(some.sample(8, seeded(1))["p0"], some.sample(8, seeded(2))["p0"])


def test_parameters_are_independent() -> None:
    draws = space(Uniform(low=0.0, high=1.0), Uniform(low=0.0, high=1.0)).sample(20_000, seeded())
    correlation = torch.corrcoef(torch.stack((draws["p0"], draws["p1"])))[0, 1]
    assert abs(correlation) < 0.03  # four standard errors at 20,000 draws


def test_appending_a_parameter_keeps_the_draws_of_all_others() -> None:
    first, second = Uniform(low=0.0, high=1.0), Normal(mean=0.0, std=2.0)
    short = space(first, second).sample(50, seeded())
    long = space(first, second, Uniform(low=5.0, high=6.0)).sample(50, seeded())
    assert all(torch.equal(short[name], long[name]) for name in short)


def test_changing_a_range_keeps_the_draws_of_all_others() -> None:
    narrow = space(Uniform(low=0.0, high=1.0), Normal(mean=0.0, std=2.0)).sample(50, seeded())
    wide = space(Normal(mean=7.0, std=9.0), Normal(mean=0.0, std=2.0)).sample(50, seeded())
    assert torch.equal(narrow["p1"], wide["p1"])


def test_a_name_twice_is_refused() -> None:
    parameter = space(Uniform(low=0.0, high=1.0)).parameters[0]
    with pytest.raises(ConfigError, match="more than once"):
        ParameterSpace(name="test", parameters=(parameter, replace(parameter, unit="m")))


def test_ranks_are_the_same_however_many_are_drawn() -> None:
    """Uniform numbers fill a batch in order; normal ones, 16 at a time, would not."""
    many = draw_ranks(70_000, seeded())
    for n in (1, 7, 15, 16, 17, 1000, 65_537):
        assert torch.equal(draw_ranks(n, seeded()), many[:n]), n


@UNHURRIED
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), more=st.integers(0, 200))
def test_a_robot_is_the_same_in_any_batch(seed: int, n: int, more: int) -> None:
    """To the last bit, correlated, derived and all."""
    some, others = RICH.sample(n, seeded(seed)), RICH.sample(n + more, seeded(seed))
    for name, values in some.items():
        assert torch.equal(values, others[name][:n]), name


def test_robots_are_replayed_by_number() -> None:
    everyone = RICH.sample(50, seeded(7))
    for numbers in ([17], [0, 49, 3, 3], []):
        again = RICH.numbered(7, numbers)
        assert list(again) == list(everyone)
        for name, values in again.items():
            assert torch.equal(values, everyone[name][numbers])


def test_robots_that_cannot_be_numbered_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[2, -1\].*from 0"):
        RICH.numbered(3, [2, -1])
    with pytest.raises(ConfigError, match="seed -1 is out of range"):
        RICH.numbered(-1, [0])


@pytest.mark.gpu
def test_a_gpu_flies_the_robots_of_its_generator() -> None:
    draws = RICH.sample(9, torch.Generator("cuda").manual_seed(3))
    assert {values.device.type for values in draws.values()} == {"cuda"}


# Robots 0 and 39 of seed 5, noted when every distribution drew for itself.
NOTED = {
    "published": {
        "thrust_to_weight": (3.8968195956555585, 4.031059630651837),
        "size": (1.0323023171823835, 1.6700194127693868),
        "torque_to_inertia": (1182.537567518119, 216.542270432653),
        "torque_coefficient": (0.03524284149882501, 0.04032536916460605),
        "rise_time": (0.067744269607177, 0.06491669032759123),
        "fall_time": (0.14287952245489904, 0.04230005211875848),
        "force_fraction": (0.08213797485521344, 0.04272816410947292),
        "curve_constant": (0.032, 0.032),
        "curve_linear": (0.1305, 0.1305),
    },
    "widened": {
        "thrust_to_weight": (4.534346034228099, 4.712693509294583),
        "torque_to_inertia": (1324.3748082310265, 61.360393727273184),
        "curve_constant": (0.009774550124060456, -0.04751434787386397),
        "curve_linear": (0.14483976189253656, 0.35053156742998676),
    },
    "noisy": {"noise_level": (-0.478565379912264, 0.4025124972552534)},
}


@pytest.mark.parametrize("name", NOTED)
def test_draws_are_the_same_as_ever(name: str) -> None:
    """Old results stay comparable; the normal draw of the arm's length is the exception."""
    draws = DISTRIBUTIONS[name]().sample(40, seeded(5))
    for parameter, noted in NOTED[name].items():
        # The exponential of another processor may round otherwise.
        assert draws[parameter][[0, 39]].tolist() == pytest.approx(noted, rel=1e-14), parameter


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ((0.0, 1.0), r"'mass' is physical from 0 to 1 kg.*0.5 to 1.5"),
        ((0.7, None), r"'mass' is physical from 0.7 kg"),
        ((None, 1.0), r"'mass' is physical up to 1 kg"),
        ((2.0, 1.0), r"'mass' has bounds \(2.0, 1.0\)"),
        ((float("nan"), 1.0), r"'mass' has bounds"),
    ],
)
def test_a_draw_outside_its_bounds_is_refused(bounds: tuple[float, float], told: str) -> None:
    within = {"name": "mass", "unit": "kg", "description": "", "bounds": bounds}
    with pytest.raises(ConfigError, match=told):
        Parameter(distribution=Uniform(low=0.5, high=1.5), **within)


def test_a_normal_has_no_bounds_and_a_truncated_one_has() -> None:
    within = {"name": "mass", "unit": "kg", "description": "", "bounds": (0.0, None)}
    with pytest.raises(ConfigError, match=r"'mass'.*TruncatedNormal"):
        Parameter(distribution=Normal(mean=1.0, std=0.01), **within)
    Parameter(distribution=TruncatedNormal(mean=1.0, std=0.01, low=0.9, high=1.1), **within)
    Parameter(distribution=Normal(mean=1.0, std=0.0), **within)


def test_a_distribution_in_another_unit_is_refused() -> None:
    in_grams = Uniform(low=20.0, high=5000.0, unit="g")
    with pytest.raises(ConfigError, match=r"'mass' is in 'kg'.*'g'"):
        Parameter(name="mass", unit="kg", distribution=in_grams, description="")


def test_redrawing_changes_only_what_it_names() -> None:
    other = RICH.with_distributions("other", {"blades": Constant(value=3.0)})
    assert other.name == "other"
    before, after = RICH.sample(20, seeded()), other.sample(20, seeded())
    assert (after["blades"] == 3.0).all()
    assert all(torch.equal(before[name], after[name]) for name in set(before) - {"blades"})


def test_redrawing_a_stranger_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"redraws \['thrust'\].*mass, arm, blades"):
        RICH.with_distributions("other", {"thrust": Constant(value=3.0)})
