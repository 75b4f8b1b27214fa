"""A sim of Isaac Gym with one multirotor in each env."""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.multirotor.parameters import GRAVITY_M_S2, MultirotorParameters

BOX_M = (0.2, 0.2, 0.05)
"""Shape of every robot: nothing can touch it, and its mass and inertia are replaced."""
NO_LIMIT = 1000.0
"""Speed limit in m/s and rad/s, out of the way of what flies."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A prepared sim and its tensors, which live as long as it does.

    Attributes:
        gymapi: The module.
        gymtorch: The module.
        gym: Its interface.
        sim: Handle of the sim.
        root: (num_actors, 13), Isaac Gym's buffer of root states.
        actors: (num_envs,) int32, which rows of `root` are the robots.
        bodies: (num_envs,), which rows of `force` and `torque` are theirs.
        moved: (num_envs,) int32, room for the rows that are written back: a GPU may read them
            after the call has returned.
        force: (num_bodies, 3) N, body frame.
        torque: (num_bodies, 3) N m, body frame.
        on_gpu: Whether tensors stay on the GPU.
    """

    gymapi: ModuleType
    gymtorch: ModuleType
    gym: Any
    sim: Any
    root: Tensor
    actors: Tensor
    bodies: Tensor
    moved: Tensor
    force: Tensor
    torque: Tensor
    on_gpu: bool

    def states(self) -> Tensor:
        """Root states of the robots (num_envs, 13), a copy."""
        return self.root[self.actors.long()]

    def place(self, robots: Tensor, rows: Tensor) -> None:
        """Set the root states (num_moved, 13) of some robots (num_moved,), once per step."""
        actors = self.moved[: len(robots)]
        actors[:] = self.actors[robots.to(self.actors.device)]
        self.root[actors.long()] = rows
        unwrap = self.gymtorch.unwrap_tensor
        done = self.gym.set_actor_root_state_tensor_indexed(
            self.sim, unwrap(self.root), unwrap(actors), len(actors)
        )
        _expect(done, "to set root states")

    def simulate(self, force_body: Tensor, torque_body: Tensor) -> None:
        """Move all robots by one physics step; force and torque are (num_envs, 3)."""
        self.force[self.bodies] = force_body
        self.torque[self.bodies] = torque_body
        unwrap = self.gymtorch.unwrap_tensor
        done = self.gym.apply_rigid_body_force_tensors(
            self.sim, unwrap(self.force), unwrap(self.torque), self.gymapi.LOCAL_SPACE
        )
        _expect(done, "to apply forces")
        self.gym.simulate(self.sim)
        if not self.on_gpu:
            self.gym.fetch_results(self.sim, True)
        _expect(self.gym.refresh_actor_root_state_tensor(self.sim), "to refresh root states")

    def destroy(self) -> None:
        """Give the sim back."""
        self.gym.destroy_sim(self.sim)


def build_scene(
    gymapi: ModuleType,
    gymtorch: ModuleType,
    robots: MultirotorParameters,
    *,
    timestep_s: float,
    gpu_index: int | None,
) -> Scene:
    """Create a sim in which each robot has its mass and inertia.

    Args:
        gymapi: The module.
        gymtorch: The module.
        robots: The robots.
        timestep_s: Physics step.
        gpu_index: Where to simulate; none for the CPU.

    Raises:
        SimulationError: Isaac Gym reports a failure.
    """
    gym = gymapi.acquire_gym()
    params = _sim_params(gymapi, timestep_s, gpu_index)
    sim = gym.create_sim(gpu_index or 0, -1, gymapi.SIM_PHYSX, params)
    _expect(sim is not None, "to create a sim")
    asset = gym.create_box(sim, *BOX_M, _asset_options(gymapi))
    actors, bodies = [], []
    for i in range(len(robots)):
        # Envs of no extent share one origin, so that their frames are the world's.
        env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), math.isqrt(len(robots)) + 1)
        # Robots of different groups do not collide.
        actor = gym.create_actor(env, asset, gymapi.Transform(), f"quadrotor_{i}", i, 0)
        properties = gym.get_actor_rigid_body_properties(env, actor)
        _set_mass(gymapi, properties[0], robots.mass_kg[i], robots.inertia_kg_m2[i])
        done = gym.set_actor_rigid_body_properties(env, actor, properties, False)
        _expect(done, f"to set the mass of robot {i}")
        actors.append(gym.get_actor_index(env, actor, gymapi.DOMAIN_SIM))
        bodies.append(gym.get_actor_rigid_body_index(env, actor, 0, gymapi.DOMAIN_SIM))
    _expect(gym.prepare_sim(sim), "to prepare a sim")
    root = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim))
    force = root.new_zeros(gym.get_sim_rigid_body_count(sim), 3)
    numbers = torch.tensor(actors, dtype=torch.int32, device=root.device)
    return Scene(
        gymapi=gymapi,
        gymtorch=gymtorch,
        gym=gym,
        sim=sim,
        root=root,
        actors=numbers,
        bodies=torch.tensor(bodies, device=root.device),
        moved=torch.zeros_like(numbers),
        force=force,
        torque=torch.zeros_like(force),
        on_gpu=gpu_index is not None,
    )


def _sim_params(gymapi: ModuleType, timestep_s: float, gpu_index: int | None) -> Any:
    params = gymapi.SimParams()
    params.dt = timestep_s
    params.substeps = 1
    params.up_axis = gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, -GRAVITY_M_S2)
    params.use_gpu_pipeline = gpu_index is not None
    params.physx.use_gpu = gpu_index is not None
    return params


def _asset_options(gymapi: ModuleType) -> Any:
    """Switch off what the binary may do to bodies by default: air is ours."""
    options = gymapi.AssetOptions()
    options.linear_damping = 0.0
    options.angular_damping = 0.0
    options.max_linear_velocity = NO_LIMIT
    options.max_angular_velocity = NO_LIMIT
    options.enable_gyroscopic_forces = True
    return options


def _set_mass(gymapi: ModuleType, properties: Any, mass_kg: Tensor, inertia_kg_m2: Tensor) -> None:
    """Give a body a mass () and principal moments (3,) about the axes of its frame."""
    properties.mass = mass_kg.item()
    properties.invMass = 1.0 / properties.mass
    properties.inertia = _diagonal(gymapi, inertia_kg_m2.tolist())
    properties.invInertia = _diagonal(gymapi, (1.0 / inertia_kg_m2).tolist())


def _diagonal(gymapi: ModuleType, numbers: list[float]) -> Any:
    """Build a matrix from whole rows: a row that is read may be a copy."""
    x, y, z = numbers
    matrix = gymapi.Mat33()
    matrix.x = gymapi.Vec3(x, 0.0, 0.0)
    matrix.y = gymapi.Vec3(0.0, y, 0.0)
    matrix.z = gymapi.Vec3(0.0, 0.0, z)
    return matrix


def _expect(done: bool, what: str) -> None:
    """Raise on what Isaac Gym reports by its return value only."""
    if done is False:
        raise SimulationError(
            f"Isaac Gym failed {what}: what follows would not be the robots you asked for. "
            "Fix: read what it printed, and compare with docs/isaacgym.md."
        )
