"""From the draws of a space to the robots they describe."""

from dataclasses import replace

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor.distribution import FAMILY, NEEDED
from acclimate_sim.multirotor.imperfections import Imperfections, perfect
from acclimate_sim.multirotor.parameters import (
    GRAVITY_M_S2,
    MultirotorParameters,
    motor_directions,
    motor_spins,
)
from acclimate_sim.randomization import ParameterSpace, check_family

# Crazyflie 2.0: the robot whose proportions the published distribution scales.
REFERENCE_ARM_M, REFERENCE_MASS_KG = 0.0396, 0.0306
INERTIA_RATIOS = (1.0, 1.0242, 1.8541)
ROTOR_RADIUS = 0.6
"""Over the arm: neighbouring propellers of an X touch at 0.71."""
NOISE_STD = (0.01, 0.02, 0.05, 0.1)
"""Position m, orientation rad, velocity m/s, body rate rad/s, at noise level 1."""
BIAS_STD = (0.0, 0.01, 0.03, 0.03)
"""The same, at bias level 1. A bias in position is a shift of the target, which nothing can see."""


def build(draws: dict[str, Tensor]) -> MultirotorParameters:
    """Turn draws of a space, each (n,), into the robots they describe, in float64.

    Raises:
        ConfigError: The robots differ in their number of motors, or no robot has so many.
    """
    num_motors = _num_motors(draws)
    mass = draws["size"] ** 3
    max_thrust = draws["thrust_to_weight"] * mass * GRAVITY_M_S2
    u = draws["arm_deviation"]
    arm = REFERENCE_ARM_M / REFERENCE_MASS_KG ** (1 / 3) * draws["size"]
    arm = arm * torch.where(u < 0, 1 / (1 - u), 1 + u)
    roll_inertia = max_thrust / num_motors * arm / draws["torque_to_inertia"]
    c0, c1 = draws["curve_constant"], draws["curve_linear"]
    curve = torch.stack((c0, c1, 1 - c0 - c1), dim=-1) * (max_thrust / num_motors).unsqueeze(-1)
    directions, spins = motor_directions(num_motors).to(arm), motor_spins(num_motors).to(arm)
    surplus = (draws["thrust_to_weight"] - 1) * draws["thrust_to_weight"] * mass / 3
    return MultirotorParameters(
        mass_kg=mass,
        inertia_kg_m2=roll_inertia.unsqueeze(-1) * arm.new_tensor(INERTIA_RATIOS),
        motor_position_m=arm[:, None, None] * (directions - _offset(draws, arm)),
        motor_axis=_motor_axes(draws, arm, num_motors),
        thrust_curve_n=curve.unsqueeze(1)
        * (1.0 + _deviation(draws, arm, num_motors)).unsqueeze(-1),
        torque_coefficient_m=draws["torque_coefficient"].unsqueeze(-1) * spins,
        rise_time_s=draws["rise_time"].unsqueeze(-1).repeat(1, num_motors),
        fall_time_s=draws["fall_time"].unsqueeze(-1).repeat(1, num_motors),
        force_std_n=draws["force_fraction"] * surplus,
    )


def build_imperfections(draws: dict[str, Tensor], robots: MultirotorParameters) -> Imperfections:
    """What the same draws say about latency, air, battery and sensors; the rest is perfect."""
    severity = _severity(draws, robots.mass_kg)

    def scaled(name: str) -> Tensor:
        return severity * _drawn(draws, name, severity)

    noise = _drawn(draws, "noise_level", severity).clamp_min(0.0)
    biases = torch.stack([scaled(f"bias_{i}") for i in range(12)], dim=-1)
    spread = severity.new_tensor(BIAS_STD).repeat_interleave(3)
    level = _drawn(draws, "bias_level", severity)
    return replace(
        perfect(robots),
        control_delay_s=scaled("control_delay"),
        rotor_drag_1_s=scaled("rotor_drag"),
        body_drag_1_m=scaled("body_drag"),
        rotor_radius_m=ROTOR_RADIUS * robots.arm_length_m,
        voltage_sag=scaled("voltage_sag"),
        sensor_noise=noise.unsqueeze(-1) * severity.new_tensor(NOISE_STD),
        sensor_bias=level.unsqueeze(-1) * biases * spread,
    )


def _drawn(draws: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Draws (n,) of an imperfection; zero in a space that does not have it."""
    return draws.get(name, torch.zeros_like(like))


def _severity(draws: dict[str, Tensor], like: Tensor) -> Tensor:
    return draws["severity"].clamp_min(0.0) if "severity" in draws else torch.ones_like(like)


def _num_motors(draws: dict[str, Tensor]) -> int:
    """Of all robots of a batch; four in a space that does not say."""
    if "num_motors" not in draws:
        return 4
    counts = draws["num_motors"].unique().tolist()
    if len(counts) > 1 or counts[0] != int(counts[0]):
        raise ConfigError(
            f"num_motors of a batch is {counts}: tensors need one whole number for all robots. "
            "Fix: make it a Constant, and a space of each family."
        )
    return int(counts[0])


def _deviation(draws: dict[str, Tensor], like: Tensor, num_motors: int) -> Tensor:
    """Relative deviation (n, num_motors) of each motor's thrust; the robot's total is kept."""
    names = [f"motor_{i}_deviation" for i in range(num_motors)]
    drawn = torch.stack([_drawn(draws, name, like) for name in names], dim=-1)
    factors = 1.0 + _severity(draws, like).unsqueeze(-1) * drawn
    return factors / factors.mean(-1, keepdim=True) - 1.0


def _motor_axes(draws: dict[str, Tensor], like: Tensor, num_motors: int) -> Tensor:
    """Unit vectors (n, num_motors, 3)."""
    names = [f"motor_{i}_tilt_{axis}" for i in range(num_motors) for axis in "xy"]
    drawn = torch.stack([_drawn(draws, name, like) for name in names], dim=-1)
    tilts = drawn.unflatten(1, (num_motors, 2))
    up = torch.tensor([0.0, 0.0, 1.0]).to(like).repeat(len(like), num_motors, 1)
    up[..., :2] = _severity(draws, like)[:, None, None] * tilts
    return torch.nn.functional.normalize(up, dim=-1)


def _offset(draws: dict[str, Tensor], like: Tensor) -> Tensor:
    """Centre of mass (n, 1, 2) relative to the middle of the motors, over the arm."""
    drawn = torch.stack([_drawn(draws, f"offset_{axis}", like) for axis in "xy"], dim=-1)
    return (_severity(draws, like).unsqueeze(-1) * drawn).unsqueeze(1)


def sample(space: ParameterSpace, n: int, generator: torch.Generator) -> MultirotorParameters:
    """Draw `n` robots of a space, in float64 on the generator's device.

    Raises:
        ConfigError: The space does not describe multirotors (see `check_family`).
    """
    check_family(space, FAMILY, NEEDED)
    return build(space.sample(n, generator))


def sample_imperfect(
    space: ParameterSpace, n: int, generator: torch.Generator
) -> tuple[MultirotorParameters, Imperfections]:
    """Draw `n` robots with their imperfections; otherwise as `sample`."""
    check_family(space, FAMILY, NEEDED)
    draws = space.sample(n, generator)
    robots = build(draws)
    return robots, build_imperfections(draws, robots)
