"""A robot that breaks is named, and met again alone."""

from dataclasses import replace

import pytest
import torch

from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.multirotor import published, resting, sample
from acclimate_sim.multirotor.sampling import build
from acclimate_sim.randomization import check_finite

SEED, N = 3, 20


def broken_state(*envs: int) -> dict[str, torch.Tensor]:
    position = torch.zeros(N, 3)
    position[list(envs), 1] = float("nan")
    return vars(replace(resting(N, like=position), position=position))


def test_finite_states_pass() -> None:
    check_finite(broken_state(), published(), SEED)


def test_the_broken_robot_is_named_with_its_parameters() -> None:
    with pytest.raises(SimulationError) as told:
        check_finite(broken_state(17, 19), published(), SEED)
    message = str(told.value)
    assert "position of robot 17 of seed 3 of 'quadrotor/published', and 1 more" in message
    assert "numbered(3, [17])" in message
    alone = published().numbered(SEED, [17])
    for name, values in alone.items():
        assert f"'{name}': {float(values)!r}" in message


def test_a_batch_of_chosen_robots_tells_their_own_numbers() -> None:
    numbers = [100 + env for env in range(N)]
    with pytest.raises(SimulationError, match="robot 105 of seed 3 of"):
        check_finite(broken_state(5), published(), SEED, numbers)


def test_everything_that_broke_is_named() -> None:
    values = broken_state(2) | {"cost": torch.full((N,), float("inf"))}
    values["cost"][:2] = 0.0
    with pytest.raises(SimulationError, match="position and cost of robot 2 "):
        check_finite(values, published(), SEED)


def test_the_replayed_robot_is_the_very_one_that_flew() -> None:
    """To the last bit, built and all: alone, in its batch, and in a larger one."""
    alone = build(published().numbered(SEED, [17]))
    for n in (18, 20, 100):
        batch = sample(published(), n, torch.Generator().manual_seed(SEED))
        for name, values in vars(alone).items():
            assert torch.equal(getattr(batch, name)[17:18], values), (n, name)
