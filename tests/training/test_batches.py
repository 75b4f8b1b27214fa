"""Batches of robots: the same however many processes share them."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms import algorithm, batches
from acclimate_training.algorithms.algorithm import fresh_episodes, fresh_origin
from acclimate_training.algorithms.meta_imitation import draw_for, origin_for
from acclimate_training.config import ImitationCfg, TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.multirotor_tracking import Episodes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BLOCK", 3)


def run(num_envs: int, **changes: Any) -> TrainCfg:
    harsh = {"space": "delayed", "situations": "harsh", "policy": PolicyCfg(preview=True)}
    return TrainCfg(out=Path("unused"), num_envs=num_envs, **{**harsh, **changes})


def by_robot(tree: Any, axis: int = 0) -> dict[str, Tensor]:
    """All tensors of a batch with the robots first, by name."""
    if isinstance(tree, Tensor):
        return {"": tree.movedim(axis, 0)}
    found = {}
    for field in fields(tree) if is_dataclass(tree) else ():
        later = field.name in ("reference", "preview", "disturbances")
        branch = by_robot(getattr(tree, field.name), 1 if later else axis)
        found |= {f"{field.name}.{name}": leaf for name, leaf in branch.items()}
    return found


def shares(cfg: TrainCfg, size: int) -> list[Episodes]:
    return [draw_for(cfg, CPU, Team(rank=rank, size=size))(5, 4) for rank in range(size)]


@settings(max_examples=15, deadline=None)
@given(each=st.integers(1, 5), size=st.integers(1, 5))
def test_processes_together_fly_what_one_would_alone(each: int, size: int) -> None:
    cfg = run(each * size)
    (whole,) = (by_robot(share) for share in shares(cfg, 1))
    parts = [by_robot(share) for share in shares(cfg, size)]
    assert len(whole) > 30
    for name, leaf in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), leaf), name


def test_no_robot_of_a_batch_is_like_another() -> None:
    masses = fresh_episodes(run(8), CPU, Team())(5, 4).robots.mass_kg.tolist()
    assert len(set(masses)) == 8


def test_only_blocks_of_the_share_are_drawn() -> None:
    drawn = []

    def draw_block(number: int, envs: range) -> Episodes:
        drawn.append((number, envs))
        return whole

    whole = fresh_episodes(run(3), CPU, Team())(0, 4)
    share = batches.draw_share(draw_block, 100, Team(rank=12, size=25))
    assert drawn == [(16, range(48, 51)), (17, range(51, 54))]
    assert len(share.robots) == 4


def test_every_share_has_equally_many_of_each_teacher_side_by_side() -> None:
    imitation = ImitationCfg(teachers=2, teacher_iterations=1)
    cfg = run(8, algorithm="meta-imitation", imitation=imitation)
    (whole,) = (by_robot(share) for share in shares(cfg, 1))
    first, second = (by_robot(share) for share in shares(cfg, 2))
    assert len(set(whole["robots.mass_kg."].tolist())) == 2
    for name, leaf in whole.items():
        sides = [part[name].chunk(2) for part in (first, second)]
        by_teacher = torch.cat([sides[0][0], sides[1][0], sides[0][1], sides[1][1]])
        assert torch.equal(by_teacher, leaf), name


@pytest.mark.parametrize("teachers", ["privileged", 2])
@pytest.mark.parametrize("size", [1, 2])
def test_origin_draws_a_robot_of_a_batch_again(
    teachers: Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algorithm, "BLOCK", batches.BLOCK)
    imitation = ImitationCfg(teachers=teachers, teacher_iterations=1)
    cfg = run(8, algorithm="meta-imitation", imitation=imitation)
    drawn = torch.cat([share.robots.thrust_to_weight for share in shares(cfg, size)])
    space, again = DISTRIBUTIONS[cfg.space](), []
    for env in range(8):
        seed, number = origin_for(cfg, Team(size=size))(5, env)
        again.append(space.numbered(seed, [number])["thrust_to_weight"])
    # In float32 the ratio is computed again, of force, mass and gravity.
    torch.testing.assert_close(drawn, torch.cat(again).float(), rtol=1e-6, atol=0.0)


def test_origin_of_another_iteration_is_another_seed() -> None:
    origin = fresh_origin(run(8))
    assert origin(5, 0) != origin(6, 0)
