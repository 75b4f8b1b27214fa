"""What every engine must do alike; one suite for all of them."""

import math
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from engine_cases import CASES, EXACT, PERIOD_S, Case, apart, cast, commands, crew, exactly, fly
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.mujoco_batch import MujocoBatch
from acclimate_sim.engines.table import ENGINES, make_engine
from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    GRAVITY_M_S2,
    Engine,
    InitialStates,
    MultirotorParameters,
    MultirotorState,
    advance,
    calm,
    reset,
    resting,
    sample,
    sample_imperfect,
    step,
)

SLOW = ("mujoco_warp",)
"""Their kernels compile for a minute on a CPU."""


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def case(request: pytest.FixtureRequest) -> Case:
    if request.param in SLOW:
        pytest.importorskip("mujoco_warp")
    return CASES[request.param]


def test_the_same_again_whatever_came_between(case: Case) -> None:
    robots, state = crew(3, case.dtype)
    others, elsewhere = crew(5, case.dtype, seed=1)
    actions = commands(robots, 5, turn=50.0)
    engine = case.make()
    first = fly(engine, robots, state, actions)
    fly(engine, others, elsewhere, commands(others, 2, turn=50.0))
    for again in (engine, case.make()):
        second = fly(again, robots, state, actions)
        for name, value in vars(first).items():
            torch.testing.assert_close(vars(second)[name], value, rtol=0, atol=0)


def test_a_robot_alone_flies_as_in_the_crowd(case: Case) -> None:
    robots, state = crew(5, case.dtype)
    actions = commands(robots, 10, turn=50.0)
    engine = case.make()
    together = fly(engine, robots, state, actions)
    alone = fly(engine, robots[2:3], state[2:3], actions[:, 2:3])
    assert apart(together[torch.tensor([2])], alone) < 10 * case.rounding


def test_robots_that_are_written_to_fly_as_what_they_are_now(case: Case) -> None:
    """Whatever an engine keeps of them to be faster."""
    robots, state = crew(3, case.dtype)
    actions = commands(robots, 4, turn=50.0)
    engine = case.make()
    fly(engine, robots, state, actions)
    robots.mass_kg[1] *= 2.0
    assert apart(fly(engine, robots, state, actions), fly(case.make(), robots, state, actions)) == 0


def test_what_comes_out_is_of_the_kind_that_went_in(case: Case) -> None:
    robots, state = crew(3, case.dtype)
    before = {name: value.clone() for name, value in vars(state).items()}
    after = case.make()(robots, state, torch.ones(3, 4, dtype=case.dtype), PERIOD_S)
    for name, value in vars(after).items():
        assert value.shape == before[name].shape
        assert value.dtype == case.dtype
        torch.testing.assert_close(vars(state)[name], before[name], rtol=0, atol=0)
    assert (after.orientation.norm(dim=-1) - 1.0).abs().max() < 10 * case.rounding
    assert after.motor_speed.min() >= 0.0
    assert after.motor_speed.max() <= 1.0


def powerless(robots: MultirotorParameters) -> MultirotorParameters:
    return replace(robots, thrust_curve_n=torch.zeros_like(robots.thrust_curve_n))


def test_free_fall(case: Case) -> None:
    """Closed form, and a turn about an axis of inertia, which nothing stops."""
    robots, state = crew(3, case.dtype)
    rate = torch.tensor([0.0, 0.0, 3.0], dtype=case.dtype)
    state = replace(resting(3, like=state.position), linear_velocity=state.linear_velocity)
    state = replace(state, angular_velocity=rate.expand(3, 3))
    end = fly(case.make(), powerless(robots), state, torch.zeros(100, 3, 4))
    fall = torch.tensor([0.0, 0.0, -0.5 * GRAVITY_M_S2], dtype=case.dtype)
    assert (end.position - state.linear_velocity - fall).abs().max() < 1e3 * case.rounding
    turned = torch.tensor([math.cos(1.5), 0.0, 0.0, math.sin(1.5)], dtype=case.dtype)
    assert (end.orientation - turned).abs().max() < case.drift
    assert (end.angular_velocity - rate).abs().max() < 1e2 * case.rounding


