"""The MuJoCo model of one quadrotor, built from its parameters."""

# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# (MuJoCo's bindings come without type information.)

import mujoco
import numpy as np

from acclimate_sim.quadrotor.parameters import GRAVITY_M_S2, MOTOR_SPIN, QuadrotorParameters

BODY = "quadrotor"
LEG_TOP, LEG_BOTTOM, LEG_RADIUS = 0.1, -0.3, 0.08
"""Shape of a landing leg in arm lengths: a vertical capsule through each motor, as high above it as
propellers are, so that a robot that tips over lies on its motors."""
CONTACT = (0.006, 2.0)
"""Time constant in s and damping ratio of the floor: a landing at 1 m/s sinks in by about 2 mm and
does not bounce; a ratio of 1 throws the robot up again at an eighth of the speed."""


def build_model(
    parameters: QuadrotorParameters, *, timestep_s: float, floor: bool
) -> mujoco.MjModel:
    """Compile a free rigid body with the robot's exact mass and inertia.

    Each motor is a site actuator whose control is its thrust in newton; the gear adds the reaction
    torque, so force and torque turn with the body within a step.

    Args:
        parameters: Batch of one.
        timestep_s: Integration step.
        floor: Add the floor and the landing legs; without it nothing can touch anything.
    """
    spec = mujoco.MjSpec()
    spec.modelname = BODY
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    spec.option.gravity = (0.0, 0.0, -GRAVITY_M_S2)
    # A robot that silently jumps back to its start would look like one that recovered.
    spec.option.disableflags = int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)

    body = spec.worldbody.add_body(name=BODY)
    body.add_freejoint()
    body.mass = float(parameters.mass_kg[0])
    body.inertia = parameters.inertia_kg_m2[0].cpu().double().numpy()
    body.explicitinertial = True

    arm = float(parameters.arm_length_m[0])
    positions = parameters.motor_position_m[0].cpu().double().numpy()
    reactions = parameters.torque_coefficient_m[0].cpu().double().numpy()
    axes = parameters.motor_axis[0].cpu().double().numpy()
    for i, ((x, y), reaction) in enumerate(zip(positions, reactions, strict=True)):
        body.add_site(name=f"motor_{i}", pos=(x, y, 0.0))
        motor = spec.add_actuator(name=f"motor_{i}", target=f"motor_{i}")
        motor.trntype = mujoco.mjtTrn.mjTRN_SITE
        motor.gear = (*axes[i], *(MOTOR_SPIN[i] * reaction * axes[i]))
        if floor:
            _add_leg(body, x, y, arm)
    if floor:
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0.0, 0.0, 1.0), solref=CONTACT
        )
    return spec.compile()


def _add_leg(body: mujoco.MjsBody, x: float, y: float, arm: float) -> None:
    """Add a leg that collides with the floor only and weighs nothing."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(x, y, LEG_TOP * arm, x, y, (LEG_BOTTOM + LEG_RADIUS) * arm),
        size=(LEG_RADIUS * arm, 0.0, 0.0),
        mass=0.0,
        solref=CONTACT,
    )


def standing_height_m(parameters: QuadrotorParameters) -> float:
    """Height of the centre of mass above the floor while the legs just touch it."""
    return float(np.abs(LEG_BOTTOM) * parameters.arm_length_m[0])
