"""crazyflow: quadrotors in JAX."""

# pyright: reportMissingImports=false
# (crazyflow and JAX are installed by those who measure.)

from collections.abc import Callable

import jax
import numpy as np
from crazyflow.control import Control
from crazyflow.sim import Dynamics, Sim
from crazyflow.sim.integration import Integrator

RATE_HZ = 100
SPEED_RPM = 15_000.0
"""About hover; no figure depends on it."""


def make(num_envs: int, integrator: str, steps_a_call: str) -> tuple[Callable[[int], None], int]:
    """Drones of its default kind, one per world, driven by speeds of their rotors."""
    sim = Sim(
        n_worlds=num_envs,
        dynamics=Dynamics.first_principles,
        control=Control.rotor_vel,
        integrator=Integrator(integrator),
        freq=RATE_HZ,
        fused_mjx_model=True,
    )
    commands = np.full((num_envs, 1, 4), SPEED_RPM, dtype=np.float32)
    actions = jax.numpy.asarray(commands)
    together = int(steps_a_call)

    def fly(count: int) -> None:
        for _ in range(count):
            sim.rotor_vel_control(actions)
            sim.step(together)
            jax.block_until_ready(sim.data.states.pos)

    return fly, num_envs * together
