"""Quadrotors through the adapter, over the fake: against the analytic engine and closed forms."""

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from types import ModuleType

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_contract import AcclimateError, ConfigError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.isaacgym import IsaacGymCfg, IsaacGymEngine, load
from acclimate_sim.engines.isaacgym.fake import gymapi, gymtorch
from acclimate_sim.engines.isaacgym.root_states import from_root, to_root
from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    Engine,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    advance,
    calm,
    external_force,
    perfect,
    published,
    reset,
    resting,
    sample,
    sample_imperfect,
    step,
)
from acclimate_sim.rotations import rotation_matrix

DT_S = 0.01
STATE_FIELDS = [field.name for field in fields(MultirotorState)]


class WatchedGym(gymapi.Gym):
    """Counts writes of root states and puts something beside every robot."""

    def __init__(self, decoys: bool = False) -> None:
        self.written: list[int] = []
        self.sims: list[gymapi.Sim] = []
        self._decoys = decoys

    def create_sim(self, *args: object) -> gymapi.Sim:
        self.sims.append(super().create_sim(*args))
        return self.sims[-1]

    def create_env(self, sim: gymapi.Sim, *args: object) -> gymapi.Env:
        env = super().create_env(sim, *args)
        if self._decoys:
            self.create_actor(env, self.create_sphere(sim, 0.1), gymapi.Transform())
        return env

    def set_actor_root_state_tensor_indexed(self, *args: object) -> bool:
        self.written.append(args[-1])
        return super().set_actor_root_state_tensor_indexed(*args)


def watched(gym: WatchedGym, substeps: int = 2) -> IsaacGymEngine:
    module = ModuleType("gymapi")
    vars(module).update(vars(gymapi), acquire_gym=lambda: gym)
    return IsaacGymEngine(module, gymtorch, IsaacGymCfg(substeps=substeps))


def faked(substeps: int = 2) -> IsaacGymEngine:
    return IsaacGymEngine(gymapi, gymtorch, IsaacGymCfg(substeps=substeps))


def tumbling(n: int, seed: int) -> tuple[MultirotorParameters, MultirotorState, Tensor, Tensor]:
    """Robots, first states, actions (n, 4) that make them tumble, and forces (n, 3)."""
    generator = torch.Generator().manual_seed(seed)
    robots = sample(published(), n, generator)
    state = reset(robots, InitialStates(), generator)
    share = 20.0 / robots.torque_to_inertia.unsqueeze(-1)
    unit = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    speed = (robots.hover_speed.unsqueeze(-1) + share * (unit - 0.5)).clamp(0.05, 0.95)
    return robots, state, 2.0 * speed - 1.0, external_force(robots, generator)


def flown(
    engine: Engine,
    robots: MultirotorParameters,
    state: MultirotorState,
    action: Tensor,
    steps: int,
    dt_s: float = DT_S,
    **external: Tensor,
) -> MultirotorState:
    for _ in range(steps):
        state = engine(robots, state, action, dt_s, **external)
    return state


def without_thrust(robots: MultirotorParameters) -> MultirotorParameters:
    return replace(robots, thrust_curve_n=torch.zeros_like(robots.thrust_curve_n))


@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
@given(seed=st.integers(0, 2**31))
def test_same_forces_same_flight_up_to_the_integrator(seed: int) -> None:
    """0.3 s of tumbling with motors that follow a jump, a constant force and a torque.

    PhysX's integrator, and so the fake's, is of first order: half the step, half the error. The
    fall alone is ahead by g t h / 2, 1.5 mm in steps of 1 ms, and thrust points where the robot
    did half a step ago. What two steps extrapolate to agrees fifty times better.
    """
    robots, start, action, force = tumbling(8, seed)
    external = {
        "external_force_n": force,
        "external_torque_nm": 0.5 * robots.inertia_kg_m2,
    }
    end = flown(step, robots, start, action, 150, 0.002, **external)
    assert end.angular_velocity.norm(dim=-1).max() > 2.0

    def ended(substeps: int) -> MultirotorState:
        return flown(faked(substeps), robots, start, action, 30, **external)

    coarse, fine = ended(5), ended(10)
    bounds = {"position": 3e-3, "linear_velocity": 1e-2, "angular_velocity": 1e-1}
    for name, bound in bounds.items():
        exact = getattr(end, name)
        error = (getattr(coarse, name) - exact).norm(dim=-1)
        finer = (getattr(fine, name) - exact).norm(dim=-1)
        assert finer.max() < bound
        assert 1.9 < error.mean() / finer.mean() < 2.1
    extrapolated = 2.0 * fine.position - coarse.position
    torch.testing.assert_close(extrapolated, end.position, rtol=0.0, atol=5e-5)
    torch.testing.assert_close(coarse.motor_speed, end.motor_speed, rtol=0.0, atol=1e-5)


