"""Names of the environments; without torch, which is imported when one is made."""

from gymnasium.envs.registration import register, registry

QUADROTOR = "acclimate/Quadrotor-v0"
EPISODE_STEPS = 500
"""Five seconds, as published (Eschmann et al. 2025, arXiv 2509.11481, methods)."""


def register_environments() -> None:
    """Make `gymnasium.make` and `gymnasium.make_vec` know our environments."""
    if QUADROTOR not in registry:  # gymnasium warns of every second registration
        register(
            id=QUADROTOR,
            entry_point="acclimate_sim.envs.single:MultirotorEnv",
            vector_entry_point="acclimate_sim.envs.vector:MultirotorVectorEnv",
            max_episode_steps=EPISODE_STEPS,
        )
