"""l2f: quadrotors in C++, the simulator behind RAPTOR."""

# pyright: reportMissingImports=false
# (l2f is installed by those who measure.)

from collections.abc import Callable

import l2f
import numpy as np


def make(num_envs: int) -> tuple[Callable[[int], None], int]:
    """Robots as they come; the package is built without randomization."""
    vector = l2f.vector_selector[num_envs]
    device, generator = l2f.Device(), vector.VectorRng()
    envs, robots = vector.VectorEnvironment(), vector.VectorParameters()
    now, then = vector.VectorState(), vector.VectorState()
    vector.initialize_environment(device, envs)
    vector.initialize_rng(device, generator, 0)
    vector.sample_initial_parameters(device, envs, robots, generator)
    vector.sample_initial_state(device, envs, robots, now, generator)
    observation = np.zeros((num_envs, envs.OBSERVATION_DIM), dtype=np.float32)
    action = np.zeros((num_envs, envs.ACTION_DIM), dtype=np.float32)

    def fly(count: int) -> None:
        one, other = now, then
        for _ in range(count):
            vector.step(device, envs, robots, one, action, other, generator)
            vector.observe(device, envs, robots, other, observation, generator)
            one, other = other, one

    return fly, num_envs
