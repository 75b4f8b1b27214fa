"""One control period as engines see it that are fed thrusts and work in another float type."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.engines.errors import SimulationError, named
from acclimate_sim.engines.motors import spin
from acclimate_sim.multirotor.parameters import MultirotorParameters
from acclimate_sim.multirotor.state import MultirotorState


@dataclass(frozen=True, kw_only=True)
class Period:
    """Where robots are and what acts on them meanwhile, in float64; first axis env.

    Robots with anything that is not finite are at rest and left alone instead, so that they
    cannot disturb an engine, and come out as `lost`.

    Attributes:
        robots: (num_envs,) robots.
        pose: (num_envs, 7), position in m and quaternion w x y z, body to world.
        velocity: (num_envs, 6), m/s in the world frame, rad/s in the body frame.
        motor_speed: (num_envs, num_motors), in [0, 1].
        setpoint: (num_envs, num_motors), motor speeds in [0, 1] to go to.
        wrench: (num_envs, 6), force in N in the world frame, torque in N m in the body frame.
        length_s: (num_envs,).
        lost: (num_envs,), whether something is not finite.
    """

    robots: MultirotorParameters
    pose: Tensor
    velocity: Tensor
    motor_speed: Tensor
    setpoint: Tensor
    wrench: Tensor
    length_s: Tensor
    lost: Tensor

    def __len__(self) -> int:
        return len(self.pose)

    def __getitem__(self, envs: slice | Tensor) -> "Period":
        return replace(self, **{f.name: getattr(self, f.name)[envs] for f in fields(self)})

    def counts(self, timestep_s: float) -> Tensor:
        """How many equal steps of at most `timestep_s` each robot takes, (num_envs,) int64."""
        # Tolerates lengths that are a whole number of steps up to the rounding of float32.
        return torch.ceil(self.length_s / timestep_s - 1e-6).clamp_min(1.0).long()

    def motors(self, count: int, *, pull_only: bool) -> tuple[Tensor, Tensor]:
        """Hold the setpoints for all steps.

        Args:
            count: Steps.
            pull_only: Clamp thrusts at zero: a propeller on a floor does not pull downwards,
                although some published thrust curves are fits that turn negative at low speed.

        Returns:
            Motor speeds at the end, (num_envs, num_motors), and thrusts of each step in newton,
            (num_envs, count, num_motors).
        """
        speed, thrust = spin(
            self.robots, self.motor_speed, self.setpoint, self.length_s / count, count
        )
        thrust = torch.where(self.lost.view(-1, 1, 1), 0.0, thrust)
        return speed, thrust.clamp_min(0.0) if pull_only else thrust


def begin(
    parameters: MultirotorParameters,
    state: MultirotorState,
    action: Tensor,
    dt_s: float | Tensor,
    external_force_n: Tensor | None,
    external_torque_nm: Tensor | None,
    *,
    device: torch.device | str,
) -> Period:
    """Gather the arguments of an engine, on its device.

    Raises:
        ConfigError: They are of different numbers of robots, a period is not positive and finite,
            or somebody waits for gradients.
    """
    n = len(parameters)
    given = (state.position, action, external_force_n, external_torque_nm)
    sizes = [len(tensor) for tensor in given if tensor is not None]
    if any(size != n for size in sizes):
        raise ConfigError(
            f"{n} robots, but states, actions, forces and torques for {sizes}. Fix: one row each."
        )
    _refuse_gradients(*given, *vars(state).values(), *vars(parameters).values())

    def exact(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device, torch.float64)

    def wrench_part(tensor: Tensor | None) -> Tensor:
        return exact(state.position.new_zeros(n, 3) if tensor is None else tensor)

    setpoint = 0.5 * (exact(action).clamp(-1.0, 1.0) + 1.0)
    return _left_alone(
        Period(
            robots=parameters.to(device, torch.float64),
            pose=torch.cat((exact(state.position), exact(state.orientation)), dim=-1),
            velocity=torch.cat(
                (exact(state.linear_velocity), exact(state.angular_velocity)), dim=-1
            ),
            motor_speed=exact(state.motor_speed),
            setpoint=setpoint,
            wrench=torch.cat(
                (wrench_part(external_force_n), wrench_part(external_torque_nm)), dim=-1
            ),
            length_s=_lengths(dt_s, n).to(device),
            lost=torch.zeros(n, dtype=torch.bool, device=device),
        )
    )


def end(
    pose: Tensor, velocity: Tensor, motor_speed: Tensor, lost: Tensor, like: MultirotorState
) -> MultirotorState:
    """The state after a period, in the float type and on the device of `like`.

    Raises:
        SimulationError: Robots are lost, which names them; it carries the state, too.
    """

    def plain(tensor: Tensor) -> Tensor:
        marked = torch.where(lost.unsqueeze(-1), torch.nan, tensor)
        return marked.to(like.position.device, like.position.dtype)

    state = MultirotorState(
        position=plain(pose[:, :3]),
        orientation=plain(pose[:, 3:]),
        linear_velocity=plain(velocity[:, :3]),
        angular_velocity=plain(velocity[:, 3:]),
        motor_speed=plain(motor_speed.clamp(0.0, 1.0)),
    )
    if lost.any():
        rows = lost.nonzero().flatten().tolist()
        raise SimulationError(
            f"{named(rows)} became unusable: their state is not finite or beyond what "
            "MuJoCo integrates, and what follows would not be physics. Fix: check their forces, "
            "actions and parameters for absurd values; the error carries the state of the others.",
            rows=rows,
            state=state,
        )
    return state


def heights(floor_m: float | Tensor | None, n: int) -> Tensor:
    """Height of the floor in float64, one for all or (n,); zero where there is none.

    Raises:
        ConfigError: There is neither one nor `n`.
    """
    given = torch.as_tensor(0.0 if floor_m is None else floor_m, dtype=torch.float64)
    if given.ndim and len(given) != n:
        raise ConfigError(
            f"{len(given)} heights of the floor for {n} robots. "
            "Fix: one for each robot, or one number for all."
        )
    return given.detach().cpu()


def _left_alone(period: Period) -> Period:
    """The same with robots at rest where something is not finite."""
    robots = period.robots
    curve = robots.thrust_curve_n.flatten(1)
    given = (period.pose, period.velocity, period.motor_speed, period.setpoint, period.wrench)
    lags = (robots.rise_time_s, robots.fall_time_s)
    lost = ~torch.cat((*given, curve, *lags), dim=-1).isfinite().all(-1)
    if not lost.any():
        return period
    there = lost.unsqueeze(-1)
    rest = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]).to(period.pose)
    return replace(
        period,
        pose=torch.where(there, rest, period.pose),
        velocity=torch.where(there, 0.0, period.velocity),
        wrench=torch.where(there, 0.0, period.wrench),
        lost=lost,
    )


def _lengths(dt_s: float | Tensor, n: int) -> Tensor:
    """The period of each robot, (n,) float64."""
    lengths = torch.as_tensor(dt_s, dtype=torch.float64).detach().expand(n)
    if not (lengths.isfinite() & (lengths > 0.0)).all():
        raise ConfigError(f"{dt_s=} must be positive and finite. Fix: check the clock.")
    return lengths


def _refuse_gradients(*tensors: Tensor | None) -> None:
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        raise ConfigError(
            "MuJoCo has no gradients, and something given requires them. "
            "Fix: train in the engine 'analytic', or fly under torch.no_grad()."
        )
