"""The X500 of PX4's Gazebo simulation: weaker motors than the real one.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
One motor time constant is published; it is used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def x500_sim() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=2.0,
        inertia_kg_m2=(0.0216667, 0.0216667, 0.04),
        motor_x_m=0.17678,
        motor_y_m=0.17678,
        thrust_curve_n=(0.0, 0.0, 8.74),
        torque_coefficient_m=0.11698,
        rise_time_s=0.03,
        fall_time_s=0.03,
    )
