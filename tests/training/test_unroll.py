"""Unrolled flights: compiled or not, the same numbers and the same gradient."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest
import torch
from torch import Tensor, nn

from acclimate_sim.fused import UnsupportedStepError
from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_sim.trees import pack, unpack
from acclimate_training.algorithms import unroll as unroll_module
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.algorithms.imitation import give_lesson, make_lesson_step
from acclimate_training.algorithms.meta_imitation import make_classroom
from acclimate_training.algorithms.unroll import looped, make_unroll
from acclimate_training.config import ImitationCfg, TrainCfg
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import Episodes, TrackingCost

WEIGHTS = TrackingCost()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A tree that may have a hole."""

    wide: Tensor
    narrow: Tensor
    absent: Tensor | None = None


@pytest.fixture(params=["fused", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One way to unroll alone; torch's compiler, which takes a minute for a quadrotor, left out."""
    if request.param == "fused":
        monkeypatch.setattr(unroll_module, "CompiledFlow", _unsupported)
    else:
        monkeypatch.setattr(unroll_module, "FusedFlow", _unsupported)
        monkeypatch.setattr(torch, "compile", lambda graph, **options: graph)


def _unsupported(*_: object) -> None:
    raise UnsupportedStepError


def test_rows_give_back_the_tree_that_was_packed() -> None:
    """A memory without columns included."""
    none = torch.zeros(5, 0)
    tree = (Pair(wide=torch.randn(5, 2, 3), narrow=torch.randn(5), absent=none), torch.randn(5, 4))
    rows = pack(tree)
    assert rows.shape == (6 + 1 + 4, 5)
    assert rows.is_contiguous()
    pair, last = unpack(rows, tree)
    assert pair.absent is not None
    assert torch.equal(pair.absent, none)
    assert torch.equal(pair.wide, tree[0].wide)
    assert torch.equal(pair.narrow, tree[0].narrow)
    assert torch.equal(last, tree[1])


def leaky_step(layer: nn.Linear) -> Callable[..., tuple[Pair, Tensor, Tensor]]:
    """A leaky integrator that learns what it leaks."""

    def step(gain: Tensor, carry: Pair, moment: Tensor) -> tuple[Pair, Tensor, Tensor]:
        level = torch.tanh(layer(carry.wide)) + gain * moment
        after = Pair(wide=level, narrow=carry.narrow + level.sum(-1))
        return after, level.square().sum(-1), after.narrow

    return step


@pytest.mark.parametrize("without", ["FusedFlow", "CompiledFlow"])
def test_compiler_changes_no_number(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    monkeypatch.setattr(unroll_module, without, _unsupported)
    torch.manual_seed(0)
    layer, gain = nn.Linear(3, 3), torch.randn(4, 3)
    start = Pair(wide=torch.randn(4, 3), narrow=torch.zeros(4))
    moments = torch.randn(6, 4, 3)
    answers = []
    for compile in (False, True):
        unroll = make_unroll(leaky_step(layer), layer, compile=compile)
        last, (squares, sums) = unroll((gain,), start, moments)
        assert squares.shape == sums.shape == (6, 4)
        gradients = torch.autograd.grad((squares * sums).sum(), tuple(layer.parameters()))
        answers.append((last.wide.detach(), squares.detach(), sums.detach(), *gradients))
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("way")
def test_what_is_learned_between_two_flights_is_flown_in_the_second() -> None:
    layer = nn.Linear(3, 3)
    start = Pair(wide=torch.randn(4, 3), narrow=torch.zeros(4))
    unroll = make_unroll(leaky_step(layer), layer, compile=True)
    flown = []
    for _ in range(2):
        _, (squares, _) = unroll((torch.ones(4, 3),), start, torch.zeros(1, 4, 3))
        flown.append(squares.detach())
        with torch.no_grad():
            layer.weight.add_(0.5)
    assert (flown[0] - flown[1]).abs().max() > 1e-3


def everything_happens(num_envs: int = 6, num_steps: int = 15) -> Episodes:
    situations = Situations(**{f.name: 1.0 for f in fields(Situations)})
    generator = torch.Generator().manual_seed(0)
    space = DISTRIBUTIONS["diverse"]()
    return draw_episodes(space, situations, num_envs, num_steps, generator, preview=True)


@pytest.mark.usefixtures("way")
def test_flight_from_rows_to_rows_has_the_gradient_of_the_step_as_written() -> None:
    torch.manual_seed(0)
    policy = MultirotorPolicy(PolicyCfg(time_aware=True, preview=True))
    taming = Taming(state_damping=0.9, max_robot_gradient=0.01)  # tight enough to matter
    batch, step = everything_happens(), make_step(policy, WEIGHTS, taming)
    gradients, costs = [], []
    for unroll in (looped(step), make_unroll(step, policy, compile=True)):
        rollout = fly(policy, unroll, batch, WEIGHTS)
        costs.append(rollout.robot_cost)
        gradients.append(torch.autograd.grad(rollout.cost, tuple(policy.parameters())))
    torch.testing.assert_close(*costs)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.usefixtures("way")
def test_lesson_from_rows_to_rows_has_the_gradient_of_the_step_as_written() -> None:
    torch.manual_seed(0)
    cfg = TrainCfg(
        algorithm="meta-imitation",
        imitation=ImitationCfg(teacher_width=8, latent=2),
        policy=PolicyCfg(time_aware=True, preview=True),
    )
    room, offsets = make_classroom(cfg, torch.device("cpu")), torch.tensor([[0.1, 0.0, -0.1]])
    batch, step = everything_happens(), make_lesson_step(room)
    gradients = []
    for unroll in (looped(step), make_unroll(step, room.learners, compile=True)):
        lesson = give_lesson(room, unroll, batch, offsets, student_flies=True)
        gradients.append(torch.autograd.grad(lesson.loss, tuple(room.learners.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * theirs.abs().max().item())
