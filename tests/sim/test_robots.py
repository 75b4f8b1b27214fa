import subprocess
import sys

import pytest
import torch
import tyro

from acclimate_contract import ConfigError
from acclimate_sim.commands import RobotsCfg, robots
from acclimate_sim.multirotor import InitialStates, reset, step
from acclimate_sim.robots import DRAWN, ROBOTS, load_robot

# Thrust to weight, torque to inertia and hover speed computed independently from the same
# published parameter files; the torque to inertia takes motors at (x, x) for robots that are not
# square.
KNOWN = {
    "crazyflie": (1.47, 463, 0.81),
    "x500": (3.25, 183, 0.55),
    "x500_sim": (1.78, 101, 0.75),
    "mrs": (2.69, 241, 0.56),
    "fs": (3.40, 109, 0.44),
    "arpl": (3.94, 468, 0.28),
    "flightmare": (12.1, 467, 0.25),
    "soft": (3.31, 194, 0.43),
    "soft_rigid": (3.32, 199, 0.36),
    "typhoon_h480": (5.74, 424, 0.42),
}


def test_every_robot_has_published_figures() -> None:
    assert set(KNOWN) == set(ROBOTS)


@pytest.mark.parametrize("name", ROBOTS)
def test_figures_are_the_published_ones(name: str) -> None:
    """To the digits given, half of the last one plus rounding of the inputs."""
    robot = load_robot(name)
    thrust_to_weight, torque_to_inertia, hover = KNOWN[name]
    coarse = 0.05 if thrust_to_weight > 10 else 0.005
    assert robot.thrust_to_weight.item() == pytest.approx(thrust_to_weight, abs=coarse)
    assert robot.hover_speed.item() == pytest.approx(hover, abs=0.0051)
    ratio = robot.torque_to_inertia
    if robot.num_motors == 4:
        ratio = ratio * 2**0.5 * robot.motor_position_m[0, 0, 0] / robot.arm_length_m
    assert ratio.item() == pytest.approx(torque_to_inertia, rel=0.004)


@pytest.mark.parametrize("name", [*ROBOTS, *DRAWN])
def test_hover_holds(name: str) -> None:
    """Two seconds at the hover setpoint leave the robot where it was."""
    robot = load_robot(name, 3)
    still = InitialStates(at_rest_fraction=1.0)
    state = reset(robot, still, torch.Generator().manual_seed(0))
    speed = robot.hover_speed.unsqueeze(-1).repeat(1, robot.num_motors)
    state.motor_speed.copy_(speed)
    for _ in range(200):
        state = step(robot, state, 2 * speed - 1, 0.01)
    assert state.position.abs().max() < 1e-9  # rounding of the hover speed, integrated twice
    assert state.angular_velocity.abs().max() < 1e-9


def test_random_robots_follow_their_seed() -> None:
    assert load_robot("random", 7).mass_kg == load_robot("random", 7).mass_kg
    assert load_robot("random", 7).mass_kg != load_robot("random", 8).mass_kg
    assert load_robot("x500", 7).mass_kg == load_robot("x500", 8).mass_kg


def test_an_unknown_robot_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'crazyflie'.*x500.*random"):
        load_robot("crazy_fly")
    with pytest.raises(ConfigError, match=r"Fix: use one of crazyflie"):
        load_robot("zzz")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=r"out of range\. Fix:"):
        load_robot("random", seed)


def test_the_verb_shows_platforms_and_draws(capsys: pytest.CaptureFixture[str]) -> None:
    code = tyro.cli(robots, args=["--seed", "7", "--count", "2"])
    table = capsys.readouterr().out
    assert code == 0
    assert all(name in table for name in ROBOTS)
    mass = load_robot("random", 8).mass_kg.item()
    assert any("seed 8" in line and f"{mass:.3f}" in line for line in table.splitlines())
    assert "seed 9" not in table


def test_the_verb_shows_platforms_only_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert robots(RobotsCfg()) == 0
    assert "random" not in capsys.readouterr().out


@pytest.mark.parametrize("cfg", [RobotsCfg(count=0), RobotsCfg(seed=-1)])
def test_the_verb_refuses_impossible_requests(cfg: RobotsCfg) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        robots(cfg)


def test_imports_stay_light() -> None:
    """`acclimate --help` must not pay for torch, nor the analytic engine for MuJoCo."""
    code = (
        "import sys, acclimate_sim.commands\n"
        "assert not {'torch', 'mujoco', 'rich'} & set(sys.modules)\n"
        "import acclimate_sim.multirotor, acclimate_sim.robots, acclimate_sim.engines\n"
        "assert 'mujoco' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
