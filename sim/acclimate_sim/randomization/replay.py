"""Which robot broke, and how to meet it again alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from acclimate_sim.engines.errors import SimulationError
from acclimate_sim.randomization.space import ParameterSpace


def check_finite(
    values: Mapping[str, Tensor],
    space: ParameterSpace,
    seed: int,
    numbers: Sequence[int] | None = None,
) -> None:
    """Raise SimulationError if any robot of a batch is no longer finite, and name it.

    Args:
        values: Name -> (num_envs, …): `vars(state)`, signals, costs.
        space: What the robots were drawn from.
        seed: Of the generator that drew them.
        numbers: Of the robots in the batch; by default the first ones of the seed, in order.
    """
    broken = {name: ~v.isfinite().reshape(len(v), -1).all(1) for name, v in values.items()}
    if not any(bool(rows.any()) for rows in broken.values()):
        return
    envs = torch.stack([rows.cpu() for rows in broken.values()]).any(0).nonzero().flatten().tolist()
    number = envs[0] if numbers is None else numbers[envs[0]]
    what = " and ".join(name for name, rows in broken.items() if rows[envs[0]])
    robot = {name: float(v) for name, v in space.numbered(seed, [number]).items()}
    others = f", and {len(envs) - 1} more of the batch," if len(envs) > 1 else ""
    raise SimulationError(
        f"{what} of robot {number} of seed {seed} of {space.name!r}{others} stopped being finite: "
        f"nothing that follows is physics. Its parameters: {robot}. Fix: fly it alone with "
        f"numbered({seed}, [{number}]) of that space, and look for absurd forces or ranges."
    )
