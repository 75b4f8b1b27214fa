"""Thousands of different multirotors in MuJoCo Warp: an engine with the signature of `step`."""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
# (MuJoCo's bindings come without type information, and Warp is an extra.)

from typing import Any

import mujoco
import numpy as np
import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError, named
from acclimate_sim.engines.mujoco_model import MAX_TIMESTEP_S, blank_model, check_timestep
from acclimate_sim.engines.mujoco_models import MujocoModels
from acclimate_sim.engines.period import Period, begin, end, heights
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState

FIELDS = (
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "actuator_acc0",
    "actuator_gear",
    "site_pos",
)
"""What differs between worlds, with the constants that MuJoCo derives from it."""
LEG_FIELDS = ("geom_pos", "geom_size", "geom_rbound", "geom_aabb")
CONTACTS, CONSTRAINTS = 16, 64
"""Room per world: a capsule on a plane touches it at two points, each of four rows; eight fit."""
UNKNOWN_TO_WARP = int(mujoco.mjtDisableBit.mjDSBL_AUTORESET | mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
"""Flags that MuJoCo Warp refuses; it neither resets by itself nor has a middle phase."""
LIMIT = 1e10
"""Coordinates and speeds beyond it are no longer physics to MuJoCo."""


class MujocoWarp:
    """Moves robots through MuJoCo Warp, in float32, on a GPU if there is one.

    Models are those of `MujocoBatch`, whose derived constants MuJoCo itself computes, and so is the
    rest of the behaviour, but all periods of a call must be equal. A step is recorded as a CUDA
    graph; on a CPU, Warp is for tests: a tenth as fast as MuJoCo. It has not run on a GPU yet.

    Args:
        floor_m: As in `MujocoBatch`.
        timestep_s: Longest integration step, at most 1 ms.
        device: Of torch and Warp, "cuda" or "cpu"; by default a GPU if torch finds one.

    Raises:
        ConfigError: Warp is not installed, or the time step is out of range.
    """

    def __init__(
        self,
        *,
        floor_m: float | Tensor | None = None,
        timestep_s: float = MAX_TIMESTEP_S,
        device: str | None = None,
    ) -> None:
        self._warp, self._mjw = _packages()
        check_timestep(timestep_s)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._floor_m = floor_m
        self._timestep_s = timestep_s
        self._models = MujocoModels(floor=floor_m is not None)
        self._worlds: _Worlds | None = None

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
            ConfigError: The arguments do not fit together, periods differ, or no such robot exists.
            SimulationError: Robots, which it names, became unusable; or a world had no room for
                its contacts.
        """
        period = begin(
            parameters,
            state,
            action,
            dt_s,
            external_force_n,
            external_torque_nm,
            device=self._device,
        )
        length_s = common_length(period)
        count = int(period.counts(self._timestep_s)[0])
        models, changed = self._models.fit(parameters)
        sizes = (len(models), parameters.num_motors)
        if self._worlds is None or self._worlds.sizes != sizes:
            self._worlds = _Worlds(
                self._warp, self._mjw, sizes, self._device, floor=self._floor_m is not None
            )
            changed = np.arange(len(models))
        self._worlds.write(models, changed)
        motor_speed, thrust = period.motors(count, pull_only=self._floor_m is not None)
        floor_m = heights(self._floor_m, len(period)).to(self._device)
        pose = period.pose.clone()
        pose[:, 2] -= floor_m
        last, velocity = self._worlds.roll(
            pose, period.velocity, thrust, period.wrench, length_s / count
        )
        last[:, 2] += floor_m
        within = (last.abs() < LIMIT).all(-1) & (velocity.abs() < LIMIT).all(-1)
        return end(last, velocity, motor_speed, period.lost | ~within, state)


def common_length(period: Period) -> float:
    """The one length of all periods in s; raises ConfigError if they differ."""
    length_s = float(period.length_s[0])
    if not (period.length_s == length_s).all():
        raise ConfigError(
            "MuJoCo Warp steps all worlds alike and the periods of this call differ. "
            "Fix: pass one dt_s for all robots, or use the engine 'mujoco'."
        )
    return length_s


class _Worlds:
    """Model and data of a number of worlds on a device, and the recorded step."""

    def __init__(
        self, warp: Any, mjw: Any, sizes: tuple[int, int], device: str, *, floor: bool
    ) -> None:
        self._warp, self._mjw = warp, mjw
        self.sizes = sizes  # worlds, and motors in each
        n, num_motors = sizes
        blank = blank_model(floor, num_motors)
        blank.opt.disableflags &= ~UNKNOWN_TO_WARP
        self._fields = FIELDS + LEG_FIELDS if floor else FIELDS
        room = {"nconmax": CONTACTS, "njmax": CONSTRAINTS} if floor else {"nconmax": 1, "njmax": 1}
        with warp.ScopedDevice(device):
            self._model = mjw.put_model(blank, batch_sizes=dict.fromkeys(self._fields, n))
            self._model.opt.warn_overflow = 0  # told by an error instead
            self._data = mjw.make_data(blank, nworld=n, **room)
        self._device = device
        self._graph: Any = None

    def write(self, models: list[mujoco.MjModel], rows: np.ndarray) -> None:
        """Copy the numbers of some models into their worlds, in place: graphs stay valid."""
        if not len(rows):
            return
        index = torch.from_numpy(rows).to(self._device)
        for name in self._fields:
            target = self._warp.to_torch(getattr(self._model, name))
            values = torch.from_numpy(np.stack([getattr(models[i], name) for i in rows.tolist()]))
            target[index] = values.to(target).reshape(len(rows), *target.shape[1:])

    def roll(
        self, pose: Tensor, velocity: Tensor, thrust: Tensor, wrench: Tensor, step_s: float
    ) -> tuple[Tensor, Tensor]:
        """Take a step per thrust; returns pose (n, 7) and velocity (n, 6) in float64."""
        data, torch_of = self._data, self._warp.to_torch
        with self._stream():
            for name in ("qacc_warmstart", "time", "overflow"):
                getattr(data, name).zero_()
            self._model.opt.timestep.fill_(step_s)
            for target, value in (
                (data.qpos, pose),
                (data.qvel, velocity),
                (data.qfrc_applied, wrench),
            ):
                torch_of(target).copy_(value)
            control = torch_of(data.ctrl)
            for held in thrust.unbind(1):
                control.copy_(held)
                self._step()
            refuse_overflow(torch_of(data.overflow), self._mjw.OverflowType)
            return torch_of(data.qpos).double(), torch_of(data.qvel).double()

    def _step(self) -> None:
        """On a GPU one launch; recording needs kernels that are loaded, hence a first one aside."""
        if self._graph is not None:
            self._warp.capture_launch(self._graph)
            return
        self._mjw.step(self._model, self._data)
        if self._device != "cpu":
            with self._warp.ScopedCapture() as capture:
                self._mjw.step(self._model, self._data)
            self._graph = capture.graph

    def _stream(self) -> Any:
        """Work in torch's order; on a CPU there is but one."""
        if self._device == "cpu":
            return self._warp.ScopedDevice("cpu")
        stream = torch.cuda.current_stream(torch.device(self._device))
        return self._warp.ScopedStream(self._warp.stream_from_torch(stream))


def refuse_overflow(flags: Tensor, kinds: Any) -> None:
    """Raise SimulationError if a world, by its flags (n,), had more contacts than room."""
    crowded = kinds.NEFC | kinds.NJMAX_NNZ | kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD
    rows = (flags & int(crowded)).nonzero().flatten().tolist()
    if rows:
        raise SimulationError(
            f"{named(rows)} touched the floor at more points than MuJoCo Warp has room for "
            f"({CONTACTS}), and it left some out. Fix: raise CONTACTS and CONSTRAINTS.",
            rows=rows,
        )


def _packages() -> tuple[Any, Any]:
    """Warp and MuJoCo Warp, quiet; raises ConfigError without them."""
    try:
        import mujoco_warp
        import warp
    except ImportError as error:
        raise ConfigError(
            f"engine 'mujoco_warp' needs the packages mujoco-warp and warp-lang ({error}). "
            "Fix: pip install 'acclimate[warp]'."
        ) from error
    warp.config.log_level = warp.LOG_WARNING  # else it tells of every kernel
    warp.init()
    return warp, mujoco_warp
