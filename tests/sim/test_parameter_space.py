import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate_contract import ConfigError
from acclimate_sim.parameter_space import (
    LogUniform,
    Normal,
    Parameter,
    ParameterSpace,
    Uniform,
)

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


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(name=st.text(), parameters=PARAMETERS)
def test_json_round_trip(name: str, parameters: tuple[Parameter, ...]) -> None:
    original = ParameterSpace(name=name, parameters=parameters)
    assert ParameterSpace.from_json(json.loads(json.dumps(original.to_json()))) == original


@given(parameters=PARAMETERS, seed=st.integers(0, 2**63 - 1), n=st.integers(1, 20))
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
            slack = 1e-12 * max(abs(low), abs(high))  # low + (high - low) * u rounds, exp too
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


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Uniform, {"low": 2.0, "high": 1.0}),
        (Uniform, {"low": float("nan"), "high": 1.0}),
        (Uniform, {"low": 0.0, "high": float("inf")}),
        (LogUniform, {"low": 0.0, "high": 1.0}),
        (LogUniform, {"low": 2.0, "high": 1.0}),
        (LogUniform, {"low": 1.0, "high": float("inf")}),
        (Normal, {"mean": 0.0, "std": -1.0}),
        (Normal, {"mean": 0.0, "std": float("nan")}),
    ],
)
def test_impossible_distributions_are_refused(kind: type, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        kind(**settings)


def test_a_name_twice_is_refused() -> None:
    parameter = space(Uniform(low=0.0, high=1.0)).parameters[0]
    with pytest.raises(ConfigError, match="more than once"):
        ParameterSpace(name="test", parameters=(parameter, replace(parameter, unit="m")))


def test_json_of_an_unknown_distribution_lists_the_known_ones() -> None:
    data = space(Uniform(low=0.0, high=1.0)).to_json()
    data["parameters"][0]["distribution"]["kind"] = "cauchy"
    with pytest.raises(ConfigError, match=r"'cauchy'.*uniform.*normal"):
        ParameterSpace.from_json(data)


@pytest.mark.parametrize("missing", ["name", "parameters"])
def test_json_with_a_missing_field_is_refused(missing: str) -> None:
    data = space(Uniform(low=0.0, high=1.0)).to_json()
    del data[missing]
    with pytest.raises(ConfigError, match="malformed parameter space"):
        ParameterSpace.from_json(data)


@pytest.mark.parametrize(
    "distribution", ["uniform", {}, {"kind": "uniform", "low": "0", "high": "1"}, None]
)
def test_json_with_a_malformed_distribution_is_refused(distribution: object) -> None:
    data = space(Uniform(low=0.0, high=1.0)).to_json()
    data["parameters"][0]["distribution"] = distribution
    with pytest.raises(ConfigError, match="malformed parameter space"):
        ParameterSpace.from_json(data)
