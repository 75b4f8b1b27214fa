"""A sim from its creation to its end, and what may be done to it when."""

from __future__ import annotations

import torch
from torch import Tensor

from acclimate_sim.engines.isaacgym.fake import rigid_bodies
from acclimate_sim.engines.isaacgym.fake.enums import CoordinateSpace
from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError
from acclimate_sim.engines.isaacgym.fake.scene import Actor, Env, bodies_of
from acclimate_sim.engines.isaacgym.fake.structs import SimParams, Vec3


class Sim:
    """Bodies, buffers, and what waits for the next step. Users hold it as an opaque handle."""

    def __init__(self, params: SimParams, device: torch.device) -> None:
        self.params = params
        self.device = device
        self.envs: list[Env] = []
        self.actors: list[Actor] = []
        self.floor_up: Vec3 | None = None
        self._stage = "being built"
        self._fetched = True  # the host knows the results of the last step
        self._fresh = True  # the user's buffer holds them
        self._new_rows: Tensor | None = None
        self._wrench: tuple[Tensor, Tensor, CoordinateSpace] | None = None

    def expect_building(self, what: str) -> None:
        """Raise unless envs and actors may still be added."""
        if self._stage != "being built":
            raise IsaacGymError(
                f"{what} after prepare_sim: buffers have been laid out, and the change would be "
                "lost or corrupt them. Fix: finish all envs and actors before prepare_sim."
            )

    def expect_running(self, what: str) -> None:
        """Raise unless the tensor API may be used."""
        if self._stage != "running":
            raise IsaacGymError(
                f"{what} while the sim is {self._stage}: there are no buffers. Fix: call it "
                "between prepare_sim and destroy_sim."
            )

    def prepare(self) -> None:
        """Lay out the buffers; from now on nothing can be added."""
        self.expect_building("prepare_sim")
        if not self.actors:
            raise IsaacGymError("prepare_sim without actors. Fix: create_actor first.")
        self._stage = "running"
        self._bodies = bodies_of(self.actors, self.device)
        self._rows = torch.tensor([actor.row for actor in self.actors], device=self.device)
        self.root_buffer = self._rows.clone()

    def destroy(self) -> None:
        """End; every later use is refused."""
        if self._stage == "destroyed":
            raise IsaacGymError("destroy_sim twice. Fix: forget the handle after the first time.")
        self._stage = "destroyed"

    def refresh(self) -> None:
        """Copy the bodies' states into the user's buffer."""
        self.expect_running("refresh_actor_root_state_tensor")
        if not (self._fetched or self.params.use_gpu_pipeline):
            raise IsaacGymError(
                "refresh without fetch_results on the CPU pipeline: the buffer would get old "
                "states. Fix: call fetch_results(sim, True) after simulate."
            )
        self.root_buffer.copy_(self._rows)
        self._fresh = True

    def fetch(self) -> None:
        """Let the host know the results of the last step."""
        self.expect_running("fetch_results")
        self._fetched = True

    def set_roots(self, values: Tensor, actors: Tensor) -> None:
        """Give some actors new root states from the next step on.

        Args:
            values: (num_actors, 13), of which the rows of `actors` count.
            actors: (num_set,), their numbers in the sim.
        """
        _refuse_twice("root states", self._new_rows)
        self._new_rows = self._rows.index_copy(0, actors, values[actors])

    def set_all_roots(self, values: Tensor) -> None:
        """Give all actors new root states from the next step on, (num_actors, 13)."""
        if values.data_ptr() == self.root_buffer.data_ptr() and not self._fresh:
            raise IsaacGymError(
                "all root states set from a buffer that was not refreshed since simulate: every "
                "actor would jump back by a step. Fix: refresh first, or set by indices."
            )
        _refuse_twice("root states", self._new_rows)
        self._new_rows = values.clone()

    def push(self, force: Tensor, torque: Tensor, space: CoordinateSpace) -> None:
        """Act on the bodies during the next step only; force and torque are (num_bodies, 3)."""
        _refuse_twice("forces", self._wrench)
        self._wrench = (force.clone(), torque.clone(), space)

    def simulate(self) -> None:
        """Move all bodies by `params.dt` in `params.substeps` steps."""
        self.expect_running("simulate")
        rows = self._rows if self._new_rows is None else self._new_rows
        force, torque = self._wrench_world(rows)
        gravity = _tensor(self.params.gravity, rows)
        for _ in range(self.params.substeps):
            dt_s = self.params.dt / self.params.substeps
            rows = rigid_bodies.advance(self._bodies, rows, force, torque, gravity, dt_s)
            if self.floor_up is not None:
                up = _tensor(self.floor_up, rows)
                rows = rigid_bodies.rest_on_floor(self._bodies, rows, up)
        self._rows = rows
        self._new_rows = self._wrench = None
        self._fetched = self._fresh = False

    def _wrench_world(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Force and torque of this step (num_bodies, 3), world frame as of its start."""
        if self._wrench is None:
            return torch.zeros_like(rows[:, :3]), torch.zeros_like(rows[:, :3])
        force, torque, space = self._wrench
        if space is CoordinateSpace.LOCAL_SPACE:
            return rigid_bodies.to_world(rows, force), rigid_bodies.to_world(rows, torque)
        return force, torque


def _refuse_twice(what: str, waiting: object | None) -> None:
    if waiting is not None:
        raise IsaacGymError(
            f"{what} set twice before simulate: one of the two calls would be lost. "
            "Fix: gather all indices and values into one call per step."
        )


def _tensor(vec: Vec3, like: Tensor) -> Tensor:
    return torch.tensor([vec.x, vec.y, vec.z]).to(like)
