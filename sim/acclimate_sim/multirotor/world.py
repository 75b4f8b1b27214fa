"""One control period of a robot in its world: sense, actuate, advance.

Around the equations of motion (`dynamics`) stand the robot's `Imperfections` and the
`Disturbances` of the moment. Drag, ground effect and battery change little within a period and
are held over it; everything else is integrated.
"""

from dataclasses import replace

import torch
from torch import Tensor

from acclimate_sim.multirotor.disturbances import Disturbances
from acclimate_sim.multirotor.dynamics import Engine, step
from acclimate_sim.multirotor.imperfections import Imperfections
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState
from acclimate_sim.rotations import body_z, quat_multiply

NEAREST_GROUND = 0.5
"""Largest R / 4 z of the ground effect: closer to the floor its equation no longer holds."""


def measure(
    imperfections: Imperfections, now: Disturbances, state: MultirotorState, last: MultirotorState
) -> MultirotorState:
    """What the sensors say: the truth with bias and noise, or the last reading on a dropout.

    The motors' speed is passed on as it is; policies do not see it.
    """
    scale = imperfections.sensor_noise.repeat_interleave(3, dim=-1)
    error = imperfections.sensor_bias + scale * now.sensor_noise
    position, turn, velocity, rate = error.split(3, dim=-1)
    half = torch.cat((torch.ones_like(turn[:, :1]), 0.5 * turn), dim=-1)
    orientation = torch.nn.functional.normalize(quat_multiply(half, state.orientation), dim=-1)
    held = now.dropout.unsqueeze(-1)
    return MultirotorState(
        position=torch.lerp(state.position + position, last.position, held),
        orientation=torch.lerp(orientation, last.orientation, held),
        linear_velocity=torch.lerp(state.linear_velocity + velocity, last.linear_velocity, held),
        angular_velocity=torch.lerp(state.angular_velocity + rate, last.angular_velocity, held),
        motor_speed=state.motor_speed,
    )


def delayed(imperfections: Imperfections, now: Disturbances, actions: Tensor) -> Tensor:
    """What reaches the motors during this step.

    Args:
        imperfections: Of the robots.
        now: This step.
        actions: (num_envs, taps, num_motors), this step's answer first, then the older ones.

    Returns:
        (num_envs, num_motors), the mean of the delayed setpoints over the step: a motor with a lag
        much longer than a step cannot tell it from the switch in the middle of it. Delays beyond
        the last tap are those of the last tap.
    """
    taps = actions.shape[1]
    steps = imperfections.control_delay_s * now.delay_factor / now.time_step_s
    steps = steps.clamp(max=taps - 1.0).unsqueeze(-1)
    ages = torch.arange(taps, device=actions.device, dtype=actions.dtype)
    weights = torch.relu(1.0 - (steps - ages).abs())
    return (weights.unsqueeze(-1) * actions).sum(1)


def advance(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    now: Disturbances,
    state: MultirotorState,
    setpoint: Tensor,
    engine: Engine = step,
) -> MultirotorState:
    """Move every robot through one step with what reaches its motors, (num_envs, num_motors).

    Air, ground effect, battery and payload are the same in every engine.
    """
    changed = replace(
        robots,
        mass_kg=robots.mass_kg * now.mass_factor,
        thrust_curve_n=robots.thrust_curve_n
        * (now.thrust_factor * _lift(imperfections, state)).unsqueeze(-1),
    )
    # Drag is per mass of the robot as it was built: a payload meets no air.
    force = now.force_n + robots.mass_kg.unsqueeze(-1) * _drag(imperfections, now, state)
    return engine(changed, state, setpoint, now.time_step_s, external_force_n=force)


def _lift(imperfections: Imperfections, state: MultirotorState) -> Tensor:
    """Factor on all thrusts (num_envs, 1) from the battery and the ground.

    Current grows with the cube of the motor speed and thrust with the square of the voltage.
    Ground effect: Cheeseman and Bennett 1955, 1 / (1 - (R / 4 z)^2), with z above the floor.
    """
    load = state.motor_speed.pow(3).mean(-1)
    battery = (1.0 - imperfections.voltage_sag * load).square()
    height = (state.position[:, 2] - imperfections.floor_m).clamp_min(1e-3)
    ratio = (imperfections.rotor_radius_m / (4.0 * height)).clamp_max(NEAREST_GROUND)
    ground = 1.0 / (1.0 - ratio.square())
    return (battery * ground).unsqueeze(-1)


def _drag(imperfections: Imperfections, now: Disturbances, state: MultirotorState) -> Tensor:
    """Acceleration (num_envs, 3) by the air, world frame."""
    through_air = state.linear_velocity - now.wind_m_s
    speed = torch.sqrt(through_air.square().sum(-1, keepdim=True) + 1e-6)
    body = imperfections.body_drag_1_m.unsqueeze(-1) * speed * through_air
    spin = imperfections.rotor_drag_1_s * state.motor_speed.mean(-1)
    up = body_z(state.orientation)
    in_plane = through_air - (through_air * up).sum(-1, keepdim=True) * up
    return -body - spin.unsqueeze(-1) * in_plane
