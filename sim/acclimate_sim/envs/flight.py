"""Robots in flight: pure functions from one control step to the next."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from acclimate_sim.envs.episodes import Episode
from acclimate_sim.envs.noise import mix, unit_normals
from acclimate_sim.multirotor import (
    Disturbances,
    Engine,
    MultirotorState,
    advance,
    calm,
    delayed,
    measure,
    signals,
)
from acclimate_sim.multirotor.task import (
    PERIOD_S,
    TERMINATION_REWARD,
    beyond_limits,
    max_distance_m,
    reward,
)
from acclimate_sim.references import Reference


@dataclass(frozen=True, kw_only=True)
class Flight:
    """Everything about a batch of robots in flight; first axis env.

    Attributes:
        seed: (num_envs,) int64, and
        number: (num_envs,) int64, which name the robots.
        episode: The robots and their conditions.
        state: Where they really are.
        reading: What their sensors say.
        actions: (num_envs, taps, num_motors), the newest first.
        tick: (num_envs,) int64, control steps since the start.
    """

    seed: Tensor
    number: Tensor
    episode: Episode
    state: MultirotorState
    reading: MultirotorState
    actions: Tensor
    tick: Tensor

    def __len__(self) -> int:
        return len(self.tick)


def take_off(
    seed: Tensor, number: Tensor, episode: Episode, delay_taps: int, *, noisy: bool
) -> Flight:
    """Begin: what the motors do at the start was commanded since long ago."""
    start = episode.start
    action = 2.0 * start.motor_speed - 1.0
    flight = Flight(
        seed=seed,
        number=number,
        episode=episode,
        state=start,
        reading=start,
        actions=action.unsqueeze(1).repeat(1, delay_taps, 1),
        tick=torch.zeros_like(seed),
    )
    return _measured(flight, noisy=noisy)


def control_step(
    flight: Flight, action: Tensor, engine: Engine, *, noisy: bool
) -> tuple[Flight, Tensor, Tensor]:
    """Fly one control period.

    Args:
        flight: Before it.
        action: (num_envs, num_motors), motor setpoints, clamped to [-1, 1].
        engine: What moves the robots.
        noisy: Whether any robot's sensors are; spares the draws where none is.

    Returns:
        The flight after it, reward (num_envs,), and which robots (num_envs,) left the limits.
    """
    robots, imperfections = flight.episode.robots, flight.episode.imperfections
    action, last = action.clamp(-1.0, 1.0), flight.actions[:, 0]
    actions = torch.cat((action.unsqueeze(1), flight.actions[:, :-1]), dim=1)
    now = _happening(flight)
    setpoint = delayed(imperfections, now, actions)
    state = advance(robots, imperfections, now, flight.state, setpoint, engine)
    ended = beyond_limits(state.position, state.linear_velocity, state, max_distance_m(robots))
    change = (action - last).norm(dim=-1)
    earned = reward(state.position.norm(dim=-1), state.orientation, change)
    earned = torch.where(ended, TERMINATION_REWARD, earned)
    flight = replace(flight, state=state, actions=actions, tick=flight.tick + 1)
    return _measured(flight, noisy=noisy), earned, ended


def seen(flight: Flight) -> dict[str, Tensor]:
    """The contract's signals, each (num_envs, *shape), with the reference at the origin."""
    zeros = torch.zeros_like(flight.state.position)
    origin = Reference(position=zeros, linear_velocity=zeros)
    return signals(flight.reading, origin, flight.actions[:, 0], PERIOD_S)


def with_taps(flight: Flight, delay_taps: int) -> Flight:
    """Remember more actions, for robots to come whose delay reaches further back."""
    missing = delay_taps - flight.actions.shape[1]
    if missing <= 0:
        return flight
    oldest = flight.actions[:, -1:].expand(-1, missing, -1)
    return replace(flight, actions=torch.cat((flight.actions, oldest), dim=1))


def _happening(flight: Flight) -> Disturbances:
    return replace(calm(flight.episode.robots, 1, PERIOD_S).at(0), force_n=flight.episode.force_n)


def _measured(flight: Flight, *, noisy: bool) -> Flight:
    now = _happening(flight)
    if noisy:
        draws = unit_normals(mix(flight.seed) + flight.number, flight.tick, 12)
        now = replace(now, sensor_noise=draws.to(flight.state.position))
    reading = measure(flight.episode.imperfections, now, flight.state, flight.reading)
    return replace(flight, reading=reading)
