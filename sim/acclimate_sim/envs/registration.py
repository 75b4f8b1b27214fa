"""Names of the environments; without torch, which is imported when one is made."""

from gymnasium.envs.registration import register, registry

QUADROTOR, HEXAROTOR = "acclimate/Quadrotor-v0", "acclimate/Hexarotor-v0"
SPACES = {QUADROTOR: "published", HEXAROTOR: "hexarotor"}
"""Robots that each flies unless it is told otherwise."""
EPISODE_STEPS = 500
"""Five seconds, as published (Eschmann et al. 2025, arXiv 2509.11481, methods)."""


def register_environments() -> None:
    """Make `gymnasium.make` and `gymnasium.make_vec` know our environments."""
    for name in SPACES.keys() - registry.keys():  # gymnasium warns of every second registration
        register(
            id=name,
            entry_point="acclimate_sim.envs.single:MultirotorEnv",
            vector_entry_point="acclimate_sim.envs.vector:MultirotorVectorEnv",
            max_episode_steps=EPISODE_STEPS,
            kwargs={"space": SPACES[name]},
        )
