"""The quadrotor family: parameters, distribution over robots, equations of motion, signals."""

from acclimate_sim.quadrotor.changes import changed
from acclimate_sim.quadrotor.distribution import (
    DISTRIBUTIONS,
    published,
    sample,
    sample_imperfect,
    widened,
)
from acclimate_sim.quadrotor.disturbances import Disturbances, between, calm
from acclimate_sim.quadrotor.dynamics import Engine, step
from acclimate_sim.quadrotor.imperfections import Imperfections, perfect
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
from acclimate_sim.quadrotor.world import advance, delayed, measure

__all__ = [
    "DISTRIBUTIONS",
    "GRAVITY_M_S2",
    "MOTOR_SPIN",
    "Disturbances",
    "Engine",
    "Imperfections",
    "InitialStates",
    "QuadrotorParameters",
    "QuadrotorState",
    "advance",
    "between",
    "calm",
    "changed",
    "concatenate",
    "delayed",
    "external_force",
    "measure",
    "perfect",
    "published",
    "reset",
    "resting",
    "sample",
    "sample_imperfect",
    "signals",
    "single_quadrotor",
    "step",
    "widened",
]
