"""Distributions over quadrotors.

`published` is the one of RAPTOR (Eschmann et al. 2025, arXiv 2509.11481, section "Sampling of
quadrotors" and its released code, which is followed where the two differ). `widened` adds what
real robots have and it leaves out.
"""

from dataclasses import replace

import torch
from torch import Tensor

from acclimate_sim.parameter_space import LogUniform, Normal, Parameter, ParameterSpace, Uniform
from acclimate_sim.quadrotor.parameters import GRAVITY_M_S2, QuadrotorParameters

# Crazyflie 2.0: the robot whose proportions the published distribution scales.
REFERENCE_ARM_M, REFERENCE_MASS_KG = 0.0396, 0.0306
INERTIA_RATIOS = (1.0, 1.0242, 1.8541)
CURVE_CONSTANT, CURVE_LINEAR = 0.0320, 0.1305


def published() -> ParameterSpace:
    """The published distribution: mass 20 g to 5 kg, thrust-to-weight 1.5 to 5."""
    return ParameterSpace(
        name="quadrotor/published",
        parameters=(
            Parameter(
                name="thrust_to_weight",
                unit="1",
                distribution=Uniform(low=1.5, high=5.0),
                description="Full thrust over weight.",
            ),
            Parameter(
                name="size",
                unit="kg^(1/3)",
                distribution=Uniform(low=0.02 ** (1 / 3), high=5.0 ** (1 / 3)),
                description="Cube root of the mass: uniform in linear size.",
            ),
            Parameter(
                name="arm_deviation",
                unit="1",
                distribution=Normal(mean=-0.1, std=0.1),
                description="Arm length relative to a Crazyflie scaled to the mass.",
            ),
            Parameter(
                name="torque_to_inertia",
                unit="1/s^2",
                distribution=Uniform(low=40.0, high=1200.0),
                description="One motor's full thrust times the arm over the roll inertia.",
            ),
            Parameter(
                name="torque_coefficient",
                unit="m",
                distribution=Uniform(low=0.005, high=0.05),
                description="Reaction torque per thrust.",
            ),
            Parameter(
                name="rise_time",
                unit="s",
                distribution=Uniform(low=0.03, high=0.10),
                description="Motor time constant while speeding up.",
            ),
            Parameter(
                name="fall_time",
                unit="s",
                distribution=Uniform(low=0.03, high=0.30),
                description="Motor time constant while slowing down.",
            ),
            Parameter(
                name="force_fraction",
                unit="1",
                distribution=Uniform(low=0.0, high=0.3),
                description="Spread of the external force over the thrust left after hovering.",
            ),
            Parameter(
                name="curve_constant",
                unit="1",
                distribution=Uniform(low=CURVE_CONSTANT, high=CURVE_CONSTANT),
                description="Share of the full thrust that does not depend on speed.",
            ),
            Parameter(
                name="curve_linear",
                unit="1",
                distribution=Uniform(low=CURVE_LINEAR, high=CURVE_LINEAR),
                description="Share of the full thrust that is linear in speed.",
            ),
        ),
    )


def widened() -> ParameterSpace:
    """The published distribution with weaker, stronger and differently shaped motors.

    Real thrust curves run from nearly quadratic to nearly linear; a policy that never met the
    latter loses racing frames. Torque-to-inertia is uniform in its logarithm: sluggish robots are
    the hardest, and a uniform draw hardly ever shows one.
    """
    wider = {
        "thrust_to_weight": Uniform(low=1.35, high=6.0),
        "torque_to_inertia": LogUniform(low=35.0, high=1400.0),
        "curve_constant": Uniform(low=-0.05, high=0.05),
        "curve_linear": Uniform(low=0.0, high=1.1),
    }
    space = published()
    return replace(
        space,
        name="quadrotor/widened",
        parameters=tuple(
            replace(p, distribution=wider.get(p.name, p.distribution)) for p in space.parameters
        ),
    )


DISTRIBUTIONS = {"published": published, "widened": widened}


def build(draws: dict[str, Tensor]) -> QuadrotorParameters:
    """Turn draws of a quadrotor space, each (n,), into the robots they describe, in float64."""
    mass = draws["size"] ** 3
    max_thrust = draws["thrust_to_weight"] * mass * GRAVITY_M_S2
    u = draws["arm_deviation"]
    arm = REFERENCE_ARM_M * (mass / REFERENCE_MASS_KG) ** (1 / 3)
    arm = arm * torch.where(u < 0, 1 / (1 - u), 1 + u)
    roll_inertia = max_thrust / 4 * arm / draws["torque_to_inertia"]
    c0, c1 = draws["curve_constant"], draws["curve_linear"]
    curve = torch.stack((c0, c1, 1 - c0 - c1), dim=-1) * (max_thrust / 4).unsqueeze(-1)
    corners = torch.tensor([(1, -1), (-1, -1), (-1, 1), (1, 1)]).to(arm) / 2**0.5
    surplus = (draws["thrust_to_weight"] - 1) * draws["thrust_to_weight"] * mass / 3
    return QuadrotorParameters(
        mass_kg=mass,
        inertia_kg_m2=roll_inertia.unsqueeze(-1) * torch.tensor(INERTIA_RATIOS).to(arm),
        motor_position_m=arm[:, None, None] * corners,
        thrust_curve_n=curve.unsqueeze(1).repeat(1, 4, 1),
        torque_coefficient_m=draws["torque_coefficient"].unsqueeze(-1).repeat(1, 4),
        rise_time_s=draws["rise_time"].unsqueeze(-1).repeat(1, 4),
        fall_time_s=draws["fall_time"].unsqueeze(-1).repeat(1, 4),
        force_std_n=draws["force_fraction"] * surplus,
    )


def sample(space: ParameterSpace, n: int, generator: torch.Generator) -> QuadrotorParameters:
    """Draw `n` quadrotors of a space, in float64 on the generator's device."""
    return build(space.sample(n, generator))
