"""Settings of a training run; its fields are the flags of `acclimate train`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from acclimate_contract import ConfigError
from acclimate_training.policy_config import PolicyCfg


@dataclass(frozen=True, kw_only=True)
class ImitationCfg:
    """How teachers learn and a student learns from them; read by `meta-imitation` alone."""

    teachers: Literal["privileged"] | int = "privileged"
    """One teacher that sees what only a simulator knows of fresh robots, or a number of robots
    with a teacher each."""
    teacher_iterations: int = 600
    """Iterations, out of all, that train the teachers by gradients through the simulator."""
    teacher_width: int = 64
    """Width of the two hidden layers of a teacher."""
    learning_rate: float = 2e-2
    """Initial step size of the student; falls to zero along a half cosine."""
    teacher_flies: float = 0.03
    """Share of the student's iterations in which the teacher flies; then the student does."""
    latent: int = 0
    """Width of a bottleneck for what only the simulator knows; the student's memory learns to
    tell it. Zero: no bottleneck."""
    latent_weight: float = 0.1
    """Weight of the latent's squared error beside that of the actions."""

    def __post_init__(self) -> None:
        for name in ("teacher_iterations", "teacher_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}. Fix: make it at least 1.")
        if self.num_teachers < 1:
            raise ConfigError(f"teachers is {self.teachers}. Fix: 1 or more, or privileged.")
        if self.latent and self.teachers != "privileged":
            raise ConfigError(
                f"{self.teachers} teachers have a latent of their own each, which no single "
                "memory can tell. Fix: --imitation.teachers privileged, or no latent."
            )
        if not 0.0 <= self.teacher_flies <= 1.0 or self.latent < 0 or self.latent_weight < 0.0:
            raise ConfigError(
                f"teacher_flies {self.teacher_flies} must lie in [0, 1], latent {self.latent} and "
                f"latent_weight {self.latent_weight} must not be negative. Fix: keep the defaults."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise ConfigError(f"learning_rate is {self.learning_rate}. Fix: about 0.02 works.")

    @property
    def num_teachers(self) -> int:
        """Policies that teach."""
        return 1 if self.teachers == "privileged" else self.teachers


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """Meta-train a policy from nothing.

    The same command with the same --out goes on where a stopped run left off.
    """

    out: Path = Path("runs/quadrotor-tiny")
    """Run directory: configuration, checkpoint, TensorBoard events and the exported policy."""
    seed: int = 0
    """Seeds the initial weights and every robot, state, force and reference of the run."""
    algorithm: Literal["gradients", "meta-imitation"] = "gradients"
    """Gradients through the simulator into the policy, or into teachers that it then imitates."""
    imitation: ImitationCfg = field(default_factory=ImitationCfg)
    """Teachers and student of `meta-imitation`."""
    space: Literal["published", "widened", "noisy", "diverse", "delayed", "hexarotor"] = "noisy"
    """Distribution that training robots are drawn from."""
    situations: Literal["calm", "harsh"] = "calm"
    """What else flights meet: nothing, or wind, changes in mid-flight, odd rates, wild starts."""
    policy: PolicyCfg = field(default_factory=PolicyCfg)
    """Size and senses of the policy."""
    smoothness: float = 4.0
    """Weight of the setpoints' change once a robot hovers: less noise in the motors, and less
    eager flight."""
    iterations: int = 1500
    """Gradient steps; each flies `num_envs` robots."""
    num_envs: int = 1024
    """Robots per iteration, in all processes together."""
    workers: int = 1
    """Processes that share them, one CPU core each; several machines or GPUs need torchrun."""
    first_horizon: int = 50
    """Control steps per flight at the start of training."""
    last_horizon: int = 600
    """Control steps per flight once `growing_fraction` of training is over. Hovering robots begin
    to swing after seconds: what flights do not show is not learned."""
    growing_fraction: float = 0.3
    """Share of the iterations during which the horizon grows."""
    learning_rate: float = 3e-2
    """Initial step size of the optimizer; falls to zero along a half cosine."""
    max_gradient_norm: float = 1.0
    """Longer gradients of the mean cost are scaled down to this length."""
    state_damping: float = 0.995
    """Factor on the state's gradient per control step back in time."""
    max_robot_gradient: float = 1000.0
    """Longest gradient of one robot's cost with respect to its state, at any step."""
    checkpoint_interval_s: float = 30.0
    """Longest time whose work a kill can lose."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    compile: bool = True
    """Compile the flight (needs a C++ compiler, costs about ten seconds, pays a hundred-fold)."""

    def __post_init__(self) -> None:
        for name in ("iterations", "num_envs", "workers", "first_horizon"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}. Fix: make it at least 1.")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}. Fix: make it zero or more.")
        self.check_shared_by(self.workers)
        if self.last_horizon < self.first_horizon:
            raise ConfigError(
                f"last_horizon {self.last_horizon} is shorter than first_horizon "
                f"{self.first_horizon}. Fix: raise the last or lower the first."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise ConfigError(f"learning_rate is {self.learning_rate}. Fix: about 0.03 works.")
        if not (math.isfinite(self.smoothness) and self.smoothness >= 0.0):
            raise ConfigError(f"smoothness is {self.smoothness}. Fix: zero or more; 4 works.")
        if self.algorithm == "meta-imitation":
            self._check_imitation()
        if not 0.0 < self.state_damping <= 1.0 or not 0.0 <= self.growing_fraction <= 1.0:
            raise ConfigError(
                f"state_damping {self.state_damping} must lie in (0, 1] and growing_fraction "
                f"{self.growing_fraction} in [0, 1]. Fix: keep the defaults if unsure."
            )

    def _check_imitation(self) -> None:
        taught = self.imitation.teacher_iterations
        if taught >= self.iterations:
            raise ConfigError(
                f"teacher_iterations {taught} leave none of {self.iterations} iterations to the "
                "student. Fix: raise --iterations or lower --imitation.teacher-iterations."
            )
        if self.imitation.latent and self.policy.cell == "none" and not self.policy.integrate:
            raise ConfigError(
                "a policy without memory cannot tell a latent. Fix: choose another --policy.cell, "
                "or no --imitation.latent."
            )

    def check_shared_by(self, processes: int) -> None:
        """Raise ConfigError unless so many processes can share the robots evenly."""
        teachers = self.imitation.num_teachers if self.algorithm == "meta-imitation" else 1
        if self.num_envs % (processes * teachers):
            taught = f" with {teachers} teachers each" if teachers > 1 else ""
            raise ConfigError(
                f"num_envs {self.num_envs} cannot be shared evenly by {processes} processes"
                f"{taught}. Fix: make it a multiple of {processes * teachers}."
            )

    def horizon(self, iteration: int) -> int:
        """Control steps per flight at an iteration."""
        grown = iteration / max(1.0, self.growing_fraction * self.iterations)
        steps = self.first_horizon + (self.last_horizon - self.first_horizon) * min(1.0, grown)
        return round(steps)

    def learning_rate_at(self, iteration: int) -> float:
        """Step size at an iteration."""
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * iteration / self.iterations))
