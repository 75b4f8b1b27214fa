"""One MuJoCo model per robot of a batch, kept from call to call."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's bindings come without type information.)

import mujoco
import numpy as np
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import named
from acclimate_sim.engines.mujoco_model import blank_model, numbers, numbers_dtype, write
from acclimate_sim.engines.watched import Watched
from acclimate_sim.multirotor.parameters import MultirotorParameters


class MujocoModels:
    """Models that follow the robots of each call; only those that changed are written anew.

    Args:
        floor: With the floor and landing legs.
    """

    def __init__(self, *, floor: bool) -> None:
        self._floor = floor
        self._start_anew(num_motors=4)
        self._watched = Watched()

    def fit(self, parameters: MultirotorParameters) -> tuple[list[mujoco.MjModel], np.ndarray]:
        """Bring the models up to date.

        Returns:
            The model of each robot, and the indices of those that were written.

        Raises:
            ConfigError: No such body exists: a mass or an inertia is not positive, or a number is
                not finite.
        """
        n = len(parameters)
        if self._watched.unchanged(_tensors(parameters)):
            return self._models[:n], np.empty(0, dtype=int)
        rows = numbers(parameters)
        _refuse_impossible(rows)
        if rows.dtype != self._numbers.dtype:
            self._start_anew(parameters.num_motors)
        self._grow(n, parameters.num_motors)
        changed = np.flatnonzero(rows != self._numbers[:n])
        for i in changed:
            write(self._models[i], rows[i], self._scratch)
            self._numbers[i] = rows[i]
        self._watched.watch(_tensors(parameters))
        return self._models[:n], changed

    def _start_anew(self, num_motors: int) -> None:
        """Drop all models: robots with another number of motors have others."""
        self._models: list[mujoco.MjModel] = []
        self._numbers = np.empty(0, dtype=numbers_dtype(num_motors))
        self._scratch = mujoco.MjData(blank_model(self._floor, num_motors))

    def _grow(self, n: int, num_motors: int) -> None:
        """Have at least `n` models; new ones are of no robot yet."""
        missing = n - len(self._models)
        if missing > 0:
            self._models += [blank_model(self._floor, num_motors) for _ in range(missing)]
            unwritten = np.zeros(missing, dtype=self._numbers.dtype)
            self._numbers = np.concatenate((self._numbers, unwritten))


def _tensors(parameters: MultirotorParameters) -> tuple[Tensor, ...]:
    """What models are made of."""
    return (
        parameters.mass_kg,
        parameters.inertia_kg_m2,
        parameters.motor_position_m,
        parameters.motor_axis,
        parameters.torque_coefficient_m,
    )


def _refuse_impossible(rows: np.ndarray) -> None:
    plain = rows.view(np.float64).reshape(len(rows), -1)
    fine = np.isfinite(plain).all(-1) & (rows["mass"] > 0.0) & (rows["inertia"] > 0.0).all(-1)
    if not fine.all():
        raise ConfigError(
            f"{named(np.flatnonzero(~fine).tolist())} with a mass or an inertia that is not "
            "positive, or a parameter that is not finite: no rigid body is like that. "
            "Fix: check what drew them."
        )
