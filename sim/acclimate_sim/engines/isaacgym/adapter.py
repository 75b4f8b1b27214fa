"""An engine that moves multirotors through Isaac Gym; it has never run on the closed binary.

Isaac Gym moves rigid bodies; motors, their thrust and its lever arms are ours. One physics step is
one call of `simulate`, before which forces are set anew: what happens to them between the substeps
that Isaac Gym can make by itself is not documented.
"""

import platform
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.engines.isaacgym.binding import Binding
from acclimate_sim.engines.isaacgym.root_states import from_root, packed, to_body, to_root, unpacked
from acclimate_sim.engines.isaacgym.rotors import Rotors
from acclimate_sim.engines.isaacgym.scene import Scene, build_scene
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState


@dataclass(frozen=True, kw_only=True)
class IsaacGymCfg:
    """How Isaac Gym is run.

    Attributes:
        substeps: Physics steps per control period. PhysX is of first order in the step.
        gpu_index: The GPU that simulates and holds the tensors; none for the CPU.
    """

    substeps: int = 10
    gpu_index: int | None = None

    def __post_init__(self) -> None:
        if self.substeps < 1:
            raise ConfigError(f"substeps={self.substeps} must be at least 1. Fix: try 10.")


class IsaacGymEngine:
    """An `Engine` that is bound to the robots and the control period of its first call.

    Isaac Gym fixes mass, inertia and step when a sim is created. Everything about motors may
    change from call to call, so battery and ground effect work; a payload does not. Numbers are
    float32 inside whatever the caller's are.

    Args:
        gymapi: The module isaacgym.gymapi, or what behaves like it (see `fake`).
        gymtorch: The module isaacgym.gymtorch, likewise.
        cfg: How to run it.
    """

    def __init__(
        self, gymapi: ModuleType, gymtorch: ModuleType, cfg: IsaacGymCfg | None = None
    ) -> None:
        self._gymapi = gymapi
        self._gymtorch = gymtorch
        self._cfg = cfg or IsaacGymCfg()
        self._binding: Binding | None = None
        self._scene: Scene | None = None
        self._returned: Tensor | None = None  # (num_envs, 13), which the sim still holds

    def __call__(
        self,
        parameters: MultirotorParameters,
        state: MultirotorState,
        action: Tensor,
        dt_s: float | Tensor,
        *,
        external_force_n: Tensor | None = None,
        external_torque_nm: Tensor | None = None,
    ) -> MultirotorState:
        """Advance every robot by one control period; see `multirotor.step`.

        Raises:
            ConfigError: Other robots, masses, inertias or another period than in the first call,
                or a gradient is asked for.
            SimulationError: A state is not finite.
        """
        _refuse_gradients(parameters, state, action, external_force_n, external_torque_nm)
        scene, binding = self._bound(parameters, dt_s)
        binding.check(parameters, state, dt_s)
        like = scene.root
        rotors = Rotors.spinning(
            parameters.to(like.device, like.dtype),
            state.motor_speed.to(like),
            action.to(like),
            binding.dt_s / self._cfg.substeps,
        )
        zero = torch.zeros(len(state), 3).to(like)
        push_world = zero if external_force_n is None else external_force_n.to(like)
        twist_body = zero if external_torque_nm is None else external_torque_nm.to(like)
        self._place(scene, state)
        for _ in range(self._cfg.substeps):
            rotors = rotors.advanced()
            force, torque = rotors.wrench()
            force = force + to_body(scene.states(), push_world)
            scene.simulate(force, torque + twist_body)
        rows = from_root(scene.states()).to(state.position)
        self._returned = rows.clone()
        return unpacked(rows, rotors.speed.to(state.motor_speed))

    def close(self) -> None:
        """Destroy the sim; the next call binds anew."""
        if self._scene is not None:
            self._scene.destroy()
        self._binding = self._scene = self._returned = None

    def _bound(
        self, parameters: MultirotorParameters, dt_s: float | Tensor
    ) -> tuple[Scene, Binding]:
        """The sim and what it was built for; built in the first call."""
        if self._scene is None or self._binding is None:
            self._binding = Binding.of(parameters, dt_s)
            self._scene = build_scene(
                self._gymapi,
                self._gymtorch,
                parameters,
                timestep_s=self._binding.dt_s / self._cfg.substeps,
                gpu_index=self._cfg.gpu_index,
            )
        return self._scene, self._binding

    def _place(self, scene: Scene, state: MultirotorState) -> None:
        """Move the robots that are not where the last call left them."""
        rows = packed(state)
        if self._returned is None:
            moved = torch.arange(len(rows), device=rows.device)
        else:
            moved = (rows != self._returned).any(-1).nonzero().squeeze(-1)
        if len(moved) == 0:
            return
        # What came out broken comes back as moved, because NaN differs from itself.
        broken = moved[~torch.isfinite(rows[moved]).all(-1)]
        if len(broken) > 0:
            raise SimulationError(
                f"the states of robots {broken.tolist()} are not finite: what follows would not "
                "be physics. Fix: reset these rows, and check their forces and parameters."
            )
        scene.place(moved, to_root(rows[moved].to(scene.root)))


def load(cfg: IsaacGymCfg | None = None) -> IsaacGymEngine:
    """Build the engine over the installed Isaac Gym.

    Raises:
        ConfigError: It cannot be imported.
    """
    try:
        gymapi = import_module("isaacgym.gymapi")
        gymtorch = import_module("isaacgym.gymtorch")
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"Isaac Gym cannot be imported ({error}); this is Python {platform.python_version()}. "
            "It is NVIDIA's closed, discontinued Preview 4 (1.0rc4) for Linux, whose binaries "
            "serve Python up to 3.8 and no current GPU, and it must be imported before torch. "
            "Fix: read docs/isaacgym.md, or use another engine, for example analytic."
        ) from error
    return IsaacGymEngine(gymapi, gymtorch, cfg)


def _refuse_gradients(
    parameters: MultirotorParameters, state: MultirotorState, *inputs: Tensor | None
) -> None:
    numbers = (*vars(parameters).values(), *vars(state).values(), *inputs)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in numbers):
        raise ConfigError(
            "Isaac Gym has no gradients, and yours would end here unnoticed. Fix: call it under "
            "torch.no_grad(), or use the analytic engine."
        )
