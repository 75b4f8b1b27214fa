"""A 0.97 kg quadrotor with flexible arms, modelled as a rigid body.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The thrust curve is a fit and negative below 4 % speed. One motor time constant is published; it is
used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def soft() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=0.97,
        inertia_kg_m2=(0.0081547, 0.0052261, 0.0120427),
        motor_x_m=0.142,
        motor_y_m=0.169,
        thrust_curve_n=(-0.136628, 4.247460, 3.766034),
        torque_coefficient_m=0.2,
        rise_time_s=0.04,
        fall_time_s=0.04,
    )