def test_one_step_agrees_with_tilted_motors_and_the_mass_beside_the_middle() -> None:
    """Accelerations over a single millisecond, where integrators still agree."""
    generator = torch.Generator().manual_seed(3)
    robots = sample(DISTRIBUTIONS["diverse"](), 32, generator)
    bent = robots.motor_axis[..., :2].abs().amax((1, 2)) > 0.01
    assert bent.sum() >= 4
    start = replace(reset(robots, InitialStates(), generator), linear_velocity=torch.zeros(32, 3))
    action = torch.full((32, 4), 0.5, dtype=torch.float64)
    exact = step(robots, start, action, 0.001)
    ours = faked(1)(robots, start, action, 0.001)
    for name, atol in (("linear_velocity", 1e-4), ("angular_velocity", 2e-3)):
        gained = getattr(exact, name) - getattr(start, name)
        assert gained.abs().max() > 50 * atol
        torch.testing.assert_close(
            getattr(ours, name), getattr(exact, name), rtol=1e-3, atol=atol, check_dtype=False
        )


def test_free_fall_loses_half_a_step_of_gravity() -> None:
    robots = without_thrust(sample(published(), 2, torch.Generator().manual_seed(0)))
    start = resting(2, like=robots.mass_kg)
    end = flown(faked(5), robots, start, torch.zeros(2, 4), 50)
    t, h = 0.5, DT_S / 5
    expected = torch.full((2,), -0.5 * GRAVITY_M_S2 * t * (t + h), dtype=torch.float64)
    torch.testing.assert_close(end.position[:, 2], expected, rtol=1e-5, atol=0.0)
    assert end.position[:, :2].abs().max() == 0.0


def test_tumbling_in_free_fall_keeps_its_energy_to_first_order() -> None:
    robots, start, action, _ = tumbling(8, seed=4)
    robots = without_thrust(robots)
    start = replace(start, angular_velocity=10.0 * start.angular_velocity)

    def energy(state: MultirotorState) -> Tensor:
        spin = 0.5 * (robots.inertia_kg_m2 * state.angular_velocity**2).sum(-1)
        speed = state.linear_velocity.square().sum(-1)
        weight = GRAVITY_M_S2 * state.position[:, 2]
        return torch.stack((spin, robots.mass_kg * (0.5 * speed + weight)))

    before = energy(start)
    drift = [energy(flown(faked(n), robots, start, action, 30)) - before for n in (5, 10)]
    # Rotation gains by the explicit gyroscopic term; the fall is ahead by m g^2 t h / 2.
    moving = before[0] > 0.0
    assert (drift[1][0][moving] < 0.05 * before[0][moving]).all()
    expected = -0.5 * robots.mass_kg * GRAVITY_M_S2**2 * 0.3 * DT_S / 10
    torch.testing.assert_close(drift[1][1], expected, rtol=5e-2, atol=1e-4)
    for coarse, fine in zip(*drift, strict=True):
        assert 1.8 < coarse.abs().sum() / fine.abs().sum() < 2.2


def test_nothing_slows_a_robot_that_spins_or_falls_fast() -> None:
    robots = without_thrust(sample(published(), 2, torch.Generator().manual_seed(0)))
    start = resting(2, like=robots.mass_kg)
    rate = torch.tensor([[0.0, 0.0, 200.0]], dtype=torch.float64).expand(2, 3)
    start = replace(start, angular_velocity=rate, linear_velocity=0.5 * rate)
    end = flown(faked(), robots, start, torch.zeros(2, 4), 20)
    torch.testing.assert_close(end.angular_velocity, rate, rtol=1e-5, atol=1e-3)
    speed = torch.full((2,), 100.0 - GRAVITY_M_S2 * 0.2, dtype=torch.float64)
    torch.testing.assert_close(end.linear_velocity[:, 2], speed, rtol=1e-5, atol=0.0)


