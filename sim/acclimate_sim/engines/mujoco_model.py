"""The MuJoCo model of one multirotor, and how another robot is written into it."""

# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# (MuJoCo's bindings come without type information.)

import copy
from functools import cache

import mujoco
import numpy as np
import torch

from acclimate_contract import ConfigError
from acclimate_sim.multirotor.parameters import (
    GRAVITY_M_S2,
    MultirotorParameters,
    motor_directions,
)

BODY = "multirotor"
LEG_TOP, LEG_BOTTOM, LEG_RADIUS = 0.1, -0.3, 0.08
"""Shape of a landing leg in arm lengths: a vertical capsule through each motor, as high above it as
propellers are, so that a robot that tips over lies on its motors."""
CONTACT = (0.006, 2.0)
"""Time constant in s and damping ratio of the floor: a landing at 1 m/s sinks in by about 2 mm and
does not bounce; a ratio of 1 throws the robot up again at an eighth of the speed."""
MAX_TIMESTEP_S = 0.001
ROBOT = 1
"""Index of the robot's body; 0 is the world."""


@cache
def numbers_dtype(num_motors: int) -> np.dtype:
    """All that a model knows of a robot: kg, kg m^2, m, and what 1 N of a motor does to it."""
    return np.dtype(
        [
            ("mass", "f8"),
            ("inertia", "f8", 3),
            ("position", "f8", (num_motors, 2)),
            ("gear", "f8", (num_motors, 6)),
        ]
    )


def numbers(parameters: MultirotorParameters) -> np.ndarray:
    """What models know of robots, (num_envs,) of `numbers_dtype`.

    Thrust curves and lags are not among it: models take thrusts.
    """
    reaction = parameters.torque_coefficient_m.unsqueeze(-1) * parameters.motor_axis
    rows = np.empty(len(parameters), dtype=numbers_dtype(parameters.num_motors))
    for name, value in (
        ("mass", parameters.mass_kg),
        ("inertia", parameters.inertia_kg_m2),
        ("position", parameters.motor_position_m),
        ("gear", torch.cat((parameters.motor_axis, reaction), dim=-1)),
    ):
        rows[name] = value.detach().cpu().numpy()
    return rows


def build_model(
    parameters: MultirotorParameters, *, timestep_s: float, floor: bool
) -> mujoco.MjModel:
    """A free rigid body with the robot's exact mass and inertia.

    Each motor is a site actuator whose control is its thrust in newton; the gear adds the reaction
    torque, so force and torque turn with the body within a step.

    Args:
        parameters: Batch of one.
        timestep_s: Integration step.
        floor: Add the floor and the landing legs; without it nothing can touch anything.
    """
    model = blank_model(floor, parameters.num_motors)
    model.opt.timestep = timestep_s
    write(model, numbers(parameters)[0], mujoco.MjData(model))
    return model


def write(model: mujoco.MjModel, row: np.ndarray, scratch: mujoco.MjData) -> None:
    """Make a model that of another robot, as if it had been compiled from it.

    The tree of bounding boxes alone stays as it is, and nothing reads it (see `_compiled`); the
    extent, by which cameras choose what is near, is exact for evenly spread motors only.

    Args:
        model: From this module.
        row: One of `numbers`.
        scratch: Data of any such model; derived constants are computed in it, in the reference
            pose, so it must not be one that flies.
    """
    model.body_mass[ROBOT] = row["mass"]
    model.body_inertia[ROBOT] = row["inertia"]
    model.site_pos[:, :2] = row["position"]
    model.actuator_gear[:] = row["gear"]
    if model.ngeom:
        _write_legs(model, row["position"])
    mujoco.mj_setConst(model, scratch)
    _write_statistics(model, row)


def blank_model(floor: bool, num_motors: int) -> mujoco.MjModel:
    """A model of no robot in particular, to be written into; a copy of its own for each call."""
    return copy.copy(_compiled(floor, num_motors))


