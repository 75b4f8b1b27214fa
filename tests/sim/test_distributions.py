"""Quantile functions against the standard library's normal, and against their definitions."""

import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from acclimate_contract import ConfigError
from acclimate_sim.randomization import (
    Between,
    Categorical,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from acclimate_sim.randomization.streams import LARGEST_RANK, LEAST_RANK, draw_ranks

UNHURRIED = settings(deadline=None)  # busy machines stall for longer than a deadline


def exact(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


RANKS = exact(LEAST_RANK, 1e-6, 0.1, 0.25, 0.5, 0.75, 0.9, LARGEST_RANK)
FINITE = st.floats(min_value=-1e6, max_value=1e6)
POSITIVE = st.floats(min_value=1e-6, max_value=1e6)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    """Any continuous distribution."""
    low, high = sorted((draw(FINITE), draw(FINITE)))
    kind = draw(st.sampled_from(["constant", "uniform", "log", "normal", "truncated"]))
    if kind == "constant":
        return Constant(value=low)
    if kind == "uniform":
        return Uniform(low=low, high=high)
    if kind == "log":
        ends = sorted((draw(POSITIVE), draw(POSITIVE)))
        return LogUniform(low=ends[0], high=ends[1])
    if kind == "normal":
        return Normal(mean=low, std=draw(st.floats(0.0, 1e6)))
    assume(high - low > 1e-3)
    mean, std = draw(st.floats(low, high)), (high - low) * draw(st.floats(0.1, 10.0))
    return TruncatedNormal(mean=mean, std=std, low=low, high=high)


@UNHURRIED
@given(distribution=distributions())
def test_quantiles_rise_within_the_support(distribution: Distribution) -> None:
    values = distribution.quantile(RANKS)
    low, high = distribution.support
    # low + (high - low) * rank and the exponential of a logarithm round.
    slack = 1e-12 * max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
    assert values.dtype == torch.float64
    assert values.isfinite().all()
    assert (values.diff() >= -slack).all()
    assert (values >= low - slack).all()
    assert (values <= high + slack).all()


@UNHURRIED
@given(narrow=distributions(), full=distributions(), progress=st.floats(0.0, 1.0))
def test_a_point_between_lies_between_at_every_rank(
    narrow: Distribution, full: Distribution, progress: float
) -> None:
    mixed = Between(narrow=narrow, full=full, progress=progress)
    one, other = narrow.quantile(RANKS), full.quantile(RANKS)
    expected = (1.0 - progress) * one + progress * other
    torch.testing.assert_close(mixed.quantile(RANKS), expected)
    inner = mixed.support
    for end, pair in enumerate(zip(narrow.support, full.support, strict=True)):
        assert min(pair) - 1e-3 <= inner[end] <= max(pair) + 1e-3


def test_the_ends_of_a_way_are_the_distributions_themselves() -> None:
    """Though one of them is infinite."""
    narrow, full = Uniform(low=1.0, high=2.0), Normal(mean=0.0, std=1.0)
    for way in ((narrow, full), (full, narrow)):
        for progress in (0, 1):
            stage = Between(narrow=way[0], full=way[1], progress=progress)
            assert stage.support == way[progress].support
            assert torch.equal(stage.quantile(RANKS), way[progress].quantile(RANKS))


def test_normal_quantiles_are_the_standard_library_s() -> None:
    expected = [NormalDist(2.0, 3.0).inv_cdf(rank) for rank in RANKS.tolist()]
    values = Normal(mean=2.0, std=3.0).quantile(RANKS)
    assert values.tolist() == pytest.approx(expected, rel=1e-9)


@UNHURRIED
@given(rank=st.floats(0.001, 0.999), low=st.floats(-2.0, 0.5), high=st.floats(0.6, 3.0))
def test_a_truncated_normal_has_the_shares_of_the_whole_one(
    rank: float, low: float, high: float
) -> None:
    """The share of the kept mass that lies below its quantile is the rank."""
    kept = TruncatedNormal(mean=0.3, std=0.8, low=low, high=high)
    value = float(kept.quantile(exact(rank)))
    below = NormalDist(0.3, 0.8).cdf
    assert (below(value) - below(low)) / (below(high) - below(low)) == pytest.approx(rank, abs=1e-9)


def test_categories_come_as_often_as_their_weights_say() -> None:
    choice = Categorical(values=(5.0, -1.0, 7.0, 2.0), weights=(1.0, 0.0, 2.0, 1.0))
    ranks = exact(0.0001, 0.2499, 0.25, 0.7499, 0.7501, LARGEST_RANK)
    assert choice.quantile(ranks).tolist() == [5.0, 5.0, 7.0, 7.0, 2.0, 2.0]
    assert choice.support == (-1.0, 7.0)
    assert Categorical(values=(0.1, 0.2)).quantile(exact(0.49, 0.51)).tolist() == [0.1, 0.2]


def test_drawn_ranks_fill_the_unit_interval_evenly() -> None:
    """Kolmogorov-Smirnov: the largest gap stays below its 99.9 % point, 1.95 / sqrt(n)."""
    ranks = draw_ranks(20_000, torch.Generator().manual_seed(0)).sort().values
    even = (torch.arange(20_000) + 0.5) / 20_000
    assert (ranks - even).abs().max() < 1.95 / math.sqrt(20_000)


def test_no_rank_lies_where_tails_are_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.rand may return zero, once in a lifetime."""
    monkeypatch.setattr(torch, "rand", lambda n, **settings: torch.zeros(n, dtype=torch.float64))
    ranks = draw_ranks(3, torch.Generator().manual_seed(0))
    assert Normal(mean=0.0, std=1.0).quantile(ranks).isfinite().all()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Constant, {"value": math.nan}),
        (Uniform, {"low": 2.0, "high": 1.0}),
        (Uniform, {"low": math.nan, "high": 1.0}),
        (Uniform, {"low": 0.0, "high": math.inf}),
        (LogUniform, {"low": 0.0, "high": 1.0}),
        (LogUniform, {"low": 2.0, "high": 1.0}),
        (LogUniform, {"low": 1.0, "high": math.inf}),
        (Normal, {"mean": 0.0, "std": -1.0}),
        (Normal, {"mean": 0.0, "std": math.nan}),
        (TruncatedNormal, {"mean": 0.0, "std": 0.0, "low": -1.0, "high": 1.0}),
        (TruncatedNormal, {"mean": 0.0, "std": 1.0, "low": 1.0, "high": 1.0}),
        (TruncatedNormal, {"mean": 0.0, "std": 1.0, "low": 5.0, "high": 9.0}),
        (Categorical, {"values": ()}),
        (Categorical, {"values": (1.0, math.inf)}),
        (Categorical, {"values": (1.0, 2.0), "weights": (1.0,)}),
        (Categorical, {"values": (1.0, 2.0), "weights": (1.0, -1.0)}),
        (Categorical, {"values": (1.0, 2.0), "weights": (0.0, 0.0)}),
        (
            Between,
            {"narrow": Constant(value=0.0), "full": Constant(value=1.0), "progress": 1.1},
        ),
        (
            Between,
            {
                "narrow": Constant(value=0.0),
                "full": Categorical(values=(0.0, 1.0)),
                "progress": 0.5,
            },
        ),
        (
            Between,
            {
                "narrow": Constant(value=0.0, unit="m"),
                "full": Constant(value=1.0, unit="mm"),
                "progress": 0.5,
            },
        ),
    ],
)
def test_impossible_distributions_are_refused(kind: type, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        kind(**settings)
