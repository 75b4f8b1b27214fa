"""What a sim was built for and cannot change later."""

from dataclasses import dataclass

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState

REBUILD = "Fix: keep it, or close() the engine so that the next call builds another sim"
SAME_DT = 1e-6
"""Relative difference between control periods that are the same up to a float32."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The robots and the period of a sim.

    Attributes:
        mass_kg: (num_envs,), float32 as in Isaac Gym.
        inertia_kg_m2: (num_envs, 3), float32.
        dt_s: Control period.
    """

    mass_kg: Tensor
    inertia_kg_m2: Tensor
    dt_s: float

    @classmethod
    def of(cls, robots: MultirotorParameters, dt_s: float | Tensor) -> "Binding":
        """Bind to robots and to their control period, a number or (num_envs,) equal ones.

        Raises:
            ConfigError: There are no robots, or the period is not one positive number.
        """
        if len(robots) == 0:
            raise ConfigError("no robots to simulate. Fix: pass at least one.")
        period = torch.as_tensor(dt_s, dtype=torch.float64)
        shortest, longest = period.min().item(), period.max().item()
        if not (0.0 < shortest <= longest <= shortest * (1.0 + SAME_DT)):
            raise ConfigError(
                f"control periods of {shortest:g} to {longest:g} s: one sim has one positive step. "
                "Fix: give all robots the same, or use the analytic engine."
            )
        return cls(
            mass_kg=robots.mass_kg.float().clone(),
            inertia_kg_m2=robots.inertia_kg_m2.float().clone(),
            dt_s=shortest,
        )

    def check(
        self, robots: MultirotorParameters, state: MultirotorState, dt_s: float | Tensor
    ) -> None:
        """Refuse what the sim was not built for.

        Raises:
            ConfigError: Other robots or states of others, a changed mass or inertia, or another
                period.
        """
        if not len(robots) == len(state) == len(self.mass_kg):
            raise ConfigError(
                f"{len(robots)} robots and {len(state)} states in a sim of {len(self.mass_kg)}: "
                f"Isaac Gym fixes their number when the sim is prepared. {REBUILD}."
            )
        for name, bound in (("mass_kg", self.mass_kg), ("inertia_kg_m2", self.inertia_kg_m2)):
            now = getattr(robots, name).to(bound)
            if not torch.equal(now, bound):
                robot = int((now != bound).reshape(len(bound), -1).any(-1).nonzero()[0])
                raise ConfigError(
                    f"{name} of robot {robot} changed from {bound[robot].tolist()} to "
                    f"{now[robot].tolist()}: Isaac Gym fixes it when the sim is prepared. "
                    f"{REBUILD}; for payloads in flight use the analytic engine."
                )
        period = torch.as_tensor(dt_s, dtype=torch.float64)
        if not bool(((period - self.dt_s).abs() <= SAME_DT * self.dt_s).all()):
            raise ConfigError(
                f"control period {dt_s} in a sim of {self.dt_s:g} s: Isaac Gym fixes it when the "
                f"sim is created. {REBUILD}."
            )
