"""Parameters that change in flight: the factors of a space's processes as disturbances."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from acclimate_contract import ConfigError
from acclimate_sim.multirotor.disturbances import Disturbances

CHANGING = {
    "thrust_to_weight": "thrust_factor",
    "force_fraction": "force_n",
    "control_delay": "delay_factor",
    "noise_level": "sensor_noise",
}
"""Parameter of the family -> the disturbance that carries a factor on it."""


def changed(happening: Disturbances, factors: Mapping[str, Tensor]) -> Disturbances:
    """Let parameters change in flight.

    Args:
        happening: What happens anyway.
        factors: Name of a parameter -> (time, num_envs), as drawn by `ParameterSpace.factors`.

    Raises:
        ConfigError: A parameter cannot change in flight.
    """
    odd = [name for name in factors if name not in CHANGING]
    if odd:
        raise ConfigError(
            f"parameters {odd} of a multirotor cannot change in flight: the world has no factor "
            f"for them. Fix: let processes change some of {', '.join(CHANGING)}."
        )
    fields = {}
    for name, factor in factors.items():
        old = getattr(happening, CHANGING[name])
        fields[CHANGING[name]] = old * factor.to(old).reshape(*factor.shape, *[1] * (old.ndim - 2))
    return replace(happening, **fields)
