"""A policy learns from gradients through its own flights."""

import torch

from acclimate_training.algorithms.algorithm import (
    Algorithm,
    Draw,
    Iterate,
    Outcome,
    descend,
    fresh_episodes,
    fresh_origin,
)
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.algorithms.soap import Soap
from acclimate_training.algorithms.unroll import make_unroll
from acclimate_training.config import TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.problems.multirotor_tracking import TrackingCost


def by_gradients(cfg: TrainCfg, device: torch.device, team: Team) -> Algorithm:
    """Train the policy itself; see `acclimate_training.algorithms.gradients`."""
    policy = MultirotorPolicy(cfg.policy).to(device)
    optimizer = Soap(policy.parameters(), lr=cfg.learning_rate)
    draw = fresh_episodes(cfg, device, team)
    return Algorithm(
        parts={"policy": policy, "optimizer": optimizer},
        iterate=gradient_steps(cfg, policy, optimizer, draw, team),
        origin=fresh_origin(cfg),
    )


def gradient_steps(
    cfg: TrainCfg,
    policy: MultirotorPolicy,
    optimizer: torch.optim.Optimizer,
    draw: Draw,
    team: Team,
) -> Iterate:
    """Build the function that flies what `draw` gives and takes one gradient step."""
    weights = TrackingCost(settled_change=cfg.smoothness)
    taming = Taming(state_damping=cfg.state_damping, max_robot_gradient=cfg.max_robot_gradient)
    unroll = make_unroll(make_step(policy, weights, taming), policy, compile=cfg.compile)

    def iterate(iteration: int) -> Outcome:
        horizon = cfg.horizon(iteration)
        rollout = fly(policy, unroll, draw(iteration, horizon), weights)
        norm = descend(
            optimizer,
            rollout.cost,
            learning_rate=cfg.learning_rate_at(iteration),
            max_gradient_norm=cfg.max_gradient_norm * horizon,  # the cost is summed over time
            team=team,
        )
        figures = {
            "cost": rollout.cost.item() / horizon,
            "final_distance_m/median": rollout.final_distance_m.median().item(),
            "lost_fraction": rollout.lost.mean().item(),
            "gradient_norm": norm / horizon,
            "horizon": float(horizon),
        }
        return Outcome(figures=figures, robot_cost=rollout.robot_cost)

    return iterate
