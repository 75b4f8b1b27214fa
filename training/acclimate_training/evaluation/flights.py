"""Fly many robots at once and record what the figures need."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from acclimate_contract import PREVIEW_TIMES_S
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.multirotor import (
    Disturbances,
    Engine,
    Imperfections,
    MultirotorParameters,
    MultirotorState,
    advance,
    calm,
    delayed,
    measure,
    perfect,
    signals,
    step,
)
from acclimate_sim.multirotor.task import PERIOD_S, beyond_limits, reward
from acclimate_sim.references import Trajectory
from acclimate_sim.rotations import tilt
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.pilots import Pilot


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Standard deviation of white noise on what the pilot sees, per component."""

    position_m: float = 0.01
    orientation: float = 0.01
    speed_m_s: float = 0.05
    body_rate_rad_s: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a flight is flown; the default is RAPTOR's ground.

    Attributes:
        clear_memory: Forget the robot before every step.
        max_error: Clip of position (m) and speed (m/s) errors before the pilot sees them.
        noise: Noise on the signals, or none.
        seed: Of that noise.
        imperfections: Of the robots; none makes them perfect.
        disturbances: What happens, at least as long as the flight; its time steps are common to
            all robots and set the control rate. None is calm air at 100 Hz.
        foreseen: The pilot is shown the future of the reference; else zeros.
        sensing_delay_steps: Control steps by which every measurement is late.
        velocity_delay_steps: Control steps by which the linear velocity is late on top of that.
        engine: What moves the robots. Those that it gives up on count as lost.
    """

    clear_memory: bool = False
    max_error: tuple[float, float] | None = None
    noise: SensorNoise | None = None
    seed: int = 0
    imperfections: Imperfections | None = None
    disturbances: Disturbances | None = None
    foreseen: bool = False
    sensing_delay_steps: int = 0
    velocity_delay_steps: int = 0
    engine: Engine = step


@dataclass(frozen=True, kw_only=True)
class Flight:
    """What happened, one column per robot.

    Attributes:
        time_s: (steps,), since the start, at the end of each step.
        distance_m: (steps, num_envs), to the reference, after each step.
        tilt_rad: (steps, num_envs), of the body's z axis from the vertical, after each step.
        action_change: (steps, num_envs), length of the change of the four setpoints.
        reward: (steps, num_envs), RAPTOR's reward of each step (its section "Reward"); the change
            of the setpoints counts per 10 ms, whatever the control rate.
        terminated: (steps, num_envs), true from the first step beyond RAPTOR's limits on.
    """

    time_s: np.ndarray
    distance_m: np.ndarray
    tilt_rad: np.ndarray
    action_change: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray

    def __getitem__(self, envs: slice | np.ndarray) -> "Flight":
        columns = {name: value[:, envs] for name, value in vars(self).items() if name != "time_s"}
        return replace(self, **columns)


def fly(
    pilot: Pilot,
    robots: MultirotorParameters,
    start: MultirotorState,
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
        force_n: (num_envs, 3), constant external force, world frame; adds to the schedule's.
        trajectory: Reference over time.
        num_steps: Control periods, of 10 ms unless the conditions say otherwise.
        max_distance_m: (num_envs,), termination limit on the position error per axis.
        conditions: What is not plain about the flight.

    Raises:
        EvaluationError: The schedule of disturbances ends before the flight.
    """
    conditions = conditions or Conditions()
    imperfections = conditions.imperfections or perfect(robots)
    schedule = conditions.disturbances or calm(robots, num_steps, PERIOD_S)
    if len(schedule) < num_steps:
        raise EvaluationError(
            f"the schedule of disturbances has {len(schedule)} steps and the flight {num_steps}: "
            "nobody could tell what happens at its end. Fix: draw it as long as the flight."
        )
    sensors = _Sensors(imperfections, conditions, start)
    records: list[tuple[Tensor, ...]] = []
    state, terminated = start, torch.zeros(len(robots), dtype=torch.bool)
    first = (2.0 * start.motor_speed - 1.0).unsqueeze(1)
    actions = first.repeat(1, _delay_taps(imperfections, schedule), 1)
    pilot.reset()
    with torch.inference_mode():
        for tick in _ticks(schedule, num_steps):
            if conditions.clear_memory:
                pilot.reset()
            previous = actions[:, 0]
            seen = sensors.seen(state, trajectory, previous, tick)
            action = torch.from_numpy(pilot.step(seen)).clamp(-1.0, 1.0)
            actions = torch.cat((action.unsqueeze(1), actions[:, :-1]), dim=1)
            now = replace(tick.happening, force_n=tick.happening.force_n + force_n)
            setpoint = delayed(imperfections, now, actions)
            for part in _parts(now, tick.length_s):
                state = _advance(robots, imperfections, part, state, setpoint, conditions.engine)
            reference = trajectory(tick.end_s)
            error = state.position - reference.position
            terminated = terminated | beyond_limits(
                error, state.linear_velocity - reference.linear_velocity, state, max_distance_m
            )
            change = (action - previous).norm(dim=-1)
            distance = error.norm(dim=-1)
            per_period = change * (PERIOD_S / tick.length_s)
            earned = reward(distance, state.orientation, per_period)
            records.append((distance, tilt(state.orientation), change, earned, terminated))
    columns = (torch.stack(column).numpy() for column in zip(*records, strict=True))
    distance, tilted, change, earned, terminated = columns
    return Flight(
        time_s=schedule.time_step_s[:num_steps, 0].double().cumsum(0).numpy(),
        distance_m=distance,
        tilt_rad=tilted,
        action_change=change,
        reward=earned,
        terminated=terminated,
    )


