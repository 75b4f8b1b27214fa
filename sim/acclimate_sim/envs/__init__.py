"""Gymnasium environments around the simulator; the edge where tensors may become numpy arrays.

Importing this package registers them, as Gymnasium expects since 1.0: it reads no entry points.
"""

from acclimate_sim.envs.registration import QUADROTOR, register_environments

register_environments()

__all__ = ["QUADROTOR", "register_environments"]
