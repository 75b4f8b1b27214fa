"""The quadrotor family: parameters, distribution over robots, equations of motion, signals."""

from acclimate_sim.quadrotor.distribution import DISTRIBUTIONS, published, sample, widened
from acclimate_sim.quadrotor.dynamics import step
from acclimate_sim.quadrotor.initial_states import InitialStates, external_force, reset
from acclimate_sim.quadrotor.parameters import (
    GRAVITY_M_S2,
    MOTOR_SPIN,
    QuadrotorParameters,
    concatenate,
    single_quadrotor,
)
from acclimate_sim.quadrotor.signals import signals
from acclimate_sim.quadrotor.state import QuadrotorState, resting

__all__ = [
    "DISTRIBUTIONS",
    "GRAVITY_M_S2",
    "MOTOR_SPIN",
    "InitialStates",
    "QuadrotorParameters",
    "QuadrotorState",
    "concatenate",
    "external_force",
    "published",
    "reset",
    "resting",
    "sample",
    "signals",
    "single_quadrotor",
    "step",
    "widened",
]
