"""Wind with gusts: the Dryden turbulence model.

MIL-F-8785C, low altitude: each axis is white noise through a rational filter whose length scale
and intensity depend on the height and on the wind speed. Along the wind the filter is of first
order, across it of second order.
"""

import math

import torch
from torch import Tensor

FOOT_M = 0.3048
MIN_HEIGHT_M, MIN_WIND_M_S = 3.05, 0.5
"""The model begins at 10 feet, and its time scales end where the wind does."""


def dryden(
    mean_wind_m_s: Tensor, height_m: float, times: int, dt_s: float, generator: torch.Generator
) -> Tensor:
    """Draw the wind at a point over time.

    Args:
        mean_wind_m_s: (num_envs, 3), steady part, world frame; the gusts grow with its length.
        height_m: Above ground, one for all; at least 10 feet is assumed.
        times: Number of samples.
        dt_s: Time between them.
        generator: On the device of the mean wind.

    Returns:
        (times, num_envs, 3) m/s. Gusts start in their stationary distribution.
    """
    like = mean_wind_m_s
    speed = mean_wind_m_s.norm(dim=-1)
    height_ft = max(height_m, MIN_HEIGHT_M) / FOOT_M
    reach = 0.177 + 0.000823 * height_ft
    sigma_w = 0.1 * speed
    sigma_u = sigma_w / reach**0.4
    length_u, length_w = height_ft / reach**1.2 * FOOT_M, height_ft * FOOT_M
    flow = speed.clamp_min(MIN_WIND_M_S)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)

    n = len(speed)
    along = _first_order(noise(times, n), torch.exp(-dt_s * flow / length_u))
    across = _second_order(noise(times + 2, n), dt_s * flow / length_u)
    upward = _second_order(noise(times + 2, n), dt_s * flow / length_w)
    gusts = torch.stack((sigma_u * along, sigma_u * across, sigma_w * upward), dim=-1)
    return mean_wind_m_s + _along_the_wind(gusts, mean_wind_m_s)


def _first_order(noise: Tensor, keep: Tensor) -> Tensor:
    """Unit-variance Gauss-Markov process (times, num_envs) with a correlation per step."""
    values = [noise[0]]
    fresh = torch.sqrt(1.0 - keep * keep)
    for row in noise[1:]:
        values.append(keep * values[-1] + fresh * row)
    return torch.stack(values)


def _second_order(noise: Tensor, rate: Tensor) -> Tensor:
    """White noise through (1 + sqrt(3) T s) / (1 + T s)^2, unit variance, T = 1 / rate steps.

    The two poles are split into a chain of Gauss-Markov stages driven by the same noise: the output
    is sqrt(3) x + (1 - sqrt(3)) y with x the first stage and y the second. Their stationary
    covariance gives the scale, and the start: waiting for it would take minutes in a light wind.

    Args:
        noise: (times + 2, num_envs), unit normal; the first two rows draw the start.
        rate: (num_envs,), steps over the time constant.

    Returns:
        (times, num_envs).
    """
    keep = torch.exp(-rate)
    fresh = 1.0 - keep
    root = math.sqrt(3.0)
    # Stationary Var x, Cov(x, y) and Var y, from their fixed points.
    loss = 1.0 - keep * keep
    var_x = fresh.square() / loss
    cov = fresh * var_x / loss
    var_y = fresh * (2.0 * keep * keep * cov + fresh * var_x) / loss
    variance = 3.0 * var_x + 2.0 * root * (1.0 - root) * cov + (1.0 - root) ** 2 * var_y
    x = torch.sqrt(var_x) * noise[0]
    y = cov / var_x * x + torch.sqrt(var_y - cov.square() / var_x) * noise[1]
    rows = []
    for row in noise[2:]:
        x = keep * x + fresh * row
        y = keep * y + fresh * x
        rows.append(root * x + (1.0 - root) * y)
    return torch.stack(rows) / torch.sqrt(variance)


def _along_the_wind(gusts: Tensor, mean_wind_m_s: Tensor) -> Tensor:
    """Turn gusts (along, across, up) into the world about its z axis."""
    x, y = mean_wind_m_s[:, 0], mean_wind_m_s[:, 1]
    size = torch.sqrt(x * x + y * y)
    cosine = torch.where(size > 0, x / size.clamp_min(1e-9), torch.ones_like(x))
    sine = torch.where(size > 0, y / size.clamp_min(1e-9), torch.zeros_like(x))
    along, across, up = gusts.unbind(-1)
    return torch.stack((cosine * along - sine * across, sine * along + cosine * across, up), -1)
