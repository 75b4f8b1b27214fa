"""MuJoCo Warp: against MuJoCo itself (slow: kernels compile), and what needs no kernel."""

import sys
from collections.abc import Callable
from dataclasses import replace
from enum import IntFlag
from functools import partial

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim.engines import mujoco_warp_batch
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.mujoco_batch import MujocoBatch
from acclimate_sim.engines.mujoco_warp_batch import MujocoWarp, common_length, refuse_overflow
from acclimate_sim.engines.period import begin
from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    Engine,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    reset,
    resting,
    sample,
)


def crew(n: int, seed: int = 0) -> tuple[MultirotorParameters, MultirotorState, torch.Tensor]:
    """Robots, states, actions."""
    generator = torch.Generator().manual_seed(seed)
    robots = sample(DISTRIBUTIONS["diverse"](), n, generator)
    action = torch.rand(n, 4, generator=generator, dtype=torch.float64) - 0.5
    return robots, reset(robots, InitialStates(), generator), action


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    with pytest.raises(ConfigError, match=r"mujoco-warp.*pip install 'acclimate\[warp\]'"):
        make_engine("mujoco_warp")


def test_periods_must_be_equal() -> None:
    robots, state, action = crew(2)
    for lengths, fine in (([0.01, 0.01], True), ([0.01, 0.02], False)):
        period = begin(robots, state, action, torch.tensor(lengths), None, None, device="cpu")
        if fine:
            assert common_length(period) == pytest.approx(0.01)
        else:
            with pytest.raises(ConfigError, match=r"periods of this call differ.*Fix:.*mujoco"):
                common_length(period)


def test_contacts_without_room_are_an_error() -> None:
    class Kinds(IntFlag):
        NEFC = 1
        NJMAX_NNZ = 2
        BROADPHASE = 4
        NARROWPHASE = 8
        CCD = 16
        ITERATIONS = 32

    refuse_overflow(torch.tensor([0, 32, 0]), Kinds)
    with pytest.raises(SimulationError, match=r"^robots 0, 2 touched.*Fix:") as error:
        refuse_overflow(torch.tensor([1, 32, 40]), Kinds)
    assert error.value.rows == (0, 2)


@pytest.fixture
def make_warp() -> Callable[..., Engine]:
    """Builds the engine on the CPU, where it is installed."""
    pytest.importorskip("mujoco_warp")
    return partial(MujocoWarp, device="cpu")


@pytest.mark.slow
def test_each_step_is_that_of_mujoco(make_warp: Callable[..., Engine]) -> None:
    """Different robots, one payload, 50 periods of a state that MuJoCo carries on: 1e-5 each."""
    robots, state, action = crew(4)
    warp, exact = make_warp(), MujocoBatch(threads=1)
    force, torque = torch.full((2, 4, 3), 0.01).unbind(0)
    for i in range(50):
        loaded = torch.tensor([1.0, 1.0, 1.5 if i > 25 else 1.0, 1.0])
        crowd = replace(robots, mass_kg=robots.mass_kg * loaded)
        inputs = (crowd, state, action * (-1) ** (i // 5), 0.002)
        forces = {"external_force_n": force, "external_torque_nm": torque * 1e-2}
        ours, theirs = warp(*inputs, **forces), exact(*inputs, **forces)
        assert (ours.position - theirs.position).abs().max() < 1e-5
        assert (ours.orientation - theirs.orientation).abs().max() < 1e-5
        scale = 1.0 + theirs.angular_velocity.abs().max()
        assert (ours.angular_velocity - theirs.angular_velocity).abs().max() < 1e-5 * scale
        state = theirs


@pytest.mark.slow
def test_landing_is_that_of_mujoco(make_warp: Callable[..., Engine]) -> None:
    robots, _, _ = crew(4)
    floor_m = torch.tensor([0.0, 1.0, 0.0, -3.0])
    start = resting(4, like=robots.mass_kg)
    height = floor_m + 0.3 * robots.arm_length_m + 0.02
    start = replace(start, position=torch.stack((height, height, height), dim=-1))
    ends = []
    for engine in (make_warp(floor_m=floor_m), MujocoBatch(floor_m=floor_m)):
        state = start
        for _ in range(20):
            state = engine(robots, state, -torch.ones(4, 4), 0.02)
        ends.append(state)
    assert (ends[0].position - ends[1].position).abs().max() < 1e-4
    assert ends[1].linear_velocity.abs().max() < 1e-2


@pytest.mark.slow
def test_a_world_without_room_for_its_contacts_is_named(
    make_warp: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One robot stands, the other is in the air."""
    monkeypatch.setattr(mujoco_warp_batch, "CONSTRAINTS", 4)
    robots, _, _ = crew(2)
    state = resting(2, like=robots.mass_kg)
    position = torch.zeros(2, 3).double()
    position[0, 2] = 0.29 * robots.arm_length_m[0]
    position[1, 2] = 5.0
    engine = make_warp(floor_m=0.0)
    with pytest.raises(SimulationError, match="robot 0 touched"):
        engine(robots, replace(state, position=position), -torch.ones(2, 4), 0.01)
