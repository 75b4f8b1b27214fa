"""Holybro X500 as flown: 2 kg, 250 mm arms.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
The file's roll inertia reads `2.1705-2`, a typo for 2.1705e-2: the inverse given beside it is that
of the value used here. One motor time constant is published; it is used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def x500() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=2.0,
        inertia_kg_m2=(0.021705, 0.021304, 0.039396),
        motor_x_m=0.17678,
        motor_y_m=0.17678,
        thrust_curve_n=(0.0, 0.0, 15.92612),
        torque_coefficient_m=0.10847,
        rise_time_s=0.054,
        fall_time_s=0.054,
    )
