"""Many different multirotors in MuJoCo at once: an engine with the signature of `step`."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's bindings come without type information.)

import os

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.mujoco_model import MAX_TIMESTEP_S, blank_model, check_timestep
from acclimate_sim.engines.mujoco_models import MujocoModels
from acclimate_sim.engines.period import Period, begin, end, heights
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState

INPUTS = int(mujoco.mjtState.mjSTATE_CTRL) | int(mujoco.mjtState.mjSTATE_QFRC_APPLIED)
"""Of a step: thrusts (num_motors,), then a force in the world frame and a torque in the body
frame, (6,)."""
TIME, VELOCITY = 0, slice(8, 14)
"""Columns of a full physics state."""
LIMIT = float(mujoco.mjMAXVAL)
"""Coordinates, speeds and accelerations beyond it are no longer physics to MuJoCo."""


class MujocoBatch:
    """Moves robots through MuJoCo, in float64, on the CPU, one model each.

    Motion is that of `MujocoMultirotor`, to which the same limits of accuracy apply. Models are
    kept from call to call, so robots that stay the same cost nothing and a payload costs
    microseconds. Contacts are solved anew in each period, without memory of the last.

    Args:
        floor_m: Height of a floor, world frame, one for all or (num_envs,) for every call alike;
            robots then have legs and thrusts are clamped at zero. None is free flight.
        timestep_s: Longest integration step, at most 1 ms.
        threads: How many; by default as many as this process may use cores.

    Raises:
        ConfigError: The time step or the number of threads is out of range.
    """

    def __init__(
        self,
        *,
        floor_m: float | Tensor | None = None,
        timestep_s: float = MAX_TIMESTEP_S,
        threads: int | None = None,
    ) -> None:
        threads = len(os.sched_getaffinity(0)) if threads is None else threads
        check_timestep(timestep_s)
        if threads < 1:
            raise ConfigError(f"{threads=}: somebody must do the work. Fix: at least 1.")
        self._floor_m = floor_m
        self._timestep_s = timestep_s
        self._models = MujocoModels(floor=floor_m is not None)
        self._pool = Rollout(nthread=threads if threads > 1 else 0)
        self._threads = threads
        self._data: list[mujoco.MjData] = []

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
        """Advance every robot by one control period; see `step`.

        Raises:
            ConfigError: The arguments do not fit together, or no such robot exists.
            SimulationError: Robots, which it names, became unusable; it carries the state.
        """
        period = begin(
            parameters, state, action, dt_s, external_force_n, external_torque_nm, device="cpu"
        )
        models, _ = self._models.fit(parameters)
        if not self._data or self._data[0].model.nu != parameters.num_motors:
            blank = blank_model(self._floor_m is not None, parameters.num_motors)
            self._data = [mujoco.MjData(blank) for _ in range(self._threads)]
        floor_m = heights(self._floor_m, len(period))
        pose, velocity = period.pose.clone(), period.velocity.clone()
        motor_speed, lost = period.motor_speed.clone(), period.lost.clone()
        pose[:, 2] -= floor_m
        counts = period.counts(self._timestep_s)
        for count in counts.unique().tolist():
            # A robot takes the steps it would take alone, whatever the others' periods.
            rows = (counts == count).nonzero().flatten()
            start = torch.cat((pose[rows], velocity[rows]), dim=-1)
            chosen = models if len(rows) == len(models) else [models[i] for i in rows.tolist()]
            last, motor_speed[rows], failed = self._roll(chosen, period[rows], start, count)
            pose[rows], velocity[rows] = last[:, :7], last[:, 7:]
            lost[rows] |= failed
        pose[:, 2] += floor_m
        return end(pose, velocity, motor_speed, lost, state)

    def _roll(
        self, models: list[mujoco.MjModel], period: Period, start: Tensor, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take `count` steps from `start`, (num_envs, 13).

        Returns:
            Where they end, (num_envs, 13), motor speeds, (num_envs, num_motors), and who failed.
        """
        step_s = (period.length_s / count).numpy()
        for model, s in zip(models, step_s.tolist(), strict=True):
            model.opt.timestep = s
        motor_speed, thrust = period.motors(count, pull_only=self._floor_m is not None)
        wrench = period.wrench.unsqueeze(1).expand(-1, count, -1)
        inputs = torch.cat((thrust, wrench), dim=-1).contiguous().numpy()
        first = np.concatenate((np.zeros((len(models), 1)), start.numpy()), axis=1)
        track = np.empty((len(models), count, first.shape[1]))
        self._pool.rollout(
            models,
            self._data,
            first,
            inputs,
            control_spec=INPUTS,
            nstep=count,
            state=track,
            skip_checks=True,
        )
        before, last = track[:, -2] if count > 1 else first, track[:, -1]
        failed = torch.from_numpy(_failed(before, last, step_s, count))
        return torch.from_numpy(last[:, TIME + 1 :]), motor_speed, failed


def _failed(before: np.ndarray, last: np.ndarray, step_s: np.ndarray, count: int) -> np.ndarray:
    """Who (num_envs,) stopped being physics, by the states (num_envs, 14) of the last step.

    A rollout in which MuJoCo warned stands still from then on, and so does its clock. It cannot
    warn of the last step's acceleration, which is therefore looked at here.
    """
    stopped = last[:, TIME] < (count - 0.5) * step_s
    acceleration = (last[:, VELOCITY] - before[:, VELOCITY]) / step_s[:, None]
    within = (np.abs(last) < LIMIT).all(-1) & (np.abs(acceleration) < LIMIT).all(-1)
    return stopped | ~within