@dataclass(frozen=True, kw_only=True)
class _Tick:
    """One control step: when it begins and ends, the length of the one before, what happens."""

    begin_s: float
    end_s: float
    elapsed_s: float
    happening: Disturbances

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s


def _ticks(schedule: Disturbances, num_steps: int) -> Iterator[_Tick]:
    lengths = schedule.time_step_s[:num_steps, 0].double().tolist()
    begin_s, elapsed_s = 0.0, lengths[0]
    for t, length_s in enumerate(lengths):
        yield _Tick(
            begin_s=begin_s,
            end_s=begin_s + length_s,
            elapsed_s=elapsed_s,
            happening=schedule.at(t),
        )
        begin_s, elapsed_s = begin_s + length_s, length_s


class _Sensors:
    """Between the robots' true states and what the pilot sees."""

    def __init__(
        self, imperfections: Imperfections, conditions: Conditions, start: MultirotorState
    ) -> None:
        self._imperfections = imperfections
        self._conditions = conditions
        self._generator = torch.Generator().manual_seed(conditions.seed)
        late = conditions.sensing_delay_steps
        latest = late + conditions.velocity_delay_steps
        self._readings = deque([start] * (latest + 1), maxlen=latest + 1)  # oldest first
        self._late = late

    def seen(
        self, state: MultirotorState, trajectory: Trajectory, previous: Tensor, tick: _Tick
    ) -> dict[str, np.ndarray]:
        """Signals, each (num_envs, *shape) float32."""
        self._readings.append(
            measure(self._imperfections, tick.happening, state, self._readings[-1])
        )
        reading = replace(
            self._readings[-1 - self._late], linear_velocity=self._readings[0].linear_velocity
        )
        here = trajectory(tick.begin_s)
        preview = _preview(trajectory, tick.begin_s) if self._conditions.foreseen else None
        seen = signals(reading, here, previous, tick.elapsed_s, preview)
        return _sensed(seen, self._conditions, self._generator)


def _preview(trajectory: Trajectory, time_s: float) -> Tensor:
    """Reference positions ahead minus the present one, (num_envs, 4, 3)."""
    here = trajectory(time_s).position
    return torch.stack([trajectory(time_s + s).position - here for s in PREVIEW_TIMES_S], dim=1)


def _delay_taps(imperfections: Imperfections, schedule: Disturbances) -> int:
    """How many actions to remember, so that the longest control delay reaches them."""
    delay_s = float(imperfections.control_delay_s.max() * schedule.delay_factor.max())
    return 1 + math.ceil(delay_s / float(schedule.time_step_s.min()) - 1e-6)


def _parts(now: Disturbances, length_s: float) -> list[Disturbances]:
    """One control step as physics steps of at most 10 ms: longer ones do not converge."""
    parts = max(1, math.ceil(length_s / PERIOD_S - 1e-6))
    part = replace(now, time_step_s=now.time_step_s / parts) if parts > 1 else now
    return [part] * parts


def _advance(
    robots: MultirotorParameters,
    imperfections: Imperfections,
    now: Disturbances,
    state: MultirotorState,
    setpoint: Tensor,
    engine: Engine,
) -> MultirotorState:
    """One physics step; robots that the engine gives up on are not a number from then on."""
    try:
        return advance(robots, imperfections, now, state, setpoint, engine)
    except SimulationError as error:
        if error.state is None:
            raise
        return error.state


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
