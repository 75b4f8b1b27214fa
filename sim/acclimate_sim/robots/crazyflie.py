"""Bitcraze Crazyflie 2.x: the 31 g robot whose proportions the published distribution scales.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
Its JSON export rounds the inertia to 6 decimals; these are the unrounded values.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def crazyflie() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=0.0306,
        inertia_kg_m2=(9.4166e-6, 9.6441e-6, 1.74595e-5),
        motor_x_m=0.028,
        motor_y_m=0.028,
        thrust_curve_n=(0.00352526, 0.01437313, 0.09223048),
        torque_coefficient_m=0.004665,
        rise_time_s=0.05545,
        fall_time_s=0.2494,
    )