def test_a_tumble_without_torque_keeps_energy_and_angular_momentum(case: Case) -> None:
    robots, state = crew(4, case.dtype)
    robots = powerless(robots)
    state = replace(state, angular_velocity=5.0 * state.angular_velocity)
    end = fly(case.make(), robots, state, torch.zeros(100, 4, 4))

    def energy(at: MultirotorState) -> Tensor:
        fast, turning = at.linear_velocity.square(), at.angular_velocity.square()
        moving = 0.5 * robots.mass_kg * fast.sum(-1)
        high = robots.mass_kg * GRAVITY_M_S2 * at.position[:, 2]
        return moving + high + 0.5 * (robots.inertia_kg_m2 * turning).sum(-1)

    def momentum(at: MultirotorState) -> Tensor:
        return (robots.inertia_kg_m2 * at.angular_velocity).norm(dim=-1)

    torch.testing.assert_close(energy(end), energy(state), rtol=case.drift, atol=0)
    torch.testing.assert_close(momentum(end), momentum(state), rtol=case.drift, atol=0)


def test_a_force_is_in_the_world_and_a_torque_in_the_body(case: Case) -> None:
    robots, state = crew(3, case.dtype)
    robots = powerless(robots)
    state = replace(state, angular_velocity=torch.zeros_like(state.angular_velocity))
    force = torch.tensor([[1.0, -2.0, 3.0]], dtype=case.dtype) * robots.mass_kg.unsqueeze(-1)
    torque = torch.zeros_like(force)
    torque[:, 1] = 4.0 * robots.inertia_kg_m2[:, 1]
    end, engine = state, case.make()
    for _ in range(10):
        end = engine(
            robots,
            end,
            torch.zeros(3, 4, dtype=case.dtype),
            PERIOD_S,
            external_force_n=force,
            external_torque_nm=torque,
        )
    gained = 0.1 * torch.tensor([1.0, -2.0, 3.0 - GRAVITY_M_S2], dtype=case.dtype)
    assert (end.linear_velocity - state.linear_velocity - gained).abs().max() < 1e-5
    spun = torch.tensor([0.0, 0.4, 0.0], dtype=case.dtype)
    assert (end.angular_velocity - spun).abs().max() < 1e-5


def lean(robots: MultirotorParameters, state: MultirotorState, wanted: Tensor) -> Tensor:
    """Setpoints (n, 4) that turn robots towards tilts (n, 2) about body x and y, rad."""
    turned = 2.0 * state.orientation[:, 1:3] * state.orientation[:, :1].sign()
    demand = 9.0 * (wanted - turned) - 5.0 * state.angular_velocity[:, :2]
    demand = demand.clamp(-20.0, 20.0) / robots.torque_to_inertia.unsqueeze(-1)
    side = robots.motor_position_m.sign()
    share = side[..., 1] * demand[:, :1] - side[..., 0] * demand[:, 1:]
    return 2.0 * (robots.hover_speed.unsqueeze(-1) + share).clamp(0.05, 0.95) - 1.0


def leaning(engine: Engine, case: Case, *, parts: int = 1) -> tuple[list[Tensor], MultirotorState]:
    """Actions and end of five seconds of robots that lean this way and that, now and then."""
    generator = torch.Generator().manual_seed(0)
    robots = sample(DISTRIBUTIONS["published"](), 6, generator)
    gentle = InitialStates(tilt_rad=0.2, speed_m_s=0.2, body_rate_rad_s=0.2)
    state = reset(robots, gentle, generator)
    state = replace(state, motor_speed=robots.hover_speed.unsqueeze(-1).expand(-1, 4))
    robots, state, actions = robots.to(case.dtype), cast(state, case.dtype), []
    tilts = (torch.rand(10, 6, 2, generator=generator) - 0.5).to(case.dtype)
    for wanted in tilts.repeat_interleave(50, dim=0):
        actions.append(lean(robots, state, wanted))
        state = fly(engine, robots, state, actions[-1][None], parts=parts)
    return actions, state


@pytest.fixture(scope="session")
def leaned() -> tuple[list[Tensor], MultirotorState]:
    """By the equations of motion, in fifths of a period: 625 times more exact than in one."""
    actions, end = leaning(step, EXACT, parts=5)
    assert 5.0 < end.position.abs().max() < 50.0
    return actions, end


def test_five_seconds_end_within_a_millimetre(
    case: Case, leaned: tuple[list[Tensor], MultirotorState]
) -> None:
    """Of a finer step, as robots are flown: with somebody at the controls.

    Without, what float32 rounds off the balance of four motors is integrated four times, to about
    a centimetre.
    """
    if case.name == "mujoco_warp":
        pytest.skip("takes minutes on a CPU; its steps are compared one by one")
    _, end = leaning(case.make(), case)
    assert (end.position.double() - leaned[1].position).norm(dim=-1).max() < 1e-3


