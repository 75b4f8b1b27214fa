"""The methods of gymapi.Gym: they check what they are given and pass it to the sim."""

from __future__ import annotations

import math
from copy import deepcopy

import torch

from acclimate_sim.engines.isaacgym.fake.enums import (
    CoordinateSpace,
    IndexDomain,
    SimType,
    UpAxis,
)
from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError
from acclimate_sim.engines.isaacgym.fake.scene import Actor, Asset, Env, changed, placed, solid
from acclimate_sim.engines.isaacgym.fake.simulation import Sim
from acclimate_sim.engines.isaacgym.fake.structs import (
    AssetOptions,
    PlaneParams,
    RigidBodyProperties,
    SimParams,
    Tensor,
    Transform,
    Vec3,
)
from acclimate_sim.engines.isaacgym.fake.tensors import actor_numbers, root_states, vectors


class Gym:
    """The interface; all state is in the sims. Names and signatures are the real ones."""

    def create_sim(
        self,
        compute_device: int = 0,
        graphics_device: int = 0,
        type: SimType = SimType.SIM_FLEX,
        params: SimParams | None = None,
    ) -> Sim:
        """Create an empty sim, on the GPU `compute_device` if the params ask for one."""
        params = deepcopy(params) if params is not None else SimParams()
        if type is not SimType.SIM_PHYSX:
            raise IsaacGymError("the tensor API needs PhysX. Fix: pass type=SIM_PHYSX.")
        if params.use_gpu_pipeline != params.physx.use_gpu:
            raise IsaacGymError(
                f"{params.use_gpu_pipeline=} with {params.physx.use_gpu=}: tensors would be copied "
                "between the devices or be empty. Fix: set both to the same."
            )
        if not (params.dt > 0.0 and params.substeps >= 1):
            raise IsaacGymError(
                f"{params.dt=}, {params.substeps=} must be positive. Fix: set both."
            )
        if params.use_gpu_pipeline and not torch.cuda.is_available():
            raise IsaacGymError("no GPU found. Fix: leave use_gpu_pipeline and use_gpu False.")
        name = f"cuda:{compute_device}" if params.use_gpu_pipeline else "cpu"
        return Sim(params, torch.device(name))

    def get_sim_params(self, sim: Sim, /) -> SimParams:
        """Return a copy: what is changed in it has no effect until `set_sim_params`."""
        return deepcopy(sim.params)

    def set_sim_params(self, sim: Sim, params: SimParams, /) -> None:
        """Change gravity, for all envs at once; the rest is fixed from `create_sim` on."""
        now = (params.dt, params.substeps, params.use_gpu_pipeline)
        if now != (sim.params.dt, sim.params.substeps, sim.params.use_gpu_pipeline):
            raise IsaacGymError(
                "dt, substeps and the pipeline of a sim cannot change. Fix: create another sim."
            )
        sim.params = deepcopy(params)

    def destroy_sim(self, sim: Sim, /) -> None:
        """End a sim."""
        sim.destroy()

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        """Add a plane through the origin that nothing falls through."""
        sim.expect_building("add_ground")
        if params.distance != 0.0:
            raise IsaacGymError(
                f"{params.distance=}: which side of the origin this means is not documented. "
                "Fix: leave it at zero and move the actors."
            )
        normal = (params.normal.x, params.normal.y, params.normal.z)
        upwards = {UpAxis.UP_AXIS_Y: (0.0, 1.0, 0.0), UpAxis.UP_AXIS_Z: (0.0, 0.0, 1.0)}
        if normal != upwards[sim.params.up_axis]:
            raise IsaacGymError(
                f"a ground with normal {normal} is a wall: {sim.params.up_axis.name} says "
                "otherwise. Fix: set normal and up_axis to the same axis."
            )
        sim.floor_up = deepcopy(params.normal)

    def create_box(
        self,
        sim: Sim,
        width: float,
        height: float,
        depth: float,
        options: AssetOptions | None = None,
    ) -> Asset:
        """Make a box of even density; sizes along x, y and z in m."""
        sim.expect_building("create_box")
        x, y, z = width**2 / 12.0, height**2 / 12.0, depth**2 / 12.0
        half = (0.5 * width, 0.5 * height, 0.5 * depth)
        return solid(options, half, width * height * depth, (y + z, z + x, x + y))

    def create_sphere(self, sim: Sim, radius: float, options: AssetOptions | None = None) -> Asset:
        """Make a sphere of even density; radius in m."""
        sim.expect_building("create_sphere")
        squared = 0.4 * radius**2
        volume = 4.0 / 3.0 * math.pi * radius**3
        return solid(options, (radius, radius, radius), volume, (squared, squared, squared))

    def create_env(self, sim: Sim, lower: Vec3, upper: Vec3, per_row: int, /) -> Env:
        """Add an env; envs stand in rows along x, `upper - lower` apart."""
        sim.expect_building("create_env")
        if per_row < 1:
            raise IsaacGymError(f"{per_row} envs in a row. Fix: use at least 1.")
        row, column = divmod(len(sim.envs), per_row)
        origin = Vec3(column * (upper.x - lower.x), row * (upper.y - lower.y), 0.0)
        sim.envs.append(Env(sim=sim, origin=origin))
        return sim.envs[-1]

    def get_env_origin(self, env: Env, /) -> Vec3:
        """Where an env's zero lies in the world."""
        return deepcopy(env.origin)

    def create_actor(
        self,
        env: Env,
        asset: Asset,
        pose: Transform,
        name: str | None = None,
        group: int = -1,
        filter: int = -1,
        segmentationId: int = 0,
    ) -> int:
        """Stand an asset in an env; returns its handle, its number there. Actors never collide."""
        env.sim.expect_building("create_actor")
        if env is not env.sim.envs[-1]:
            raise IsaacGymError(
                "create_actor in an env that is not the newest: whether buffers then follow the "
                "envs is not documented. Fix: fill an env before creating the next."
            )
        env.actors.append(len(env.sim.actors))
        env.sim.actors.append(placed(asset, pose, env.origin))
        return len(env.actors) - 1

    def get_actor_index(self, env: Env, actor: int, domain: IndexDomain, /) -> int:
        """Translate an actor's handle to its number in a domain; root states need DOMAIN_SIM."""
        number = _number(env, actor)
        return number if domain is IndexDomain.DOMAIN_SIM else actor

    def get_actor_rigid_body_index(
        self, env: Env, actor: int, body: int, domain: IndexDomain, /
    ) -> int:
        """Translate an actor's only body to its number in a domain; forces need DOMAIN_SIM."""
        if body != 0:
            raise IsaacGymError(f"actors of the fake have no body {body}. Fix: use 0.")
        number = _number(env, actor)  # one body each: numbers of bodies are those of actors
        numbers = {IndexDomain.DOMAIN_SIM: number, IndexDomain.DOMAIN_ENV: actor}
        return numbers.get(domain, body)

    def get_sim_actor_count(self, sim: Sim, /) -> int:
        """How many actors there are in all envs."""
        return len(sim.actors)

    def get_sim_rigid_body_count(self, sim: Sim, /) -> int:
        """How many bodies there are in all envs."""
        return len(sim.actors)

    def get_actor_rigid_body_properties(self, env: Env, actor: int, /) -> list[RigidBodyProperties]:
        """Return copies: what is changed in them has no effect until they are set."""
        return [deepcopy(_actor(env, actor).properties)]

    def set_actor_rigid_body_properties(
        self,
        env: Env,
        actorHandle: int,
        props: list[RigidBodyProperties],
        recomputeInertia: bool = False,
    ) -> bool:
        """Set mass and inertia, before `prepare_sim` only; inertia may follow the mass."""
        env.sim.expect_building("set_actor_rigid_body_properties")
        actor = _actor(env, actorHandle)
        if len(props) != 1:
            raise IsaacGymError(f"{len(props)} properties for one body. Fix: pass one in a list.")
        actor.properties = changed(actor.properties, props[0], recomputeInertia)
        return True

    def prepare_sim(self, sim: Sim, /) -> bool:
        """Lay out the buffers."""
        sim.prepare()
        return True

    def acquire_actor_root_state_tensor(self, sim: Sim, /) -> Tensor:
        """Return the buffer of root states (num_actors, 13), always the same one."""
        sim.expect_running("acquire_actor_root_state_tensor")
        return Tensor.describe(sim.root_buffer)

    def refresh_actor_root_state_tensor(self, sim: Sim, /) -> bool:
        """Copy the results of the last step into the buffer."""
        sim.refresh()
        return True

    def set_actor_root_state_tensor(self, sim: Sim, states: Tensor, /) -> bool:
        """Give all actors new states from the next step on."""
        sim.expect_running("set_actor_root_state_tensor")
        sim.set_all_roots(root_states(sim, states))
        return True

    def set_actor_root_state_tensor_indexed(
        self, sim: Sim, states: Tensor, actors: Tensor, count: int, /
    ) -> bool:
        """Give `count` actors new states from the next step on; `states` has rows for all."""
        sim.expect_running("set_actor_root_state_tensor_indexed")
        sim.set_roots(root_states(sim, states), actor_numbers(sim, actors, count))
        return True

    def apply_rigid_body_force_tensors(
        self,
        sim: Sim,
        forceTensor: Tensor | None = None,
        torqueTensor: Tensor | None = None,
        space: CoordinateSpace = CoordinateSpace.ENV_SPACE,
    ) -> bool:
        """Act on all bodies at their centres of mass during the next step; either may be None."""
        sim.expect_running("apply_rigid_body_force_tensors")
        if forceTensor is None and torqueTensor is None:
            raise IsaacGymError("neither forces nor torques to apply. Fix: leave the call out.")
        sim.push(vectors(sim, forceTensor), vectors(sim, torqueTensor), space)
        return True

    def simulate(self, sim: Sim, /) -> None:
        """Move everything by one step."""
        sim.simulate()

    def fetch_results(self, sim: Sim, wait: bool, /) -> None:
        """Bring the results of the last step to the host, as the CPU pipeline needs."""
        if not wait:
            raise IsaacGymError("fetch_results may return too early. Fix: pass True.")
        sim.fetch()


def _number(env: Env, handle: int) -> int:
    if not 0 <= handle < len(env.actors):
        raise IsaacGymError(
            f"no actor {handle} in this env of {len(env.actors)}: handles count per env. "
            "Fix: use what create_actor returned."
        )
    return env.actors[handle]


def _actor(env: Env, handle: int) -> Actor:
    return env.sim.actors[_number(env, handle)]
