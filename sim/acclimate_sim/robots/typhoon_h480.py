"""Yuneec Typhoon H480, a hexarotor: 2.05 kg, 243 mm arms.

Numbers: the model that PX4 simulates in Gazebo (PX4-SITL_gazebo-classic, models/typhoon_h480):
body and rotors without the gimbal and the legs, full thrust from the motor constant at 1500 rad/s,
the arm of the two side motors for all.
"""

from acclimate_sim.multirotor.parameters import (
    MultirotorParameters,
    motor_directions,
    single_multirotor,
)

ARM_M = 0.2427
FULL_THRUST_N = 8.54858e-6 * 1500.0**2


def typhoon_h480() -> MultirotorParameters:
    """Build a batch of one; the numbers' source is in the module's docstring."""
    return single_multirotor(
        mass_kg=2.05,
        inertia_kg_m2=(0.011, 0.015, 0.021),
        motor_position_m=(ARM_M * motor_directions(6)).tolist(),
        thrust_curve_n=(0.0, 0.0, FULL_THRUST_N),
        torque_coefficient_m=0.06,
        rise_time_s=0.0125,
        fall_time_s=0.025,
    )
