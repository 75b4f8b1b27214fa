"""A working fake of Isaac Gym's tensor API, for single rigid bodies over our own physics.

`gymapi` and `gymtorch` stand in for the closed modules of these names wherever those are injected.
The fake is stricter than what it stands for: where the real one would crash, answer with old
numbers or do nothing, it raises an `IsaacGymError`. It follows the published documentation,
signatures and tasks; nobody has compared it with the binary.
"""

from acclimate_sim.engines.isaacgym.fake import gymapi, gymtorch
from acclimate_sim.engines.isaacgym.fake.errors import IsaacGymError

__all__ = ["IsaacGymError", "gymapi", "gymtorch"]
