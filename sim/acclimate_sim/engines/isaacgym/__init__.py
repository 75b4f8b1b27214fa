"""Multirotors in Isaac Gym, and a working fake of its tensor API to try that without it.

The adapter has never run on the closed binary: it was written against the published signatures,
documentation and tasks, and is tested over the fake only.
"""

from acclimate_sim.engines.isaacgym.adapter import IsaacGymCfg, IsaacGymEngine, load

__all__ = ["IsaacGymCfg", "IsaacGymEngine", "load"]
