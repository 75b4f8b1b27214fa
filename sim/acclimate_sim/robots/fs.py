"""The 3.35 kg quadrotor called "Large" in the paper: wider than long, the heaviest known one.

Numbers: parameter file published with rl-tools (Eschmann et al. 2025, arXiv 2509.11481).
One motor time constant is published; it is used both ways.
"""

from acclimate_sim.multirotor.parameters import MultirotorParameters, single_quadrotor


def fs() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_quadrotor(
        mass_kg=3.35,
        inertia_kg_m2=(0.0756, 0.07296, 0.137092),
        motor_x_m=0.20895,
        motor_y_m=0.240666,
        thrust_curve_n=(0.784663, 9.155401, 18.005569),
        torque_coefficient_m=0.01492,
        rise_time_s=0.06532,
        fall_time_s=0.06532,
    )
