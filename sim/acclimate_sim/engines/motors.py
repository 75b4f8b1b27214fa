"""Motors for engines that take thrusts: the analytic model's lag, integrated exactly."""

import torch
from torch import Tensor

from acclimate_sim.multirotor.parameters import MultirotorParameters


def spin(
    parameters: MultirotorParameters, speed: Tensor, setpoint: Tensor, dt_s: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Hold setpoints for `count` steps of `dt_s`.

    The lag is an exponential, so the means of the speed and of its square over a step have closed
    forms, and so has the mean thrust. What is lost is its course within the step.

    Args:
        parameters: The robots.
        speed: (num_envs, num_motors), motor speeds in [0, 1] at the start.
        setpoint: (num_envs, num_motors), motor speeds in [0, 1] to go to.
        dt_s: (num_envs,).
        count: Steps, at least one.

    Returns:
        Motor speeds at the end, (num_envs, num_motors), and mean thrusts of each step in newton,
        (num_envs, count, num_motors); thrust curves that turn negative do so here.
    """
    lag_s = torch.where(setpoint >= speed, parameters.rise_time_s, parameters.fall_time_s)
    per_lag = (dt_s.unsqueeze(-1) / lag_s).unsqueeze(1)  # (num_envs, 1, num_motors)
    past = torch.arange(count + 1, device=speed.device, dtype=speed.dtype)
    gap = (speed - setpoint).unsqueeze(1) * torch.exp(-per_lag * past.view(1, -1, 1))
    target, gap, last = setpoint.unsqueeze(1), gap[:, :-1], gap[:, -1]
    mean_gap = gap * (-torch.expm1(-per_lag) / per_lag)
    mean_gap_squared = gap * gap * (-torch.expm1(-2.0 * per_lag) / (2.0 * per_lag))
    c0, c1, c2 = parameters.thrust_curve_n.unsqueeze(1).unbind(-1)
    mean_square = target * target + 2.0 * target * mean_gap + mean_gap_squared
    return setpoint + last, c0 + c1 * (target + mean_gap) + c2 * mean_square
