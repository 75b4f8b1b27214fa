"""The F450 frame of the Multi-robot Systems group in Prague: 1.7 kg.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The thrust curve is given per rpm, 0 to 2000, and is a fit: negative below 20 % speed. One motor
time constant is published; it is used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor

MAX_SPEED_RPM = 2000.0
THRUST_PER_RPM = (-1.76900, 3.83608e-3, 1.32983e-6)


def mrs() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    c0, c1, c2 = THRUST_PER_RPM
    return single_quadrotor(
        mass_kg=1.7,
        inertia_kg_m2=(0.0079114, 0.0079114, 0.0123066),
        motor_x_m=0.12021,
        motor_y_m=0.12021,
        thrust_curve_n=(c0, c1 * MAX_SPEED_RPM, c2 * MAX_SPEED_RPM**2),
        torque_coefficient_m=0.016,
        rise_time_s=0.04,
        fall_time_s=0.04,
    )
