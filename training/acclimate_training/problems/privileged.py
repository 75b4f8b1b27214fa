"""What only a simulator knows: the inputs of oracles and teachers."""

import torch
from torch import Tensor

from acclimate_sim.multirotor import (
    GRAVITY_M_S2,
    Disturbances,
    Imperfections,
    MultirotorParameters,
    MultirotorState,
)


def num_privileged(num_motors: int) -> int:
    """Width of what is known of robots with so many motors."""
    return 13 + 7 * num_motors


def privileged(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    now: Disturbances,
    state: MultirotorState,
    actions: Tensor,
) -> Tensor:
    """The true robot and what happens to it (num_envs, num_privileged), each of order one.

    Thrust-to-weight, torque-to-inertia, reaction torque, motor lag, thrust curve, hover setpoint,
    each motor's strength and position, delay, force, wind, battery, motor speeds; and the
    three newest actions, some of which a delay keeps from the motors.

    Args:
        robots: The robots as they were built.
        imperfections: Of the robots.
        now: What happens in this step; changes in mid-flight are applied.
        state: The true state.
        actions: (num_envs, taps, num_motors), the newest first.
    """
    strength = now.thrust_factor * robots.thrust_curve_n.sum(-1)
    weight = robots.mass_kg * now.mass_factor * GRAVITY_M_S2
    total = robots.max_thrust_n.unsqueeze(-1)
    delay = imperfections.control_delay_s * now.delay_factor
    arm = robots.arm_length_m
    recent = actions[:, :3].flatten(1)
    columns = (
        torch.log(strength.sum(-1) / weight) - 1.0,
        0.5 * torch.log(robots.torque_to_inertia / 300.0),
        20.0 * robots.torque_coefficient_m[:, 0].abs() - 0.5,
        20.0 * robots.rise_time_s[:, 0] - 1.0,
        5.0 * robots.fall_time_s[:, 0] - 0.8,
        robots.thrust_curve_n[:, 0, 0] / total[:, 0] * 40.0,
        robots.thrust_curve_n[:, 0, 1] / total[:, 0] * 4.0 - 0.5,
        2.0 * robots.hover_speed - 1.0,
        50.0 * delay - 0.5,
        10.0 * imperfections.voltage_sag,
        imperfections.rotor_drag_1_s,
    )
    wide = (
        4.0 * strength / strength.mean(-1, keepdim=True) - 4.0,
        10.0 * (robots.motor_position_m.mean(1) / arm.unsqueeze(-1)),
        5.0 * now.force_n / weight.unsqueeze(-1),
        0.2 * now.wind_m_s,
        2.0 * state.motor_speed - 1.0,
        torch.log(weight / 10.0).unsqueeze(-1) * 0.3,
        torch.log(arm / 0.1).unsqueeze(-1),
        torch.nn.functional.pad(recent, (0, 12 - recent.shape[1])),
    )
    return torch.cat((torch.stack(columns, dim=-1), *wide), dim=-1)
