"""Settings of a training run; its fields are the flags of `acclimate train`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from acclimate_contract import ConfigError
from acclimate_training.policy_config import PolicyCfg


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """Meta-train a quadrotor policy from nothing by gradients through the simulator.

    The same command with the same --out goes on where a stopped run left off.
    """

    out: Path = Path("runs/quadrotor-hover")
    """Run directory: configuration, checkpoint, TensorBoard events and the exported policy."""
    seed: int = 0
    """Seeds the initial weights and every robot, state, force and reference of the run."""
    space: Literal["published", "widened", "noisy", "diverse"] = "noisy"
    """Distribution that training robots are drawn from."""
    situations: Literal["calm", "harsh"] = "calm"
    """What else flights meet: nothing, or wind, changes in mid-flight, odd rates, wild starts."""
    policy: PolicyCfg = field(default_factory=PolicyCfg)
    """Size and senses of the policy."""
    iterations: int = 1500
    """Gradient steps; each flies `num_envs` fresh robots."""
    num_envs: int = 512
    """Robots per iteration."""
    first_horizon: int = 50
    """Control steps per flight at the start of training."""
    last_horizon: int = 300
    """Control steps per flight once `growing_fraction` of training is over."""
    growing_fraction: float = 0.3
    """Share of the iterations during which the horizon grows."""
    learning_rate: float = 4e-3
    """Initial step size of Adam; falls to zero along a half cosine."""
    max_gradient_norm: float = 1.0
    """Longer gradients of the mean cost are scaled down to this length."""
    state_damping: float = 0.985
    """Factor on the state's gradient per control step back in time."""
    max_robot_gradient: float = 1000.0
    """Longest gradient of one robot's cost with respect to its state, at any step."""
    checkpoint_interval_s: float = 30.0
    """Longest time whose work a kill can lose."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    compile: bool = True
    """Compile the control step (needs a C++ compiler, costs about a minute, pays ten-fold)."""

    def __post_init__(self) -> None:
        for name in ("iterations", "num_envs", "first_horizon"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}. Fix: make it at least 1.")
        if self.last_horizon < self.first_horizon:
            raise ConfigError(
                f"last_horizon {self.last_horizon} is shorter than first_horizon "
                f"{self.first_horizon}. Fix: raise the last or lower the first."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise ConfigError(f"learning_rate is {self.learning_rate}. Fix: about 0.004 works.")
        if not 0.0 < self.state_damping <= 1.0 or not 0.0 <= self.growing_fraction <= 1.0:
            raise ConfigError(
                f"state_damping {self.state_damping} must lie in (0, 1] and growing_fraction "
                f"{self.growing_fraction} in [0, 1]. Fix: keep the defaults if unsure."
            )

    def horizon(self, iteration: int) -> int:
        """Control steps per flight at an iteration."""
        grown = iteration / max(1.0, self.growing_fraction * self.iterations)
        steps = self.first_horizon + (self.last_horizon - self.first_horizon) * min(1.0, grown)
        return round(steps)

    def learning_rate_at(self, iteration: int) -> float:
        """Step size at an iteration."""
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * iteration / self.iterations))