def test_each_robot_has_its_mass_and_inertia() -> None:
    robots, start, action, _ = tumbling(5, seed=1)
    gym = WatchedGym()
    watched(gym)(robots, start, action, DT_S)
    (sim,) = gym.sims
    for i, env in enumerate(sim.envs):
        (props,) = gym.get_actor_rigid_body_properties(env, 0)
        inertia = [props.inertia.x.x, props.inertia.y.y, props.inertia.z.z]
        assert props.mass == robots.mass_kg[i].item()
        assert inertia == robots.inertia_kg_m2[i].tolist()
        assert props.mass * props.invMass == pytest.approx(1.0)
        assert props.inertia.y.y * props.invInertia.y.y == pytest.approx(1.0)
        assert props.inertia.x.y == 0.0
    still = resting(5, like=robots.mass_kg)
    force = torch.tensor([[3.0, 0.0, 0.0]], dtype=torch.float64).expand(5, 3)
    torque = torch.tensor([[0.0, 0.0, 0.01]], dtype=torch.float64).expand(5, 3)
    end = faked()(
        without_thrust(robots), still, action, DT_S,
        external_force_n=force, external_torque_nm=torque,
    )  # fmt: skip
    torch.testing.assert_close(end.linear_velocity[:, 0], 0.03 / robots.mass_kg, rtol=1e-3, atol=0)
    expected = 1e-4 / robots.inertia_kg_m2[:, 2]
    torch.testing.assert_close(end.angular_velocity[:, 2], expected, rtol=1e-3, atol=0)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(chosen=st.sets(st.integers(0, 5)), seed=st.integers(0, 1000))
def test_only_rows_that_were_replaced_are_written_back(chosen: set[int], seed: int) -> None:
    robots, start, action, _ = tumbling(6, seed)
    gym = WatchedGym()
    engine = watched(gym)
    state = engine(robots, start, action, DT_S)
    state = engine(robots, state, action, DT_S)
    assert gym.written == [6]
    mask = torch.zeros(6, 1, dtype=torch.bool)
    mask[list(chosen)] = True
    mixed = {n: torch.where(mask, getattr(start, n), getattr(state, n)) for n in STATE_FIELDS}
    after = engine(robots, MultirotorState(**mixed), action, DT_S)
    assert gym.written == [6] + [len(chosen)] * bool(chosen)

    went_on = flown(faked(), robots, start, action, 3)
    began = flown(faked(), robots, start, action, 1)
    for name in STATE_FIELDS:
        expected = torch.where(mask, getattr(began, name), getattr(went_on, name))
        torch.testing.assert_close(getattr(after, name), expected, rtol=0.0, atol=1e-6)


def test_a_state_changed_in_place_is_noticed() -> None:
    robots, start, action, _ = tumbling(3, seed=2)
    gym = WatchedGym()
    engine = watched(gym)
    state = engine(robots, start, action, DT_S)
    state.position[1] += 5.0
    moved = engine(robots, state, action, DT_S)
    assert gym.written == [3, 1]
    assert (moved.position[1] - state.position[1]).norm() < 0.5
    moved.motor_speed[0] = 0.0  # motors are ours: nothing to write
    engine(robots, moved, action, DT_S)
    assert gym.written == [3, 1]


def test_robots_need_not_be_the_only_actors() -> None:
    robots, start, action, force = tumbling(3, seed=6)
    alone = flown(faked(), robots, start, action, 5, external_force_n=force)
    gym = WatchedGym(decoys=True)
    crowded = flown(watched(gym), robots, start, action, 5, external_force_n=force)
    assert gym.get_sim_actor_count(gym.sims[0]) == 6
    for name in STATE_FIELDS:
        torch.testing.assert_close(getattr(crowded, name), getattr(alone, name))


