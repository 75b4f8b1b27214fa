"""What adaptation is worth: gaps are counted right, and refused where there is none."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms.gradient_training import by_gradients
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.algorithms.unroll import looped
from acclimate_training.config import TrainCfg
from acclimate_training.evaluation import adaptation
from acclimate_training.evaluation.adaptation import (
    ADAPTIVE,
    FAMILIES,
    ORACLE,
    ROBUST,
    VARIANTS,
    Outcome,
    compare,
    cost_when_lost,
    gap_closed,
    outcome,
    summary,
)
from acclimate_training.parallel import Team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import TrackingCost

CPU = torch.device("cpu")


@pytest.fixture
def _few_short_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "NUM_TEST_ROBOTS", 8)
    monkeypatch.setattr(adaptation, "TEST_STEPS", 5)


def costing(cost: np.ndarray) -> Outcome:
    return Outcome(cost=cost, final_error_m=np.zeros_like(cost), lost=np.zeros_like(cost))


def outcomes(gap: float, share: float, spread: float = 0.0) -> dict[str, Outcome]:
    """Robots of very different difficulty; `spread` is how much the oracle's gain varies."""
    rng = np.random.default_rng(1)
    robust = rng.uniform(1.0, 10.0, size=400)
    gain = gap + spread * rng.normal(size=400)
    return {
        ORACLE: costing(robust - gain),
        ROBUST: costing(robust),
        ADAPTIVE: costing(robust - share * gain + 0.05 * rng.normal(size=400)),
    }


def test_share_of_the_gap_is_between_robust_and_oracle() -> None:
    gap = gap_closed(outcomes(gap=0.5, share=0.8, spread=0.2))
    assert gap["robust_minus_oracle"] == pytest.approx(0.5, abs=0.03)  # three standard errors
    assert gap["standard_error"] == pytest.approx(0.2 / math.sqrt(400), rel=0.15)
    assert list(gap["closed"]) == [ADAPTIVE]
    closed = gap["closed"][ADAPTIVE]
    assert closed["low"] < closed["share"] < closed["high"]
    assert closed["share"] == pytest.approx(0.8, abs=0.02)
    # Robots are drawn together for all variants: their difficulty, which spans 9, cancels.
    assert closed["high"] - closed["low"] < 0.05


def test_share_of_the_robust_policy_itself_is_none_and_that_of_the_oracle_all() -> None:
    for share in (0.0, 1.0):
        flown = outcomes(gap=0.5, share=share, spread=0.2)
        flown[ADAPTIVE] = flown[ORACLE if share else ROBUST]
        assert gap_closed(flown)["closed"][ADAPTIVE] == {
            "share": share,
            "low": share,
            "high": share,
        }


@pytest.mark.parametrize(("gap", "spread"), [(0.0, 0.0), (0.01, 1.0), (-0.5, 0.1)])
def test_gap_within_chance_or_below_zero_is_refused(gap: float, spread: float) -> None:
    result = gap_closed(outcomes(gap=gap, share=0.8, spread=spread))
    assert result["closed"] is None
    assert result["robust_minus_oracle"] <= 2 * result["standard_error"]


def test_summary_is_of_all_in_cost_and_of_survivors_in_error() -> None:
    flown = Outcome(
        cost=np.array([1.0, 2.0, 3.0, 6.0]),
        final_error_m=np.array([0.1, 0.2, 0.3, 0.0]),
        lost=np.array([0.0, 0.0, 0.0, 1.0]),
    )
    assert summary(flown) == {
        "cost": 3.0,
        "cost_standard_error": pytest.approx(math.sqrt(14 / 4) / 2),
        "final_error_median_m": pytest.approx(0.2),
        "lost": 0.25,
    }
    nobody = Outcome(cost=flown.cost, final_error_m=flown.final_error_m, lost=np.ones(4))
    assert summary(nobody)["final_error_median_m"] is None