def test_mujoco_agrees_with_the_equations_of_motion_after_five_seconds(
    leaned: tuple[list[Tensor], MultirotorState],
) -> None:
    """Same robots, same commands, nobody at the controls: within 1e-5 m.

    MuJoCo's error is of second order in its step (see test_mujoco_multirotor.py).
    """
    given = iter(leaned[0])
    mujoco = MujocoBatch(threads=1)

    def replayed(
        robots: MultirotorParameters, state: MultirotorState, action: Tensor, dt_s: float
    ) -> MultirotorState:
        return mujoco(robots, state, next(given), dt_s)

    _, end = leaning(replayed, EXACT)
    assert (end.position - leaned[1].position).norm(dim=-1).max() < 1e-5


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "mass_kg": lambda x: 1.2 * x,
    "inertia_kg_m2": lambda x: x * torch.tensor([1.1, 1.2, 1.05]).to(x),
    "motor_position_m": lambda x: x + torch.tensor([0.01, -0.02]).to(x),
    "motor_axis": lambda x: torch.nn.functional.normalize(x + 0.1, dim=-1),
    "thrust_curve_n": lambda x: x * torch.tensor([1.1, 0.9, 1.0, 1.0]).to(x).unsqueeze(-1),
    "torque_coefficient_m": lambda x: 2.0 * x,
    "rise_time_s": lambda x: 3.0 * x,
    "fall_time_s": lambda x: 3.0 * x,
}


def test_every_parameter_has_a_change() -> None:
    names = {f.name for f in fields(MultirotorParameters)}
    assert set(CHANGES) == names - {"force_std_n"}  # of whoever draws forces; no engine reads it


@pytest.mark.parametrize("name", CHANGES)
def test_each_parameter_changed_alone_has_its_effect(case: Case, name: str) -> None:
    """That of the equations of motion, in the same engine object as before."""
    robots, state = crew(4, case.dtype, space="published")
    up_and_down = torch.tensor([0.3, -0.3, 0.1, -0.2]).double()
    unequal = (2.0 * robots.hover_speed.double().unsqueeze(-1) - 1.0 + up_and_down).clamp(-1, 1)
    actions = unequal.expand(10, -1, -1)
    engine = case.make()
    before = fly(engine, robots, state, actions)
    changed = replace(robots, **{name: CHANGES[name](getattr(robots, name))})
    after = fly(engine, changed, state, actions)
    plain, expected = exactly(robots, state, actions), exactly(changed, state, actions)
    effect = (expected.angular_velocity - plain.angular_velocity).norm(dim=-1) + (
        expected.linear_velocity - plain.linear_velocity
    ).norm(dim=-1)
    # The slower the rise the later, but where nothing rises or falls there is nothing to see.
    assert effect.max() > 0.01
    tolerance = 2e-3 * (1.0 + float(expected.angular_velocity.abs().max()))
    assert effect.max() > 5 * tolerance or apart(after, before) > 0.01
    assert (after.angular_velocity.double() - expected.angular_velocity).abs().max() < tolerance
    assert (after.linear_velocity.double() - expected.linear_velocity).abs().max() < tolerance


def test_a_subset_is_reset_by_replacing_its_rows(case: Case) -> None:
    """With other robots; nobody else notices."""
    robots, state = crew(4, case.dtype)
    others, elsewhere = crew(4, case.dtype, seed=1)
    actions = commands(robots, 6, turn=50.0)
    engine = case.make()
    state = fly(engine, robots, state, actions[:3])
    undisturbed = fly(engine, robots, state, actions[3:])
    new = torch.tensor([False, True, False, True])

    def mixed(one: object, other: object) -> dict[str, Tensor]:
        pairs = ((name, value, vars(other)[name]) for name, value in vars(one).items())
        return {name: torch.where(new.view(-1, *[1] * (a.ndim - 1)), b, a) for name, a, b in pairs}

    crowd = MultirotorParameters(**mixed(robots, others))
    end = fly(engine, crowd, MultirotorState(**mixed(state, elsewhere)), actions[3:])
    alone = fly(case.make(), others, elsewhere, actions[3:])
    assert apart(end[~new], undisturbed[~new]) < 10 * case.rounding
    assert apart(end[new], alone[new]) < 10 * case.rounding


def test_six_motors_fly_by_the_same_equations_between_flights_of_four(case: Case) -> None:
    """An engine that keeps models or loops for one number of motors makes others for another."""
    hexarotors, start = crew(5, case.dtype, space="hexarotor")
    quadrotors, elsewhere = crew(5, case.dtype)
    actions, others = commands(hexarotors, 50, turn=50.0), commands(quadrotors, 5, turn=50.0)
    engine = case.make()
    before = fly(engine, quadrotors, elsewhere, others)
    end = fly(engine, hexarotors, start, actions)
    assert end.motor_speed.shape == (5, 6)
    expected = exactly(hexarotors, start, actions)
    error = (end.position.double() - expected.position).abs().max()
    assert error < case.half_second_error + 1e2 * case.rounding
    assert apart(fly(engine, quadrotors, elsewhere, others), before) == 0.0


