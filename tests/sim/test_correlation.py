"""Correlated draws: as strong as asked for, and nothing else changes."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.randomization import (
    Correlation,
    LogUniform,
    Normal,
    Parameter,
    ParameterSpace,
    Uniform,
    pair,
)

N = 40_000
PLAIN = ParameterSpace(
    name="test",
    parameters=tuple(
        Parameter(name=name, unit="1", distribution=distribution, description="")
        for name, distribution in (
            ("mass", LogUniform(low=0.02, high=5.0)),
            ("size", Uniform(low=0.0, high=1.0)),
            ("drag", Normal(mean=1.0, std=2.0)),
            ("other", Uniform(low=0.0, high=1.0)),
        )
    ),
)
MATRIX = ((1.0, 0.8, -0.5), (0.8, 1.0, -0.3), (-0.5, -0.3, 1.0))
TIED = ParameterSpace(
    name="tied",
    parameters=PLAIN.parameters,
    correlations=(Correlation(names=("mass", "size", "drag"), matrix=MATRIX),),
)


def draw(space: ParameterSpace, n: int = N) -> dict[str, Tensor]:
    return space.sample(n, torch.Generator().manual_seed(1))


def ranks_of(values: Tensor) -> Tensor:
    return values.argsort().argsort().double()


def test_ranks_correlate_as_a_gaussian_copula_says() -> None:
    """Spearman's 6 / pi * asin(r / 2), whatever the distributions; 4 standard errors."""
    draws = draw(TIED)
    ranks = torch.stack([ranks_of(draws[name]) for name in ("mass", "size", "drag", "other")])
    measured = torch.corrcoef(ranks)
    for i, row in enumerate(MATRIX):
        for j, r in enumerate(row):
            expected = 6.0 / math.pi * math.asin(r / 2.0)
            assert float(measured[i, j]) == pytest.approx(expected, abs=4.0 / math.sqrt(N))
    assert measured[3, :3].abs().max() < 4.0 / math.sqrt(N)


def test_every_parameter_keeps_its_distribution() -> None:
    """Kolmogorov-Smirnov between free and tied draws, below its 99.9 % point."""
    free, tied = draw(PLAIN), draw(TIED)
    for name in free:
        both, order = torch.cat((free[name], tied[name])).sort(stable=True)
        gap = torch.where(order < N, 1.0, -1.0).cumsum(0).abs().max() / N
        assert gap < 1.95 * math.sqrt(2.0 / N), (name, len(both))


def test_the_first_of_a_correlation_and_all_outside_it_keep_their_draws() -> None:
    free, tied = draw(PLAIN), draw(TIED)
    assert torch.equal(free["mass"], tied["mass"])
    assert torch.equal(free["other"], tied["other"])
    assert not torch.equal(free["size"], tied["size"])


def test_a_robot_is_the_same_in_any_batch() -> None:
    """To the last bit; a matrix product of twelve columns is not."""
    names = tuple(f"p{i}" for i in range(12))
    matrix = tuple(tuple(1.0 if a == b else 0.5 for a in names) for b in names)
    space = ParameterSpace(
        name="twelve",
        parameters=tuple(replace(PLAIN.parameters[1], name=name) for name in names),
        correlations=(Correlation(names=names, matrix=matrix),),
    )
    many = draw(space, 100)
    for n in range(1, 17):
        for name, values in draw(space, n).items():
            assert torch.equal(values, many[name][:n]), (name, n)


def test_a_pair_is_a_matrix_of_two() -> None:
    matrix = ((1.0, 0.5), (0.5, 1.0))
    assert pair("a", "b", 0.5) == Correlation(names=("a", "b"), matrix=matrix)


@pytest.mark.parametrize(
    ("names", "matrix"),
    [
        (("a",), ((1.0,),)),
        (("a", "a"), ((1.0, 0.0), (0.0, 1.0))),
        (("a", "b"), ((1.0, 0.0),)),
        (("a", "b"), ((1.0,), (0.0, 1.0))),
        (("a", "b"), ((1.0, 0.2), (0.3, 1.0))),
        (("a", "b"), ((2.0, 0.2), (0.2, 1.0))),
        (("a", "b"), ((1.0, 1.0), (1.0, 1.0))),
        (("a", "b"), ((1.0, math.nan), (math.nan, 1.0))),
        (("a", "b", "c"), ((1.0, 0.9, -0.9), (0.9, 1.0, 0.9), (-0.9, 0.9, 1.0))),
    ],
)
def test_impossible_correlations_are_refused(
    names: tuple[str, ...], matrix: tuple[tuple[float, ...], ...]
) -> None:
    with pytest.raises(ConfigError, match=r"'a'.*Fix:"):
        Correlation(names=names, matrix=matrix)


@pytest.mark.parametrize("correlation", [1.0, -1.0, math.nan])
def test_a_pair_outside_its_range_is_refused(correlation: float) -> None:
    with pytest.raises(ConfigError, match="derived parameter"):
        pair("a", "b", correlation)


def test_a_correlation_of_strangers_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"'arm'.*mass, size, drag, other"):
        ParameterSpace(
            name="test", parameters=PLAIN.parameters, correlations=(pair("mass", "arm", 0.5),)
        )


def test_a_parameter_in_two_correlations_is_refused() -> None:
    both = (pair("mass", "size", 0.5), pair("size", "drag", 0.5))
    with pytest.raises(ConfigError, match=r"\['size'\] more than once"):
        ParameterSpace(name="test", parameters=PLAIN.parameters, correlations=both)
