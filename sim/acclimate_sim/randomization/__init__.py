"""Named, bounded, unit-carrying random parameters: one description of a robot family's variety."""

from acclimate_sim.randomization.correlation import Correlation, pair
from acclimate_sim.randomization.curriculum import widening
from acclimate_sim.randomization.derived import Derived
from acclimate_sim.randomization.distributions import (
    Between,
    Categorical,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from acclimate_sim.randomization.family import check_family
from acclimate_sim.randomization.parameter import Bounds, Parameter
from acclimate_sim.randomization.processes import Process, Ramp, RandomWalk, step_change
from acclimate_sim.randomization.replay import check_finite
from acclimate_sim.randomization.space import ParameterSpace

__all__ = [
    "Between",
    "Bounds",
    "Categorical",
    "Constant",
    "Correlation",
    "Derived",
    "Distribution",
    "LogUniform",
    "Normal",
    "Parameter",
    "ParameterSpace",
    "Process",
    "Ramp",
    "RandomWalk",
    "TruncatedNormal",
    "Uniform",
    "check_family",
    "check_finite",
    "pair",
    "step_change",
    "widening",
]
