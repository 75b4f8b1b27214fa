"""The 0.78 kg racing frame of the Agile Robotics and Perception Lab: nearly linear motors.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The thrust curve is a fit and negative below 6 % speed. One motor time constant is published; it is
used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def arpl() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=0.782,
        inertia_kg_m2=(0.0017665, 0.0013766, 0.0029529),
        motor_x_m=0.0775,
        motor_y_m=0.0981,
        thrust_curve_n=(-0.530019, 8.971435, -0.891179),
        torque_coefficient_m=0.0059646,
        rise_time_s=0.033,
        fall_time_s=0.033,
    )
