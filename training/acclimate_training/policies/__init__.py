"""Policies: a memory cell between two small heads."""

from acclimate_training.policies.cells import CELLS, GRU, Cell
from acclimate_training.policies.quadrotor import QuadrotorPolicy

__all__ = ["CELLS", "GRU", "Cell", "QuadrotorPolicy"]
