"""The fake of Isaac Gym's tensor API: its physics against closed forms, its rules one by one."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_contract import AcclimateError
from acclimate_sim.engines.isaacgym.fake import IsaacGymError, gymapi, gymtorch
from acclimate_sim.rotations import rotation_matrix

quick = settings(max_examples=20, deadline=None, derandomize=True)
gym = gymapi.acquire_gym()


def params(dt_s: float = 0.01, substeps: int = 1, gravity: float = 0.0) -> gymapi.SimParams:
    chosen = gymapi.SimParams()
    chosen.dt = dt_s
    chosen.substeps = substeps
    chosen.up_axis = gymapi.UP_AXIS_Z
    chosen.gravity = gymapi.Vec3(0.0, 0.0, -gravity)
    return chosen


def ideal(**changes: object) -> gymapi.AssetOptions:
    """A body in vacuum."""
    options = gymapi.AssetOptions()
    options.angular_damping = 0.0
    options.max_angular_velocity = 1000.0
    options.enable_gyroscopic_forces = True
    for name, value in changes.items():
        setattr(options, name, value)
    return options


@dataclass
class Boxes:
    """A sim with a box in every env, not prepared yet."""

    sim: gymapi.Sim
    envs: list[gymapi.Env]

    @classmethod
    def build(
        cls,
        num_envs: int,
        options: gymapi.AssetOptions | None = None,
        height_m: float = 0.0,
        **settings: float,
    ) -> "Boxes":
        sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params(**settings))
        asset = gym.create_box(sim, 0.3, 0.2, 0.1, options or ideal())
        pose = gymapi.Transform(gymapi.Vec3(0.0, 0.0, height_m))
        envs = []
        for _ in range(num_envs):
            envs.append(gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 4))
            gym.create_actor(envs[-1], asset, pose)
        return cls(sim, envs)

    def change(self, env: int, **changes: float) -> None:
        """Set mass or principal moments (x, y, z) of an env's box."""
        props = gym.get_actor_rigid_body_properties(self.envs[env], 0)
        props[0].mass = changes.pop("mass", props[0].mass)
        for axis, moment in changes.items():
            setattr(getattr(props[0].inertia, axis), axis, moment)
        gym.set_actor_rigid_body_properties(self.envs[env], 0, props)

    def prepare(self) -> torch.Tensor:
        assert gym.prepare_sim(self.sim)
        return gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(self.sim))

    def step(self, steps: int = 1) -> None:
        for _ in range(steps):
            gym.simulate(self.sim)
            gym.fetch_results(self.sim, True)
        gym.refresh_actor_root_state_tensor(self.sim)

    def place(self, states: torch.Tensor, *actors: int) -> None:
        """Set actors to their rows of (num_actors, 13)."""
        numbers = torch.tensor(actors, dtype=torch.int32)
        gym.set_actor_root_state_tensor_indexed(
            self.sim, gymtorch.unwrap_tensor(states), gymtorch.unwrap_tensor(numbers), len(actors)
        )

    def push(
        self,
        force: torch.Tensor | None = None,
        torque: torch.Tensor | None = None,
        space: gymapi.CoordinateSpace = gymapi.ENV_SPACE,
    ) -> None:
        wrench = [None if x is None else gymtorch.unwrap_tensor(x) for x in (force, torque)]
        gym.apply_rigid_body_force_tensors(self.sim, *wrench, space)


@quick
@given(
    dt_s=st.floats(1e-3, 2e-2),
    substeps=st.integers(1, 4),
    steps=st.integers(1, 20),
    gravity=st.floats(0.0, 20.0),
    speed=st.floats(-5.0, 5.0),
)
def test_free_fall_is_that_of_a_semi_implicit_integrator(
    dt_s: float, substeps: int, steps: int, gravity: float, speed: float
) -> None:
    """z = v t - g t (t + h) / 2 with a step of h: first order, below the parabola by g t h / 2."""
    boxes = Boxes.build(1, dt_s=dt_s, substeps=substeps, gravity=gravity)
    roots = boxes.prepare()
    roots[0, 9] = speed
    boxes.place(roots, 0)
    boxes.step(steps)
    t = steps * dt_s
    expected = speed * t - 0.5 * gravity * t * (t + dt_s / substeps)
    assert roots[0, 2].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert roots[0, 9].item() == pytest.approx(speed - gravity * t, rel=1e-4, abs=1e-4)
    assert roots[0, 6].item() == 1.0


