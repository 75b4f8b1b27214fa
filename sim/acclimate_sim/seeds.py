"""Seeds: which there are, and how one makes others."""

from functools import lru_cache

import numpy as np

from acclimate_contract import ConfigError

MAX_SEED = 2**32 - 1
"""torch's generator on the CPU looks at 32 bits: a larger seed would repeat a smaller one."""


def check_seed(seed: int) -> None:
    """Raise ConfigError unless a seed stands for draws of its own."""
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed} is out of range. Fix: use 0 to {MAX_SEED}.")


@lru_cache(maxsize=2**16)
def derived_seed(*numbers: int) -> int:
    """A seed that belongs to these numbers, as good as unrelated to that of any others."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