def test_every_step_after_a_loss_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two motors at full thrust spin robots out of control; training charges only until then."""
    monkeypatch.setattr(adaptation, "NUM_TEST_ROBOTS", 8)
    monkeypatch.setattr(adaptation, "TEST_STEPS", steps := 25)
    policy = MultirotorPolicy(PolicyCfg(cell="none", integrate=False))
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias.copy_(torch.tensor([9.0, 9.0, -9.0, -9.0]))
    flown = outcome(policy, "delayed")
    generator = torch.Generator().manual_seed(adaptation.TEST_SEED)
    batch = draw_episodes(DISTRIBUTIONS["delayed"](), Situations(), 8, steps, generator)
    weights = TrackingCost()
    with torch.no_grad():
        unroll = looped(make_step(policy, weights, Taming()))
        until_lost = fly(policy, unroll, batch, weights)
    np.testing.assert_array_equal(flown.lost, until_lost.lost.numpy())
    assert 0 < flown.lost.sum() < 8
    missed = (steps * flown.cost - until_lost.robot_cost.numpy()) / cost_when_lost(weights)
    np.testing.assert_allclose(missed, missed.round(), atol=1e-3)  # sums of 25 float32 numbers
    assert ((missed.round() >= 1) == (flown.lost == 1)).all()
    # 8 m, twice what is beyond 0.5 m, and what any distance costs: see TrackingCost.
    assert cost_when_lost(weights) == pytest.approx(8.0 + 2 * 7.5 + weights.away, abs=0.03)


def test_variants_are_of_equal_size_and_only_the_oracle_knows() -> None:
    sizes = {name: MultirotorPolicy(cfg).num_parameters for name, cfg in VARIANTS.items()}
    assert len(sizes) == 6
    assert all(2000 <= size <= 2084 for size in sizes.values()), sizes
    assert [name for name, cfg in VARIANTS.items() if cfg.privileged] == [ORACLE]
    memories = {name: MultirotorPolicy(cfg).memory_width for name, cfg in VARIANTS.items()}
    assert [name for name, width in memories.items() if width] == [
        "integral alone",
        "frame stack",
        ADAPTIVE,
    ]


@pytest.mark.usefixtures("_few_short_flights")
def test_every_variant_is_trained_once_and_flown_on_every_family() -> None:
    trained: list[PolicyCfg] = []
    said: list[str] = []

    def train(policy: PolicyCfg) -> MultirotorPolicy:
        trained.append(policy)
        cfg = TrainCfg(
            out=Path("unused"),
            space="delayed",
            policy=policy,
            iterations=2,
            num_envs=4,
            first_horizon=3,
            last_horizon=3,
            compile=False,
        )
        algorithm = by_gradients(cfg, CPU, Team())
        for i in range(cfg.iterations):
            algorithm.iterate(i)
        learner = algorithm.parts["policy"]
        assert isinstance(learner, MultirotorPolicy)
        return learner

    figures = compare(train, said.append)
    assert trained == list(VARIANTS.values())
    assert said == [*VARIANTS, *(f"flying: {family}" for family in FAMILIES)]
    assert figures["parameters"][ADAPTIVE] == 2068
    for family in FAMILIES:
        assert figures[family]["variants"].keys() == VARIANTS.keys()
        for row in figures[family]["variants"].values():
            assert all(math.isfinite(value) for value in row.values())
        assert figures[family]["gap"].keys() == {
            "robust_minus_oracle",
            "standard_error",
            "closed",
        }


@pytest.mark.usefixtures("_few_short_flights")
def test_test_robots_are_the_same_for_every_policy_and_differ_between_families() -> None:
    policy = MultirotorPolicy(PolicyCfg())
    known, again = outcome(policy, "delayed"), outcome(policy, "delayed")
    np.testing.assert_array_equal(known.cost, again.cost)
    assert (known.cost != outcome(policy, "held_out").cost).any()
