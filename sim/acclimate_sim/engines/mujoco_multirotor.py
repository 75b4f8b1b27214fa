"""One multirotor in MuJoCo, standing on a floor: another engine than policies are trained in."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's bindings come without type information.)

import math

import mujoco
import numpy as np
import torch
from torch import Tensor

from acclimate_contract import ConfigError, ContractError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.motors import spin
from acclimate_sim.engines.mujoco_model import (
    MAX_TIMESTEP_S,
    ROBOT,
    build_model,
    check_timestep,
    numbers,
    standing_height_m,
    write,
)
from acclimate_sim.multirotor.parameters import GRAVITY_M_S2, MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState

SETTLING_S = 0.5
FATAL_WARNINGS = {
    "position": mujoco.mjtWarning.mjWARN_BADQPOS,
    "velocity": mujoco.mjtWarning.mjWARN_BADQVEL,
    "acceleration": mujoco.mjtWarning.mjWARN_BADQACC,
}


class MujocoMultirotor:
    """One robot, stepped by MuJoCo's Runge-Kutta method.

    Linear motion and body rates are of fourth order in the step. Orientation is of second order
    only, because MuJoCo averages the stages' body rates as if rotations commuted: a second of
    tumbling at 20 rad/s in steps of 1 ms ends up to 3e-6 m from where it should.

    Motors follow the analytic model: the lag is integrated exactly, and each step applies the exact
    mean of the thrust over it. Some published thrust curves are fits that turn negative at low
    speed; a propeller on a floor does not pull downwards, so thrust is clamped at zero here.

    Args:
        parameters: The robot, a batch of one.
        timestep_s: Longest integration step, at most 1 ms.
        free_flight: No floor, no legs, and thrust curves as they are: the bare equations of motion,
            for comparison with the analytic engine.

    Raises:
        ConfigError: More than one robot, or a time step out of range.
    """

    def __init__(
        self,
        parameters: MultirotorParameters,
        timestep_s: float = MAX_TIMESTEP_S,
        *,
        free_flight: bool = False,
    ) -> None:
        if len(parameters) != 1:
            raise ConfigError(
                f"MujocoMultirotor steps one robot and got {len(parameters)}. "
                "Fix: pass parameters[i : i + 1]."
            )
        check_timestep(timestep_s)
        self.parameters = parameters
        self._exact = parameters.to("cpu", torch.float64)
        self._free_flight = free_flight
        self._timestep_s = timestep_s
        self._model = build_model(parameters, timestep_s=timestep_s, floor=not free_flight)
        self._data = mujoco.MjData(self._model)
        self._motor_speed = np.zeros(parameters.num_motors)
        self._floor_offset_m = 0.0
        if not free_flight:
            self._floor_offset_m = self._settled_height_m(standing_height_m(parameters))
        self.reset()

    def reset(self, state: MultirotorState | None = None) -> None:
        """Go back to time zero without payload or force.

        Args:
            state: Where to start, a batch of one; by default at the origin, level, motors off.

        Raises:
            ConfigError: More than one state.
            SimulationError: The state is not finite.
        """
        self.attach_payload(0.0)
        mujoco.mj_resetData(self._model, self._data)
        self._motor_speed = np.zeros_like(self._motor_speed)
        self._data.qpos[:] = (0.0, 0.0, self._floor_offset_m, 1.0, 0.0, 0.0, 0.0)
        if state is not None:
            self._place(state)
        mujoco.mj_forward(self._model, self._data)
        self._check()

    def step(self, setpoints: np.ndarray, duration_s: float) -> None:
        """Hold motor setpoints for a while.

        Args:
            setpoints: (num_motors,), clamped to [-1, 1].
            duration_s: How long; split into equal steps no longer than the engine's.

        Raises:
            ContractError: A setpoint is missing or not finite.
            ConfigError: The duration is not positive.
            SimulationError: The state is no longer usable.
        """
        command = np.asarray(setpoints, dtype=np.float64)
        num_motors = self.parameters.num_motors
        if command.shape != (num_motors,) or not np.isfinite(command).all():
            raise ContractError(
                f"setpoints {command} must be {num_motors} finite numbers: motors cannot follow "
                "anything else. Fix: check what publishes them; a safety supervisor should catch "
                "this."
            )
        if not (math.isfinite(duration_s) and duration_s > 0.0):
            raise ConfigError(f"{duration_s=} must be positive and finite. Fix: check the clock.")
        # Tolerates a duration that is a whole number of steps up to rounding.
        count = max(1, math.ceil(duration_s / self._timestep_s - 1e-6))
        self._advance(0.5 * (np.clip(command, -1.0, 1.0) + 1.0), duration_s / count, count)
        self._check()

    def attach_payload(self, mass_kg: float) -> None:
        """Fix a point mass to the centre of mass; it replaces the previous one, 0 detaches.

        A point there adds to the mass and, having no extent, nothing to the inertia. The robot
        keeps its velocity, as if the payload had been flying along.
        """
        if not (math.isfinite(mass_kg) and mass_kg >= 0.0):
            raise ConfigError(f"payload {mass_kg=} must be zero or more. Fix: use 0 to detach.")
        row = numbers(self.parameters)[0]
        row["mass"] += mass_kg
        # On scratch data: constants are computed in the reference pose.
        write(self._model, row, mujoco.MjData(self._model))

    def set_force(self, force_world_n: np.ndarray) -> None:
        """Push at the centre of mass with a constant force (3,), world frame, until changed."""
        force = np.asarray(force_world_n, dtype=np.float64)
        if force.shape != (3,) or not np.isfinite(force).all():
            raise ConfigError(f"force {force} must be 3 finite numbers in newton. Fix: check it.")
        self._data.xfrc_applied[ROBOT, :3] = force

    @property
    def time_s(self) -> float:
        """Simulated time since the last reset."""
        return float(self._data.time)

    @property
    def position(self) -> np.ndarray:
        """(3,) m, world; z is zero while the robot rests on the floor."""
        return self._data.qpos[:3] - (0.0, 0.0, self._floor_offset_m)

    @property
    def orientation(self) -> np.ndarray:
        """(4,), unit quaternion w x y z, body to world."""
        return self._data.qpos[3:7].copy()

    @property
    def linear_velocity(self) -> np.ndarray:
        """(3,) m/s, world."""
        return self._data.qvel[:3].copy()

    @property
    def angular_velocity(self) -> np.ndarray:
        """(3,) rad/s, body."""
        return self._data.qvel[3:6].copy()

    @property
    def motor_speed(self) -> np.ndarray:
        """(num_motors,), normalised to [0, 1]."""
        return self._motor_speed.copy()

    @property
    def weight_n(self) -> float:
        """Weight with payload."""
        return float(self._model.body_mass[ROBOT]) * GRAVITY_M_S2

    def _place(self, state: MultirotorState) -> None:
        """Take over a state of the analytic engine, a batch of one."""
        if len(state) != 1:
            raise ConfigError(
                f"one robot cannot start in {len(state)} states. Fix: state[i : i + 1]."
            )

        def plain(tensor: Tensor) -> np.ndarray:
            return tensor[0].detach().cpu().double().numpy()

        self._data.qpos[:3] += plain(state.position)
        self._data.qpos[3:] = plain(state.orientation)
        self._data.qvel[:3] = plain(state.linear_velocity)
        self._data.qvel[3:] = plain(state.angular_velocity)
        self._motor_speed = plain(state.motor_speed).copy()

    def _settled_height_m(self, start_m: float) -> float:
        """Height at which soft contacts carry the robot with its motors off."""
        self._data.qpos[2] = start_m
        count = math.ceil(SETTLING_S / self._timestep_s)
        self._advance(np.zeros_like(self._motor_speed), self._timestep_s, count)
        return float(self._data.qpos[2])

    def _advance(self, speed: np.ndarray, dt_s: float, count: int) -> None:
        """Move by `count` equal steps while the motors go to `speed`, (num_motors,) in [0, 1]."""
        now, goal, length = (
            torch.as_tensor(x, dtype=torch.float64)[None] for x in (self._motor_speed, speed, dt_s)
        )
        end, thrusts = spin(self._exact, now, goal, length, count)
        if not self._free_flight:
            thrusts = thrusts.clamp_min(0.0)
        self._model.opt.timestep = dt_s
        for thrust in thrusts[0].numpy():
            self._data.ctrl[:] = thrust
            mujoco.mj_step(self._model, self._data)
        self._motor_speed = end[0].numpy()

    def _check(self) -> None:
        """Raise if MuJoCo had to warn or the state is not finite."""
        broken = [name for name, kind in FATAL_WARNINGS.items() if self._data.warning[kind].number]
        finite = np.isfinite(self._data.qpos).all() and np.isfinite(self._data.qvel).all()
        if broken or not (finite and np.isfinite(self._motor_speed).all()):
            raise SimulationError(
                f"MuJoCo's {' and '.join(broken) or 'state'} became unusable at "
                f"{self.time_s:.3f} s: what follows would not be physics. Fix: reset(), and check "
                "forces and parameters for absurd values."
            )
