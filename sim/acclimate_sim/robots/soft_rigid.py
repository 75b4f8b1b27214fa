"""The frame of `soft` with rigid arms.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The thrust curve is a fit and negative below 6 % speed. One motor time constant is published; it is
used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def soft_rigid() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=0.804,
        inertia_kg_m2=(0.0065842, 0.0049571, 0.0105718),
        motor_x_m=0.142,
        motor_y_m=0.169,
        thrust_curve_n=(-0.333798, 6.090995, 0.781834),
        torque_coefficient_m=0.017602,
        rise_time_s=0.046,
        fall_time_s=0.046,
    )
