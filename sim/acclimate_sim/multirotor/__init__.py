"""The multirotor family: parameters, distribution over robots, equations of motion, signals."""

from acclimate_sim.multirotor.changes import changed
from acclimate_sim.multirotor.distribution import (
    DISTRIBUTIONS,
    published,
    widened,
)
from acclimate_sim.multirotor.disturbances import Disturbances, between, calm
from acclimate_sim.multirotor.dynamics import Engine, step
from acclimate_sim.multirotor.imperfections import Imperfections, perfect
from acclimate_sim.multirotor.initial_states import InitialStates, external_force, reset
from acclimate_sim.multirotor.parameters import (
    GRAVITY_M_S2,
    MultirotorParameters,
    concatenate,
    single_multirotor,
    single_quadrotor,
)
from acclimate_sim.multirotor.sampling import sample, sample_imperfect
from acclimate_sim.multirotor.signals import signals
from acclimate_sim.multirotor.state import MultirotorState, resting
from acclimate_sim.multirotor.world import advance, delayed, measure

__all__ = [
    "DISTRIBUTIONS",
    "GRAVITY_M_S2",
    "Disturbances",
    "Engine",
    "Imperfections",
    "InitialStates",
    "MultirotorParameters",
    "MultirotorState",
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
    "single_multirotor",
    "single_quadrotor",
    "step",
    "widened",
]
