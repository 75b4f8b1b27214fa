"""Policies: a memory cell between two small heads."""

from acclimate_training.policies.cells import CELLS, GRU, Cell
from acclimate_training.policies.multirotor import MultirotorPolicy

__all__ = ["CELLS", "GRU", "Cell", "MultirotorPolicy"]
