"""Robots written into a compiled MuJoCo model, against the same robots compiled from XML."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_sim.engines.mujoco_model import (
    CONTACT,
    blank_model,
    build_model,
    numbers,
    standing_height_m,
    write,
)
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    MultirotorParameters,
    sample,
)

BOXES = ("bvh_aabb", "bvh_child", "bvh_depth", "bvh_nodeid")
"""The tree of bounding boxes, which the model does not use."""


def compiled(robot: MultirotorParameters, *, floor: bool) -> mujoco.MjModel:
    """The same robot by hand, from XML."""
    arm = robot.arm_length_m.item()
    sites, motors, legs = [], [], []
    for i, (x, y) in enumerate(robot.motor_position_m[0].tolist()):
        axis = robot.motor_axis[0, i]
        reaction = robot.torque_coefficient_m[0, i] * axis
        gear = " ".join(repr(g) for g in (*axis.tolist(), *reaction.tolist()))
        sites.append(f'<site name="motor_{i}" pos="{x!r} {y!r} 0"/>')
        motors.append(f'<general name="motor_{i}" site="motor_{i}" gear="{gear}"/>')
        contact = f'solref="{CONTACT[0]} {CONTACT[1]}"'
        ends = f'fromto="{x!r} {y!r} {0.1 * arm!r} {x!r} {y!r} {-0.22 * arm!r}"'
        legs.append(f'<geom type="capsule" {ends} size="{0.08 * arm!r}" mass="0" {contact}/>')
    inertia = " ".join(repr(j) for j in robot.inertia_kg_m2[0].tolist())
    ground = f'<geom type="plane" size="0 0 1" solref="{CONTACT[0]} {CONTACT[1]}"/>'
    return mujoco.MjModel.from_xml_string(
        f"""<mujoco model="multirotor">
        <option integrator="RK4" gravity="0 0 {-GRAVITY_M_S2}"/>
        <worldbody>{ground if floor else ""}<body name="multirotor"><freejoint/>
        <inertial pos="0 0 0" mass="{robot.mass_kg.item()!r}" diaginertia="{inertia}"/>
        {"".join(sites)}{"".join(legs) if floor else ""}</body></worldbody>
        <actuator>{"".join(motors)}</actuator></mujoco>"""
    )


def arrays(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Every number in a model but its options and its tree of boxes."""
    values = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    return {
        name: value.copy()
        for name, value in values.items()
        if isinstance(value, np.ndarray) and name not in BOXES
    }


def assert_same(model: mujoco.MjModel, expected: mujoco.MjModel) -> None:
    ours, theirs = arrays(model), arrays(expected)
    assert len(ours) > 300
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, atol=1e-15, err_msg=name)
    assert model.stat.meaninertia == pytest.approx(expected.stat.meaninertia, rel=1e-12)
    assert model.stat.meanmass == pytest.approx(expected.stat.meanmass, rel=1e-12)
    assert model.stat.extent == pytest.approx(expected.stat.extent, rel=0.3)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), floor=st.booleans())
def test_a_written_robot_is_a_compiled_one(seed: int, floor: bool) -> None:
    """Whoever stood in the model before, to the last constant that MuJoCo derives."""
    robots = sample(DISTRIBUTIONS["diverse"](), 3, torch.Generator().manual_seed(seed))
    model = build_model(robots[:1], timestep_s=0.002, floor=floor)
    scratch = mujoco.MjData(model)
    for i, row in enumerate(numbers(robots)):
        write(model, row, scratch)
        assert_same(model, compiled(robots[i : i + 1], floor=floor))


def test_a_motor_in_the_middle_may_move_out_again() -> None:
    """A model compiled with a site at the origin would never look at its position again."""
    robots = sample(DISTRIBUTIONS["published"](), 2, torch.Generator().manual_seed(0))
    positions = robots.motor_position_m.clone()
    positions[0, 0] = 0.0
    robots = replace(robots, motor_position_m=positions)
    model = build_model(robots[:1], timestep_s=0.001, floor=False)
    data = mujoco.MjData(model)
    write(model, numbers(robots)[1], mujoco.MjData(model))
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.site_xpos[:, :2], positions[1])


def test_blank_models_are_copies() -> None:
    blank_model(False, 4).body_mass[1] = 7.0
    assert blank_model(False, 4).body_mass[1] == 1.0


def test_only_a_floor_costs_contacts() -> None:
    robot = sample(DISTRIBUTIONS["published"](), 1, torch.Generator().manual_seed(0))
    free, standing = (build_model(robot, timestep_s=0.001, floor=floor) for floor in (False, True))
    assert (free.ngeom, standing.ngeom) == (0, 5)
    assert free.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    assert not standing.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONSTRAINT


@pytest.mark.parametrize("depth_m", [-1e-4, 1e-4])
def test_legs_touch_at_standing_height(depth_m: float) -> None:
    robot = sample(DISTRIBUTIONS["published"](), 1, torch.Generator().manual_seed(0))
    model = build_model(robot, timestep_s=0.001, floor=True)
    data = mujoco.MjData(model)
    data.qpos[2] = standing_height_m(robot) - depth_m
    mujoco.mj_forward(model, data)
    assert data.ncon == (4 if depth_m > 0.0 else 0)
