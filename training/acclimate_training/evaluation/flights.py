"""Fly many robots at once and record what the figures need."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from acclimate_sim.quadrotor import QuadrotorParameters, QuadrotorState, signals, step
from acclimate_sim.references import Trajectory
from acclimate_training.evaluation.pilots import Pilot
from acclimate_training.problems.quadrotor_tracking import PERIOD_S

MAX_SPEED_M_S, MAX_BODY_RATE_RAD_S = 2.0, 35.0
"""Per axis; beyond them an episode counts as terminated (Eschmann et al. 2025, methods)."""


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Standard deviation of white noise on what the pilot sees, per component."""

    position_m: float = 0.01
    orientation: float = 0.01
    speed_m_s: float = 0.05
    body_rate_rad_s: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a flight is flown.

    Attributes:
        clear_memory: Forget the robot before every step.
        max_error: Clip of position (m) and speed (m/s) errors before the pilot sees them.
        noise: Sensor noise, or none.
        seed: Of the noise.
    """

    clear_memory: bool = False
    max_error: tuple[float, float] | None = None
    noise: SensorNoise | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Flight:
    """What happened, one column per robot.

    Attributes:
        distance_m: (steps, num_envs), to the reference, after each step.
        action_change: (steps, num_envs), length of the change of the four setpoints.
        reward: (steps, num_envs), RAPTOR's reward of each step (its section "Reward").
        terminated: (steps, num_envs), true from the first step beyond RAPTOR's limits on.
    """

    distance_m: np.ndarray
    action_change: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray

    def __getitem__(self, envs: slice) -> "Flight":
        return replace(self, **{name: value[:, envs] for name, value in vars(self).items()})


def fly(
    pilot: Pilot,
    robots: QuadrotorParameters,
    start: QuadrotorState,
    force_n: Tensor,
    trajectory: Trajectory,
    *,
    num_steps: int,
    max_distance_m: Tensor,
    conditions: Conditions | None = None,
) -> Flight:
    """Fly every robot for `num_steps` control periods, terminated or not.

    Args:
        pilot: Who flies; forgets everything first.
        robots: (num_envs,) robots.
        start: Their first states, world frame.
        force_n: (num_envs, 3), constant external force, world frame.
        trajectory: Reference over time.
        num_steps: Control periods of 10 ms.
        max_distance_m: (num_envs,), termination limit on the position error per axis.
        conditions: Noise, clipping, memory; the default is plain flight.
    """
    conditions = conditions or Conditions()
    generator = torch.Generator().manual_seed(conditions.seed)
    records: list[tuple[Tensor, ...]] = []
    state, previous = start, 2.0 * start.motor_speed - 1.0
    terminated = torch.zeros(len(robots), dtype=torch.bool)
    pilot.reset()
    with torch.inference_mode():
        for t in range(num_steps):
            if conditions.clear_memory:
                pilot.reset()
            seen = signals(state, trajectory(t * PERIOD_S), previous, PERIOD_S)
            action = torch.from_numpy(pilot.step(_sensed(seen, conditions, generator)))
            action = action.clamp(-1.0, 1.0)
            state = step(robots, state, action, PERIOD_S, external_force_n=force_n)
            reference = trajectory((t + 1) * PERIOD_S)
            error = state.position - reference.position
            terminated = terminated | _beyond_limits(
                error, state.linear_velocity - reference.linear_velocity, state, max_distance_m
            )
            change = (action - previous).norm(dim=-1)
            previous = action
            heading_and_tilt = torch.acos((1 - state.orientation[:, 3].abs()).clamp(-1, 1))
            distance = error.norm(dim=-1)
            reward = 1.5 - distance - 0.2 * heading_and_tilt - change
            records.append((distance, change, reward, terminated))
    distance, change, reward, terminated = (
        torch.stack(c).numpy() for c in zip(*records, strict=True)
    )
    return Flight(distance_m=distance, action_change=change, reward=reward, terminated=terminated)


def _sensed(
    seen: dict[str, Tensor], conditions: Conditions, generator: torch.Generator
) -> dict[str, np.ndarray]:
    """What the pilot gets to see, as float32 arrays."""
    if conditions.noise is not None:
        noise = conditions.noise
        spreads = {
            "position_error": noise.position_m,
            "orientation": noise.orientation,
            "linear_velocity_error": noise.speed_m_s,
            "angular_velocity": noise.body_rate_rad_s,
        }
        for name, spread in spreads.items():
            unit = torch.randn(seen[name].shape, generator=generator)
            seen[name] = seen[name] + spread * unit
        seen["orientation"] = torch.nn.functional.normalize(seen["orientation"], dim=-1)
    if conditions.max_error is not None:
        position, speed = conditions.max_error
        seen["position_error"] = seen["position_error"].clamp(-position, position)
        seen["linear_velocity_error"] = seen["linear_velocity_error"].clamp(-speed, speed)
    return {name: value.contiguous().numpy() for name, value in seen.items()}


def _beyond_limits(
    error: Tensor, speed_error: Tensor, state: QuadrotorState, max_distance_m: Tensor
) -> Tensor:
    inside = (
        (error.abs().amax(-1) <= max_distance_m)
        & (speed_error.abs().amax(-1) <= MAX_SPEED_M_S)
        & (state.angular_velocity.abs().amax(-1) <= MAX_BODY_RATE_RAD_S)
    )
    return ~inside  # NaN compares false: it is beyond every limit
