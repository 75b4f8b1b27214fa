"""Gymnasium environments around the simulator; the edge where tensors may become numpy arrays.

Importing this package registers them, as Gymnasium expects since 1.0: it reads no entry points.
"""

from acclimate_sim.envs.registration import HEXAROTOR, QUADROTOR, register_environments

register_environments()

__all__ = ["HEXAROTOR", "QUADROTOR", "register_environments"]