def test_robots_may_have_periods_of_their_own(case: Case) -> None:
    if case.name == "mujoco_warp":
        pytest.skip("steps all worlds alike, and says so (test_mujoco_warp_batch.py)")
    robots, state = crew(3, case.dtype)
    action = commands(robots, 1, turn=50.0)[0].to(case.dtype)
    lengths = torch.tensor([0.002, 0.01, 0.007], dtype=case.dtype)
    engine = case.make()
    together = engine(robots, state, action, lengths)
    for i, length_s in enumerate(lengths.tolist()):
        one = slice(i, i + 1)
        alone = engine(robots[one], state[one], action[one], length_s)
        assert apart(together[one], alone) < 10 * case.rounding


def test_a_robot_that_is_no_number_harms_no_other(case: Case) -> None:
    robots, state = crew(3, case.dtype)
    actions = commands(robots, 2, turn=50.0).to(case.dtype)
    engine = case.make()
    expected = engine(robots, state, actions[0], PERIOD_S)
    position = state.position.clone()
    position[1] = math.nan
    broken = replace(state, position=position)
    if case.name in ("analytic", "fused"):
        end = engine(robots, broken, actions[0], PERIOD_S)
    else:
        with pytest.raises(SimulationError, match="robot 1 ") as error:
            engine(robots, broken, actions[0], PERIOD_S)
        assert error.value.rows == (1,)
        end = error.value.state
        assert end is not None
    assert end.position[1].isnan().all()
    fine = torch.tensor([0, 2])
    assert apart(end[fine], expected[fine]) < 10 * case.rounding


def test_a_world_is_the_same_in_every_engine(case: Case) -> None:
    """Delay aside: drag, gusts, ground, battery, a payload and a motor that fades, half a second.

    The world holds its forces over a period, so the exact answer takes as many of them.
    """
    generator = torch.Generator().manual_seed(3)
    drawn, imperfections = sample_imperfect(DISTRIBUTIONS["diverse"](), 4, generator)
    state = reset(drawn, InitialStates(at_rest_fraction=0.0), generator)
    actions = commands(drawn, 50, turn=10.0)
    happening = calm(drawn, 50, PERIOD_S)
    late = (torch.arange(50) >= 20).unsqueeze(-1)
    payload = torch.where(late, 1.3, 1.0).double().expand(50, 4)
    fading = torch.ones(50, 4, 4).double()
    fading[30:, :, 1] = 0.9
    wind = torch.tensor([3.0, -1.0, 0.5]).double().expand(50, 4, 3)
    happening = replace(happening, mass_factor=payload, thrust_factor=fading, wind_m_s=wind)

    def flown(engine: Engine, dtype: torch.dtype) -> MultirotorState:
        robots, wrong, end = drawn.to(dtype), imperfections.to(dtype), cast(state, dtype)
        for t, action in enumerate(actions.to(dtype)):
            end = advance(robots, wrong, happening.to(dtype).at(t), end, action, engine)
        return end

    def fine(*args: object, **forces: Tensor) -> MultirotorState:
        robots, end, action, dt_s = args
        for _ in range(10):
            end = step(robots, end, action, dt_s / 10, **forces)
        return end

    with torch.inference_mode():
        end, expected = flown(case.make(), case.dtype), flown(fine, torch.float64)
    difference = (end.position.double() - expected.position).norm(dim=-1).max()
    assert difference < case.half_second_error


def test_unknown_engines_are_told_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'bullet'.*Fix:.*analytic.*mujoco"):
        make_engine("bullet")


def test_every_engine_is_in_the_suite() -> None:
    elsewhere = {"isaacgym"}
    assert set(ENGINES) - elsewhere == {case.name for case in CASES.values()}


def test_fused_engine_refuses_what_it_would_compute_wrongly() -> None:
    engine = make_engine("fused")
    robots, state = crew(2, torch.float64)
    with pytest.raises(ConfigError, match=r"float32 on a CPU.*'analytic'"):
        engine(robots, state, torch.zeros(2, 4, dtype=torch.float64), PERIOD_S)
    robots, state = crew(2, torch.float32)
    with pytest.raises(ConfigError, match="no gradients"):
        engine(robots, state, torch.zeros(2, 4, requires_grad=True), PERIOD_S)
