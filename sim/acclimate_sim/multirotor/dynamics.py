"""Equations of motion of a multirotor and their integration.

Rigid body with first-order motors (Eschmann et al. 2025, arXiv 2509.11481, methods; checked
against the l2f simulator):

    p' = v                     v' = (R(q) sum f_i a_i + F) / m - [0, 0, g]
    q' = q * [0, w] / 2        w' = J^-1 (sum r_i x f_i a_i + c_i f_i a_i + M - w x J w)
    n' = (u - n) / T           f_i = c0 + c1 n_i + c2 n_i^2,  T = T_rise if u >= n else T_fall

where a_i is the axis of motor i, the body's z axis unless it is tilted.

One fourth-order Runge-Kutta step per control period converges for 10 ms; Euler does not, and a
policy trained through it learns the integrator. Every stage is assembled by a single `stack`:
written component by component, `torch.compile` expands the expressions without end.
"""

from typing import Protocol

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import GRAVITY_M_S2, MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState


class Engine(Protocol):
    """Whatever moves robots through one control period as `step` does.

    Engines keep nothing that matters between calls: robots and states may be others each time,
    so that a subset is reset by replacing its rows. They may keep what is dear to build anew.
    An engine raises a ConfigError for what it cannot do rather than leave it out.
    """

    def __call__(
        self,
        parameters: MultirotorParameters,
        state: MultirotorState,
        action: Tensor,
        dt_s: float | Tensor,
        *,
        external_force_n: Tensor | None = None,
        external_torque_nm: Tensor | None = None,
    ) -> MultirotorState:
        """Advance every robot by one control period; see `step`."""
        ...


def step(
    parameters: MultirotorParameters,
    state: MultirotorState,
    action: Tensor,
    dt_s: float | Tensor,
    *,
    external_force_n: Tensor | None = None,
    external_torque_nm: Tensor | None = None,
) -> MultirotorState:
    """Advance every robot by one control period with one Runge-Kutta step.

    Args:
        parameters: The robots.
        state: Where they are.
        action: (num_envs, num_motors), motor setpoints, clamped to [-1, 1] here.
        dt_s: Control period, one for all or (num_envs,).
        external_force_n: (num_envs, 3), world frame, or none.
        external_torque_nm: (num_envs, 3), body frame, or none.

    Returns:
        The state `dt_s` later: quaternion normalised, motor speeds within [0, 1].
    """
    setpoint = (0.5 * (action.clamp(-1.0, 1.0) + 1.0)).T
    start = _pack(state)
    acceleration = torch.zeros_like(start[0:3])
    if external_force_n is not None:
        acceleration = external_force_n.T / parameters.mass_kg
    torque = torch.zeros_like(start[0:3]) if external_torque_nm is None else external_torque_nm.T
    allocation = _allocation(parameters)

    def derivative(rows: Tensor) -> Tensor:
        return _derivative(parameters, allocation, rows, setpoint, acceleration, torque)

    k1 = derivative(start)
    k2 = derivative(start + 0.5 * dt_s * k1)
    k3 = derivative(start + 0.5 * dt_s * k2)
    k4 = derivative(start + dt_s * k3)
    return _unpack(start + dt_s / 6.0 * (k1 + 2.0 * (k2 + k3) + k4))


def _allocation(parameters: MultirotorParameters) -> Tensor:
    """What a newton of each motor does to the body (6, num_motors, num_envs).

    Acceleration along the body's axes, then torque about them.
    """
    x, y = (axis.T for axis in parameters.motor_position_m.unbind(-1))
    ax, ay, az = (axis.T for axis in parameters.motor_axis.unbind(-1))
    reaction = parameters.torque_coefficient_m.T
    return torch.stack(
        (
            ax / parameters.mass_kg,
            ay / parameters.mass_kg,
            az / parameters.mass_kg,
            y * az + reaction * ax,
            reaction * ay - x * az,
            x * ay - y * ax + reaction * az,
        )
    )


def _pack(state: MultirotorState) -> Tensor:
    """Rows (13 + num_motors, num_envs): the long axis last, so that loops over robots vectorise."""
    return torch.cat(
        (
            state.position.T,
            state.orientation.T,
            state.linear_velocity.T,
            state.angular_velocity.T,
            state.motor_speed.T,
        )
    )


def _unpack(rows: Tensor) -> MultirotorState:
    quat = rows[3:7]
    return MultirotorState(
        position=rows[0:3].T,
        orientation=(quat * torch.rsqrt((quat * quat).sum(0))).T,
        linear_velocity=rows[7:10].T,
        angular_velocity=rows[10:13].T,
        motor_speed=rows[13:].clamp(0.0, 1.0).T,
    )


def _derivative(
    parameters: MultirotorParameters,
    allocation: Tensor,
    rows: Tensor,
    setpoint: Tensor,
    acceleration: Tensor,
    torque: Tensor,
) -> Tensor:
    """Time derivative of rows; `setpoint` (num_motors, num_envs), the last two (3, num_envs)."""
    qw, qx, qy, qz = rows[3:7].unbind(0)
    vx, vy, vz = rows[7:10].unbind(0)
    wx, wy, wz = rows[10:13].unbind(0)
    motor = rows[13:]

    c0, c1, c2 = parameters.thrust_curve_n.unbind(-1)
    thrust = c0.T + (c1.T + c2.T * motor) * motor
    fx, fy, fz, roll, pitch, yaw = (allocation * thrust).sum(1).unbind(0)
    jx, jy, jz = parameters.inertia_kg_m2.unbind(1)

    lag = torch.where(setpoint >= motor, parameters.rise_time_s.T, parameters.fall_time_s.T)
    spool = ((setpoint - motor) / lag).unbind(0)
    return torch.stack(
        (
            vx,
            vy,
            vz,
            -0.5 * (qx * wx + qy * wy + qz * wz),
            0.5 * (qw * wx + qy * wz - qz * wy),
            0.5 * (qw * wy + qz * wx - qx * wz),
            0.5 * (qw * wz + qx * wy - qy * wx),
            (1.0 - 2.0 * (qy * qy + qz * qz)) * fx
            + 2.0 * ((qx * qy - qw * qz) * fy + (qx * qz + qw * qy) * fz)
            + acceleration[0],
            (1.0 - 2.0 * (qx * qx + qz * qz)) * fy
            + 2.0 * ((qx * qy + qw * qz) * fx + (qy * qz - qw * qx) * fz)
            + acceleration[1],
            (1.0 - 2.0 * (qx * qx + qy * qy)) * fz
            + 2.0 * ((qx * qz - qw * qy) * fx + (qy * qz + qw * qx) * fy)
            + acceleration[2]
            - GRAVITY_M_S2,
            (roll + torque[0] - (jz - jy) * wy * wz) / jx,
            (pitch + torque[1] - (jx - jz) * wz * wx) / jy,
            (yaw + torque[2] - (jy - jx) * wx * wy) / jz,
            *spool,
        )
    )
