"""Whole flights in one compiled loop: policy, physics and cost, forward and backward.

A step and its vector-Jacobian product are traced for a single robot (`torch.fx`), written out as a
program of scalars (`scalarize`, `program`), and printed as C++ in which every scalar is a vector
of robots (`emit`, `lanes.h`). Time is a loop inside; what flows between two operators stays in
registers or in the first cache. There is no second model of anything: the program is derived from
the step as it is written. `single` prints one step alone, for an engine.
"""

from acclimate_sim.fused.flow import FusedFlow
from acclimate_sim.fused.kernel import CompilerError
from acclimate_sim.fused.loop import FusedLoop
from acclimate_sim.fused.scalarize import UnsupportedStepError
from acclimate_sim.fused.single import FusedStep, Rows

__all__ = ["CompilerError", "FusedFlow", "FusedLoop", "FusedStep", "Rows", "UnsupportedStepError"]
