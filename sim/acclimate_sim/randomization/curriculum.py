"""From a narrow space to a full one, as a policy learns."""

from collections.abc import Mapping

from acclimate_contract import ConfigError
from acclimate_sim.randomization.distributions import Between, Distribution
from acclimate_sim.randomization.space import ParameterSpace


def widening(
    narrow: ParameterSpace, full: ParameterSpace, progress: float | Mapping[str, float]
) -> ParameterSpace:
    """Widen a space towards another one with the same parameters.

    Every robot moves steadily from the one that `narrow` draws to the one that `full` draws from
    the same seed.

    Args:
        narrow: Where the curriculum begins; only its distributions matter.
        full: Where it ends.
        progress: 0 to 1 for all, or for each parameter by name; those not named are still narrow.

    Raises:
        ConfigError: The spaces differ in more than their distributions, progress is outside [0, 1]
            or of an unknown parameter, or a Categorical differs, which has no way in between.
    """
    begin = {parameter.name: parameter for parameter in narrow.parameters}
    end = {parameter.name: parameter for parameter in full.parameters}
    odd = [name for name in begin | end if name not in begin or name not in end]
    odd += [n for n in begin if n in end and begin[n].unit != end[n].unit]
    if odd or (narrow.correlations, narrow.derived) != (full.correlations, full.derived):
        raise ConfigError(
            f"spaces {narrow.name!r} and {full.name!r} differ in more than their distributions "
            f"({odd or 'what is correlated or derived'}): there is no way between them. Fix: give "
            "both the same parameters, with a Constant where the narrow one has no spread."
        )
    steps = progress if isinstance(progress, Mapping) else dict.fromkeys(end, progress)
    unknown = [name for name in steps if name not in end]
    if unknown:
        raise ConfigError(
            f"progress is told of {unknown}, which {full.name!r} does not have. Fix: use some of "
            f"{', '.join(end)}."
        )
    stages = {
        name: _stage(begin[name].distribution, end[name].distribution, steps.get(name, 0.0))
        for name in end
    }
    return full.with_distributions(full.name, stages)


def _stage(narrow: Distribution, full: Distribution, progress: float) -> Distribution:
    """A point of the way, written as short as it can be."""
    if narrow == full or progress == 1.0:
        return full
    return narrow if progress == 0.0 else Between(narrow=narrow, full=full, progress=progress)