def test_robots_do_not_depend_on_their_company() -> None:
    robots, start, action, force = tumbling(5, seed=8)
    together = flown(faked(), robots, start, action, 10, external_force_n=force)
    again = flown(faked(), robots, start, action, 10, external_force_n=force)
    alone = flown(faked(), robots[2:3], start[2:3], action[2:3], 10, external_force_n=force[2:3])
    for name in STATE_FIELDS:
        assert torch.equal(getattr(together, name), getattr(again, name))
        torch.testing.assert_close(
            getattr(alone, name), getattr(together, name)[2:3], rtol=0.0, atol=2e-6
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_callers_type_comes_back(dtype: torch.dtype) -> None:
    robots, start, action, _ = tumbling(2, seed=5)
    state = MultirotorState(**{n: getattr(start, n).to(dtype) for n in STATE_FIELDS})
    end = faked()(robots.to(dtype), state, action.to(dtype), DT_S)
    assert {getattr(end, name).dtype for name in STATE_FIELDS} == {dtype}
    torch.testing.assert_close(
        end.orientation.norm(dim=-1), torch.ones(2, dtype=dtype), rtol=0.0, atol=1e-6
    )


UNIT = st.floats(-1.0, 1.0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(numbers=st.lists(UNIT, min_size=13, max_size=13))
def test_root_states_say_the_same_in_another_order(numbers: list[float]) -> None:
    rows = torch.tensor([numbers], dtype=torch.float64)
    rows[:, 3] += 2.0  # far from a quaternion of no length
    rows[:, 3:7] = torch.nn.functional.normalize(rows[:, 3:7], dim=-1)
    root = to_root(rows)
    assert root[0, [6, 3, 4, 5]].tolist() == rows[0, 3:7].tolist()
    assert torch.equal(root[:, [0, 1, 2, 7, 8, 9]], rows[:, [0, 1, 2, 7, 8, 9]])
    world = rotation_matrix(rows[0, 3:7]) @ rows[0, 10:]
    torch.testing.assert_close(root[0, 10:], world)
    torch.testing.assert_close(from_root(root), rows)


def test_a_world_with_air_and_a_battery_flies_through_it() -> None:
    generator = torch.Generator().manual_seed(11)
    robots, imperfections = sample_imperfect(DISTRIBUTIONS["diverse"](), 8, generator)
    state = reset(robots, InitialStates(), generator)
    ours = theirs = state
    setpoint = (2.0 * robots.hover_speed - 1.0).unsqueeze(-1).expand(-1, 4)
    engine = faked(20)
    schedule = calm(robots, 20, DT_S)
    schedule = replace(schedule, wind_m_s=schedule.wind_m_s + 8.0)
    for now in map(schedule.at, range(len(schedule))):
        ours = advance(robots, imperfections, now, ours, setpoint, engine)
        theirs = advance(robots, imperfections, now, theirs, setpoint)
    torch.testing.assert_close(ours.position, theirs.position, rtol=0.0, atol=2e-3)
    vacuum = flown(step, robots, state, setpoint, 20)
    assert (vacuum.position - theirs.position).abs().max() > 2e-2


def test_a_payload_in_flight_is_refused() -> None:
    robots, state, action, _ = tumbling(2, seed=3)
    engine = faked()
    now = calm(robots, 1, DT_S).at(0)
    state = advance(robots, perfect(robots), now, state, action, engine)
    loaded = replace(now, mass_factor=torch.tensor([1.0, 1.2]))
    with pytest.raises(
        ConfigError, match=r"mass_kg of robot 1 changed.*payloads.*Fix|Fix.*payload"
    ):
        advance(robots, perfect(robots), loaded, state, action, engine)


Change = Callable[[MultirotorParameters, MultirotorState], dict]
REFUSED: dict[str, tuple[Change, str]] = {
    "another inertia": (
        lambda robots, _: {"parameters": replace(robots, inertia_kg_m2=1.1 * robots.inertia_kg_m2)},
        "inertia_kg_m2 of robot 0 changed",
    ),
    "another mass": (
        lambda robots, _: {"parameters": replace(robots, mass_kg=1.1 * robots.mass_kg)},
        "mass_kg of robot 0 changed",
    ),
    "another period": (lambda *_: {"dt_s": 0.02}, "control period 0.02 in a sim of 0.01 s"),
    "a shorter period": (lambda *_: {"dt_s": 0.005}, "control period 0.005 in a sim of 0.01 s"),
    "another period for one": (
        lambda *_: {"dt_s": torch.tensor([0.01, 0.011])},
        "control period",
    ),
    "fewer robots": (
        lambda robots, state: {"parameters": robots[:1], "state": state[:1]},
        "1 robots and 1 states in a sim of 2",
    ),
    "fewer states": (
        lambda _, state: {"state": state[:1]},
        "2 robots and 1 states in a sim of 2",
    ),
    "a gradient through the action": (
        lambda *_: {"action": torch.zeros(2, 4, requires_grad=True)},
        "has no gradients",
    ),
    "a gradient through a parameter": (
        lambda robots, _: {
            "parameters": replace(robots, mass_kg=robots.mass_kg.clone().requires_grad_())
        },
        "has no gradients",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_do_is_refused_and_changes_nothing(name: str) -> None:
    robots, start, action, _ = tumbling(2, seed=9)
    engine = faked()
    state = engine(robots, start, action, DT_S)
    call = {"parameters": robots, "state": state, "action": action, "dt_s": DT_S}
    change, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message) as error:
        engine(**(call | change(robots, state)))
    assert "Fix:" in str(error.value)
    after = engine(**call)
    expected = flown(faked(), robots, start, action, 2)
    assert torch.equal(after.position, expected.position)


def test_a_policy_under_no_grad_may_have_weights() -> None:
    robots, start, _, _ = tumbling(2, seed=9)
    with torch.no_grad():
        faked()(robots, start, torch.zeros(2, 4, requires_grad=True), DT_S)


@pytest.mark.parametrize("dt_s", [0.0, -0.01, float("nan"), torch.tensor([0.01, 0.02])])
def test_a_sim_needs_one_period(dt_s: float | Tensor) -> None:
    robots, start, action, _ = tumbling(2, seed=9)
    with pytest.raises(ConfigError, match=r"one positive step.*Fix:"):
        faked()(robots, start, action, dt_s)


def test_equal_periods_per_robot_are_one() -> None:
    robots, start, action, _ = tumbling(2, seed=9)
    engine = faked()
    state = engine(robots, start, action, torch.full((2,), DT_S))
    engine(robots, state, action, DT_S)


def test_no_robots_and_no_substeps_are_refused() -> None:
    robots, start, action, _ = tumbling(1, seed=0)
    with pytest.raises(ConfigError, match=r"no robots.*Fix:"):
        faked()(robots[:0], start[:0], action[:0], DT_S)
    with pytest.raises(ConfigError, match=r"substeps=0.*Fix:"):
        IsaacGymCfg(substeps=0)


def test_states_that_are_not_finite_are_named_and_a_reset_goes_on() -> None:
    robots, start, action, _ = tumbling(3, seed=7)
    engine = faked()
    force = torch.zeros(3, 3)
    force[1] = torch.nan
    broken = engine(robots, start, action, DT_S, external_force_n=force)
    with pytest.raises(SimulationError, match=r"robots \[1\] are not finite.*Fix:") as error:
        engine(robots, broken, action, DT_S)
    assert isinstance(error.value, AcclimateError)
    healed = engine(robots, start, action, DT_S)
    expected = faked()(robots, start, action, DT_S)
    assert torch.equal(healed.position, expected.position)


FALLIBLE = (
    "create_sim",
    "set_actor_rigid_body_properties",
    "prepare_sim",
    "set_actor_root_state_tensor_indexed",
    "apply_rigid_body_force_tensors",
    "refresh_actor_root_state_tensor",
)


@pytest.mark.parametrize("method", FALLIBLE)
def test_a_failure_that_is_only_returned_is_an_error(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = None if method == "create_sim" else False
    gym = WatchedGym()
    monkeypatch.setattr(gym, method, lambda *_: failed)
    robots, start, action, _ = tumbling(1, seed=0)
    with pytest.raises(SimulationError, match=r"Isaac Gym failed to .*Fix:"):
        watched(gym)(robots, start, action, DT_S)


def test_closing_it_frees_it_for_other_robots() -> None:
    robots, start, action, _ = tumbling(3, seed=7)
    gym = WatchedGym()
    engine = watched(gym)
    engine.close()
    engine(robots, start, action, DT_S)
    engine.close()
    engine(robots[:2], start[:2], action[:2], 0.005)
    first, second = gym.sims
    with pytest.raises(AcclimateError, match="destroyed"):
        gym.simulate(first)
    assert gym.get_sim_actor_count(second) == 2
    assert gym.get_sim_params(second).dt == pytest.approx(0.0025)


@pytest.mark.parametrize("build", [load, lambda: make_engine("isaacgym")])
def test_without_the_binary_it_says_what_to_install(build: Callable[[], Engine]) -> None:
    with pytest.raises(ConfigError, match=r"Preview 4.*Python up to 3\.8.*before torch.*Fix:"):
        build()


def test_an_installed_isaac_gym_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isaacgym", ModuleType("isaacgym"))
    monkeypatch.setitem(sys.modules, "isaacgym.gymapi", gymapi)
    monkeypatch.setitem(sys.modules, "isaacgym.gymtorch", gymtorch)
    robots, start, action, _ = tumbling(1, seed=0)
    found = make_engine("isaacgym")(robots, start, action, DT_S)
    expected = IsaacGymEngine(gymapi, gymtorch)(robots, start, action, DT_S)
    assert torch.equal(found.position, expected.position)