def spin(dt_s: float, gyroscopic: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rates in the world, momentum and energy after 0.5 s of free tumbling."""
    moments = torch.tensor([1.0, 2.0, 2.5])
    boxes = Boxes.build(1, ideal(enable_gyroscopic_forces=gyroscopic), dt_s=dt_s)
    boxes.change(0, x=1.0, y=2.0, z=2.5)
    roots = boxes.prepare()
    roots[0, 10:] = torch.tensor([3.0, 0.5, 4.0])
    boxes.place(roots, 0)
    boxes.step(round(0.5 / dt_s))
    rotation = rotation_matrix(roots[0, [6, 3, 4, 5]])
    rate_body = rotation.T @ roots[0, 10:]
    return (
        roots[0, 10:].clone(),
        rotation @ (moments * rate_body),
        0.5 * (moments * rate_body**2).sum(),
    )


def test_tumbling_keeps_momentum_and_energy_to_first_order() -> None:
    start = torch.tensor([3.0, 1.0, 10.0])
    energy = 0.5 * (1.0 * 9.0 + 2.0 * 0.25 + 2.5 * 16.0)
    _, coarse, coarse_energy = spin(0.002)
    rate, fine, fine_energy = spin(0.001)
    assert (rate - torch.tensor([3.0, 0.5, 4.0])).norm() > 1.0  # it does precess
    # An explicit gyroscopic term gains 0.1 % in half a second in steps of 1 ms, and half of that
    # in steps half as long.
    assert (fine - start).norm() < 2e-3 * start.norm()
    assert 1.8 < (coarse - start).norm() / (fine - start).norm() < 2.2
    assert 0.0 < fine_energy - energy < 2e-3 * energy
    assert 1.8 < (coarse_energy - energy) / (fine_energy - energy) < 2.2


def test_without_gyroscopic_forces_the_rate_stays() -> None:
    rate, _, _ = spin(0.002, gyroscopic=False)
    torch.testing.assert_close(rate, torch.tensor([3.0, 0.5, 4.0]))


def test_each_body_has_its_mass_and_inertia() -> None:
    boxes = Boxes.build(3)
    for env, mass in enumerate((0.5, 1.0, 4.0)):
        boxes.change(env, mass=mass, x=0.1 * mass, y=0.2 * mass, z=0.25 * mass)
    roots = boxes.prepare()
    boxes.push(torch.tensor([[2.0, 0.0, 0.0]] * 3), torch.tensor([[0.0, 0.6, 0.0]] * 3))
    boxes.step()
    torch.testing.assert_close(roots[:, 7], 0.01 * 2.0 / torch.tensor([0.5, 1.0, 4.0]))
    torch.testing.assert_close(roots[:, 11], 0.01 * 0.6 / torch.tensor([0.1, 0.2, 0.8]))


@pytest.mark.parametrize("space", gymapi.CoordinateSpace)
def test_local_forces_turn_with_the_body(space: gymapi.CoordinateSpace) -> None:
    boxes = Boxes.build(1)
    boxes.change(0, mass=1.0, x=1.0, y=1.0, z=1.0)
    roots = boxes.prepare()
    half = math.sqrt(0.5)
    roots[0, 3:7] = torch.tensor([0.0, 0.0, half, half])  # x y z w: a quarter turn to the left
    boxes.place(roots, 0)
    boxes.push(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2.0, 0.0, 0.0]]), space)
    boxes.step()
    ahead = [0.0, 1.0, 0.0] if space is gymapi.LOCAL_SPACE else [1.0, 0.0, 0.0]
    np.testing.assert_allclose(roots[0, 7:10], 0.01 * np.array(ahead), atol=1e-7)
    np.testing.assert_allclose(roots[0, 10:], 0.02 * np.array(ahead), atol=1e-7)


def test_a_force_acts_for_one_step_and_over_all_its_substeps() -> None:
    boxes = Boxes.build(1, substeps=5)
    boxes.change(0, mass=2.0)
    roots = boxes.prepare()
    force = torch.tensor([[4.0, 0.0, 0.0]])
    boxes.push(force)
    force.zero_()
    boxes.step()
    assert roots[0, 7].item() == pytest.approx(0.02)
    boxes.step(3)
    assert roots[0, 7].item() == pytest.approx(0.02)


def test_what_an_asset_does_by_default_slows_it_down() -> None:
    boxes = Boxes.build(1, gymapi.AssetOptions())
    roots = boxes.prepare()
    roots[0, 12] = 80.0
    boxes.place(roots, 0)
    boxes.step()
    assert roots[0, 12].item() == pytest.approx(64.0)
    boxes.step(100)
    assert roots[0, 12].item() == pytest.approx(64.0 * math.exp(-0.5), rel=1e-2)


def test_gravity_belongs_to_the_sim_and_can_change() -> None:
    boxes = Boxes.build(3, gravity=10.0)
    roots = boxes.prepare()
    changed = gym.get_sim_params(boxes.sim)
    changed.gravity = gymapi.Vec3(0.0, 0.0, -4.0)
    boxes.step()
    torch.testing.assert_close(roots[:, 9], torch.full((3,), -0.1))
    gym.set_sim_params(boxes.sim, changed)
    boxes.step()
    torch.testing.assert_close(roots[:, 9], torch.full((3,), -0.14))


def test_weightless_assets_float() -> None:
    boxes = Boxes.build(1, ideal(disable_gravity=True), gravity=10.0)
    roots = boxes.prepare()
    boxes.step(5)
    assert roots[0, 9].item() == 0.0


@pytest.mark.parametrize(
    ("ground", "turned", "height_m"), [(False, False, None), (True, False, 0.05), (True, True, 0.1)]
)
def test_the_ground_is_optional(ground: bool, turned: bool, height_m: float | None) -> None:
    boxes = Boxes.build(1, height_m=0.2, gravity=9.81)
    if ground:
        plane = gymapi.PlaneParams()
        plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        gym.add_ground(boxes.sim, plane)
    roots = boxes.prepare()
    if turned:  # onto its side, a quarter turn about x
        roots[0, 3:7] = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
        boxes.place(roots, 0)
    boxes.step(100)
    if height_m is None:
        assert roots[0, 2].item() < -4.0
    else:
        assert roots[0, 2].item() == pytest.approx(height_m, abs=1e-6)
        assert abs(roots[0, 9].item()) < 1e-6


def test_shapes_have_the_inertia_of_solids() -> None:
    sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params())
    env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    options = ideal(density=10.0)
    box = gym.create_actor(env, gym.create_box(sim, 1.0, 2.0, 3.0, options), gymapi.Transform())
    ball = gym.create_actor(env, gym.create_sphere(sim, 0.5, options), gymapi.Transform())
    options.density = 1e6  # options are read once
    (of_box,) = gym.get_actor_rigid_body_properties(env, box)
    (of_ball,) = gym.get_actor_rigid_body_properties(env, ball)
    assert of_box.mass == pytest.approx(60.0)
    assert of_box.inertia.x.x == pytest.approx(60.0 * (4.0 + 9.0) / 12.0)
    assert of_box.inertia.y.y == pytest.approx(60.0 * (1.0 + 9.0) / 12.0)
    assert of_box.inertia.z.z == pytest.approx(60.0 * (1.0 + 4.0) / 12.0)
    mass = 10.0 * 4.0 / 3.0 * math.pi * 0.125
    assert of_ball.mass == pytest.approx(mass)
    assert of_ball.inertia.y.y == pytest.approx(0.4 * mass * 0.25)
    assert of_ball.inertia.x.y == 0.0


def test_inertia_follows_the_mass_only_when_asked() -> None:
    boxes = Boxes.build(1)
    (before,) = gym.get_actor_rigid_body_properties(boxes.envs[0], 0)
    (after,) = gym.get_actor_rigid_body_properties(boxes.envs[0], 0)
    after.mass = 3.0 * before.mass
    gym.set_actor_rigid_body_properties(boxes.envs[0], 0, [after])
    (same,) = gym.get_actor_rigid_body_properties(boxes.envs[0], 0)
    assert same.inertia.x.x == before.inertia.x.x
    after.mass *= 2.0
    gym.set_actor_rigid_body_properties(boxes.envs[0], 0, [after], True)
    (scaled,) = gym.get_actor_rigid_body_properties(boxes.envs[0], 0)
    assert scaled.mass == pytest.approx(6.0 * before.mass)
    assert scaled.inertia.x.x == pytest.approx(2.0 * before.inertia.x.x)


def test_envs_stand_in_rows_and_states_are_in_the_world() -> None:
    sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params())
    asset = gym.create_box(sim, 0.1, 0.1, 0.1)
    pose = gymapi.Transform(gymapi.Vec3(0.5, 0.0, 2.0), gymapi.Quat(0.0, 0.0, 1.0, 0.0))
    for _ in range(3):
        env = gym.create_env(sim, gymapi.Vec3(-1.0, -2.0, 0.0), gymapi.Vec3(1.0, 2.0, 3.0), 2)
        gym.create_actor(env, asset, pose)
    gym.prepare_sim(sim)
    roots = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim))
    assert roots[:, :3].tolist() == [[0.5, 0.0, 2.0], [2.5, 0.0, 2.0], [0.5, 4.0, 2.0]]
    assert roots[:, 3:7].tolist() == [[0.0, 0.0, 1.0, 0.0]] * 3
    assert gym.get_env_origin(env).y == 4.0


def test_handles_count_in_the_env_and_indices_in_the_sim() -> None:
    sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params())
    asset = gym.create_sphere(sim, 0.1)
    found = []
    for _ in range(3):
        env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        handles = [gym.create_actor(env, asset, gymapi.Transform()) for _ in range(2)]
        assert handles == [0, 1]
        assert gym.get_actor_index(env, 1, gymapi.DOMAIN_ENV) == 1
        assert gym.get_actor_rigid_body_index(env, 1, 0, gymapi.DOMAIN_ENV) == 1
        assert gym.get_actor_rigid_body_index(env, 1, 0, gymapi.DOMAIN_ACTOR) == 0
        found += [gym.get_actor_index(env, h, gymapi.DOMAIN_SIM) for h in handles]
    assert found == list(range(6))
    assert gym.get_actor_rigid_body_index(env, 1, 0, gymapi.DOMAIN_SIM) == 5
    assert gym.get_sim_actor_count(sim) == gym.get_sim_rigid_body_count(sim) == 6


def test_the_buffer_changes_at_refresh_and_shares_its_memory() -> None:
    boxes = Boxes.build(2, gravity=10.0)
    roots = boxes.prepare()
    described = gym.acquire_actor_root_state_tensor(boxes.sim)
    assert described.data_address == roots.data_ptr()
    assert (described.shape, described.ndim, described.device) == ((2, 13), 2, -1)
    assert gymtorch.unwrap_tensor(roots).data_address == roots.data_ptr()
    before = roots.clone()
    gym.simulate(boxes.sim)
    gym.fetch_results(boxes.sim, True)
    assert torch.equal(roots, before)
    gym.refresh_actor_root_state_tensor(boxes.sim)
    assert (roots[:, 9] < -0.09).all()


def test_a_setter_takes_effect_at_the_next_step_with_the_numbers_of_its_call() -> None:
    boxes = Boxes.build(1)
    roots = boxes.prepare()
    roots[0, 0] = 7.0
    boxes.place(roots, 0)
    roots[0, 0] = 9.0
    gym.refresh_actor_root_state_tensor(boxes.sim)
    assert roots[0, 0].item() == 0.0
    boxes.step()
    assert roots[0, 0].item() == 7.0
    boxes.place(roots, 0)  # once per step again


@quick
@given(chosen=st.sets(st.integers(0, 5), min_size=1), seed=st.integers(0, 1000))
def test_an_indexed_setter_leaves_the_others_alone(chosen: set[int], seed: int) -> None:
    boxes = Boxes.build(6)
    roots = boxes.prepare()
    given_states = torch.zeros(6, 13)
    given_states[:, 6] = 1.0
    given_states[:, :3] = 1.0 + torch.rand(6, 3, generator=torch.Generator().manual_seed(seed))
    boxes.place(given_states, *sorted(chosen, key=lambda i: (i * seed) % 7))
    boxes.step()
    expected = torch.zeros(6, 3)
    expected[list(chosen)] = given_states[list(chosen), :3]
    assert torch.equal(roots[:, :3], expected)


def test_all_states_can_be_set_at_once() -> None:
    boxes = Boxes.build(2)
    roots = boxes.prepare()
    roots[:, 1] = torch.tensor([1.0, 2.0])
    gym.set_actor_root_state_tensor(boxes.sim, gymtorch.unwrap_tensor(roots))
    roots[:, 1] = 0.0
    boxes.step()
    assert roots[:, 1].tolist() == [1.0, 2.0]


def running() -> tuple[Boxes, torch.Tensor]:
    boxes = Boxes.build(2)
    return boxes, boxes.prepare()


def grown(act: Callable[[Boxes], object]) -> None:
    boxes, _ = running()
    act(boxes)


def created(**changes: object) -> None:
    chosen = params()
    for name, value in changes.items():
        setattr(chosen, name, value)
    gym.create_sim(0, -1, gymapi.SIM_PHYSX, chosen)


def indexed(numbers: torch.Tensor, count: int | None = None) -> None:
    boxes, roots = running()
    gym.set_actor_root_state_tensor_indexed(
        boxes.sim,
        gymtorch.unwrap_tensor(roots),
        gymtorch.unwrap_tensor(numbers),
        len(numbers) if count is None else count,
    )


def with_roots(roots: torch.Tensor) -> None:
    boxes, _ = running()
    gym.set_actor_root_state_tensor(boxes.sim, gymtorch.unwrap_tensor(roots))


def refreshed_without_fetching() -> None:
    boxes, _ = running()
    gym.simulate(boxes.sim)
    gym.refresh_actor_root_state_tensor(boxes.sim)


def set_twice() -> None:
    boxes, roots = running()
    boxes.place(roots, 0)
    boxes.place(roots, 1)


def pushed_twice() -> None:
    boxes, _ = running()
    force = torch.ones(2, 3)
    boxes.push(force)
    boxes.push(None, force)


def set_from_old_states() -> None:
    boxes, roots = running()
    gym.simulate(boxes.sim)
    gym.set_actor_root_state_tensor(boxes.sim, gymtorch.unwrap_tensor(roots))


def freed() -> None:
    boxes, _ = running()
    described = gymtorch.unwrap_tensor(torch.ones(2, 3) + 1.0)
    gym.apply_rigid_body_force_tensors(boxes.sim, described)


def actor_in_an_earlier_env() -> None:
    boxes = Boxes.build(2)
    asset = gym.create_sphere(boxes.sim, 0.1)
    gym.create_actor(boxes.envs[0], asset, gymapi.Transform())


def ground(axis: str = "z", distance: float = 0.0) -> None:
    boxes = Boxes.build(1)
    plane = gymapi.PlaneParams()
    plane.normal = gymapi.Vec3()
    setattr(plane.normal, axis, 1.0)
    plane.distance = distance
    gym.add_ground(boxes.sim, plane)


def off_centre() -> None:
    boxes = Boxes.build(1)
    (props,) = gym.get_actor_rigid_body_properties(boxes.envs[0], 0)
    props.com.x = 0.1
    gym.set_actor_rigid_body_properties(boxes.envs[0], 0, [props])


def another_step_size(boxes: Boxes) -> None:
    chosen = gym.get_sim_params(boxes.sim)
    chosen.dt *= 2.0
    gym.set_sim_params(boxes.sim, chosen)


def destroyed(act: Callable[[gymapi.Sim], object]) -> None:
    boxes, _ = running()
    gym.destroy_sim(boxes.sim)
    act(boxes.sim)


GPU = gymapi.PhysXParams()
GPU.use_gpu = True
VIOLATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "create_env late": (
        lambda: grown(lambda b: gym.create_env(b.sim, gymapi.Vec3(), gymapi.Vec3(), 1)),
        "create_env after prepare_sim",
    ),
    "create_actor late": (
        lambda: grown(
            lambda b: gym.create_actor(b.envs[1], b.sim.actors[0].asset, gymapi.Transform())
        ),
        "create_actor after prepare_sim",
    ),
    "mass changed late": (
        lambda: grown(lambda b: b.change(0, mass=2.0)),
        "set_actor_rigid_body_properties after prepare_sim",
    ),
    "ground late": (
        lambda: grown(lambda b: gym.add_ground(b.sim, gymapi.PlaneParams())),
        "add_ground after prepare_sim",
    ),
    "assets late": (lambda: grown(lambda b: gym.create_sphere(b.sim, 1.0)), "create_sphere after"),
    "prepared twice": (lambda: grown(lambda b: gym.prepare_sim(b.sim)), "prepare_sim after"),
    "prepared empty": (
        lambda: gym.prepare_sim(gym.create_sim(0, -1, gymapi.SIM_PHYSX, params())),
        "without actors",
    ),
    "acquired early": (
        lambda: gym.acquire_actor_root_state_tensor(Boxes.build(1).sim),
        "acquire_actor_root_state_tensor while the sim is being built",
    ),
    "simulated early": (lambda: gym.simulate(Boxes.build(1).sim), "simulate while"),
    "simulated late": (lambda: destroyed(gym.simulate), "the sim is destroyed"),
    "destroyed twice": (lambda: destroyed(gym.destroy_sim), "destroy_sim twice"),
    "not fetched": (refreshed_without_fetching, "without fetch_results"),
    "fetched without waiting": (
        lambda: grown(lambda b: gym.fetch_results(b.sim, False)),
        "too early",
    ),
    "set twice": (set_twice, "root states set twice before simulate"),
    "pushed twice": (pushed_twice, "forces set twice before simulate"),
    "set from old states": (set_from_old_states, "not refreshed since simulate"),
    "int64 indices": (lambda: indexed(torch.tensor([0])), "int64 has no counterpart"),
    "float indices": (lambda: indexed(torch.zeros(1)), r"float32 \(1,\).*reads torch.int32"),
    "too many indices": (
        lambda: indexed(torch.tensor([0, 1], dtype=torch.int32), 1),
        r"int32 \(2,\).*reads torch.int32 \(1,\)",
    ),
    "no indices": (lambda: indexed(torch.zeros(0, dtype=torch.int32)), "at least one index"),
    "index out of range": (
        lambda: indexed(torch.tensor([2], dtype=torch.int32)),
        r"actors \[2\] of 2",
    ),
    "negative index": (
        lambda: indexed(torch.tensor([-1], dtype=torch.int32)),
        r"actors \[-1\] of 2",
    ),
    "index twice": (
        lambda: indexed(torch.tensor([1, 1], dtype=torch.int32)),
        "one of them twice",
    ),
    "indices elsewhere": (
        lambda: indexed(torch.zeros(1, dtype=torch.int32, device="meta")),
        "on meta where Gym",
    ),
    "rows missing": (lambda: with_roots(torch.zeros(1, 13)), r"\(1, 13\).*\(2, 13\)"),
    "float64": (lambda: with_roots(torch.zeros(2, 13).double()), "float64 has no counterpart"),
    "not contiguous": (lambda: with_roots(torch.zeros(13, 2).T), "not contiguous"),
    "freed": (freed, "no longer exists"),
    "forces for some": (
        lambda: grown(lambda b: b.push(torch.ones(1, 3))),
        r"\(1, 3\).*\(2, 3\)",
    ),
    "no forces": (lambda: grown(lambda b: b.push()), "neither forces nor torques"),
    "wrapped in part": (
        lambda: gymtorch.wrap_tensor(gymtorch.unwrap_tensor(torch.ones(2)), (0,), (1,)),
        "whole buffers",
    ),
    "actor in an earlier env": (actor_in_an_earlier_env, "not the newest"),
    "unknown actor": (
        lambda: gym.get_actor_index(Boxes.build(1).envs[0], 1, gymapi.DOMAIN_SIM),
        "no actor 1",
    ),
    "unknown body": (
        lambda: gym.get_actor_rigid_body_index(Boxes.build(1).envs[0], 0, 1, gymapi.DOMAIN_SIM),
        "no body 1",
    ),
    "no mass": (lambda: Boxes.build(1).change(0, mass=0.0), "not positive"),
    "no inertia": (lambda: Boxes.build(1).change(0, y=-1.0), "not positive"),
    "mass beside the middle": (off_centre, "in the middle only"),
    "properties missing": (
        lambda: gym.set_actor_rigid_body_properties(Boxes.build(1).envs[0], 0, []),
        "0 properties for one body",
    ),
    "a wall": (lambda: ground("x"), "is a wall"),
    "ground elsewhere": (lambda: ground(distance=1.0), "not documented"),
    "envs in no row": (
        lambda: gym.create_env(Boxes.build(1).sim, gymapi.Vec3(), gymapi.Vec3(), 0),
        "at least 1",
    ),
    "another step size": (lambda: grown(another_step_size), "dt, substeps"),
    "flex": (lambda: gym.create_sim(0, -1), "SIM_PHYSX"),
    "gpu pipeline alone": (lambda: created(use_gpu_pipeline=True), "set both"),
    "no step": (lambda: created(dt=0.0), "must be positive"),
    "no gpu": (
        lambda: created(use_gpu_pipeline=True, physx=GPU),
        "no GPU found",
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_misuse_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    act, message = VIOLATIONS[name]
    with pytest.raises(IsaacGymError, match=message) as error:
        act()
    assert "Fix:" in str(error.value)
    assert isinstance(error.value, AcclimateError)


@pytest.mark.parametrize("struct", [gymapi.SimParams, gymapi.AssetOptions, gymapi.Vec3])
def test_misspelt_settings_are_refused(struct: type) -> None:
    with pytest.raises(AttributeError):
        struct().gravitiy = 1.0
