"""The robot of the Flightmare simulator: thrust-to-weight 12, far outside the published range.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The thrust curve is a fit and negative below 14 % speed. One motor time constant is published; it is
used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def flightmare() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=0.73,
        inertia_kg_m2=(0.00791, 0.00791, 0.0123),
        motor_x_m=0.12021,
        motor_y_m=0.12021,
        thrust_curve_n=(-1.76900, 11.508243, 11.968428),
        torque_coefficient_m=0.016,
        rise_time_s=0.02,
        fall_time_s=0.02,
    )