def check_timestep(timestep_s: float) -> None:
    """Refuse what does not converge.

    Raises:
        ConfigError: The step is not positive or above 1 ms.
    """
    if not 0.0 < timestep_s <= MAX_TIMESTEP_S:
        raise ConfigError(
            f"{timestep_s=}: contacts and agile robots need a positive step of at most "
            f"{MAX_TIMESTEP_S} s. Fix: leave the default."
        )


def standing_height_m(parameters: MultirotorParameters) -> float:
    """Height of the centre of mass above the floor while the legs just touch it."""
    return float(np.abs(LEG_BOTTOM) * parameters.arm_length_m[0])


@cache
def _compiled(floor: bool, num_motors: int) -> mujoco.MjModel:
    """Compile a unit robot; compiling every robot takes four times as long as writing it."""
    spec = mujoco.MjSpec()
    spec.modelname = BODY
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    spec.option.gravity = (0.0, 0.0, -GRAVITY_M_S2)
    # A robot that silently jumps back to its start would look like one that recovered.
    spec.option.disableflags = int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    # Boxes around the legs would be those of the unit robot, and so few legs need none.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    if not floor:
        spec.option.disableflags |= _nothing_to_feel()

    body = spec.worldbody.add_body(name=BODY)
    body.add_freejoint()
    body.mass = 1.0
    body.inertia = (1.0, 1.0, 1.0)
    body.explicitinertial = True
    for i, (x, y) in enumerate(motor_directions(num_motors).tolist()):
        body.add_site(name=f"motor_{i}", pos=(x, y, 0.0))
        motor = spec.add_actuator(name=f"motor_{i}", target=f"motor_{i}")
        motor.trntype = mujoco.mjtTrn.mjTRN_SITE
        if floor:
            _add_leg(body, x, y)
    if floor:
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0.0, 0.0, 1.0), solref=CONTACT
        )
    return spec.compile()


def _nothing_to_feel() -> int:
    """Stages of a step that have nothing to do in free flight; they take a third of its time."""
    bits = mujoco.mjtDisableBit
    return int(
        bits.mjDSBL_CONSTRAINT | bits.mjDSBL_SPRING | bits.mjDSBL_DAMPER | bits.mjDSBL_SENSOR
    )


def _add_leg(body: mujoco.MjsBody, x: float, y: float) -> None:
    """Add a leg that collides with the floor only and weighs nothing."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(x, y, LEG_TOP, x, y, LEG_BOTTOM),
        size=(LEG_RADIUS, 0.0, 0.0),
        mass=0.0,
        solref=CONTACT,
    )


def _write_legs(model: mujoco.MjModel, position: np.ndarray) -> None:
    """Shape the legs for motors at `position`, (num_motors, 2) m."""
    arm = float(np.linalg.norm(position, axis=-1).mean())
    top, bottom, radius = LEG_TOP * arm, (LEG_BOTTOM + LEG_RADIUS) * arm, LEG_RADIUS * arm
    half = 0.5 * (top - bottom)
    legs = model.geom_bodyid == ROBOT
    model.geom_pos[legs] = np.column_stack((position, np.full(len(position), 0.5 * (top + bottom))))
    model.geom_size[legs, :2] = radius, half
    model.geom_rbound[legs] = half + radius
    model.geom_aabb[legs, 3:] = radius, radius, half + radius


def _write_statistics(model: mujoco.MjModel, row: np.ndarray) -> None:
    """What MuJoCo computes in compiling only; the solver scales by the mean inertia."""
    model.stat.meanmass = row["mass"]
    model.stat.meaninertia = (3.0 * row["mass"] + row["inertia"].sum()) / 6.0
    unit = _compiled(bool(model.ngeom), model.nu).stat
    scale = np.linalg.norm(row["position"], axis=-1).mean()
    model.stat.extent, model.stat.meansize = scale * unit.extent, scale * unit.meansize
    model.stat.center = scale * unit.center
