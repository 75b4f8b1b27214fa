"""Whether a space that somebody wrote describes robots of a family."""

from collections.abc import Collection
from dataclasses import replace

from acclimate_contract import ConfigError
from acclimate_sim.randomization.derived import Derived
from acclimate_sim.randomization.parameter import Parameter, covers, in_words
from acclimate_sim.randomization.space import ParameterSpace


def check_family(space: ParameterSpace, family: ParameterSpace, needed: Collection[str]) -> None:
    """Refuse a space that does not describe robots of a family.

    Args:
        space: Whoever wrote it.
        family: Every parameter that the family knows, with its unit and bounds.
        needed: Those without which there is no robot.

    Raises:
        ConfigError: A parameter is missing, unknown and used by no other, in another unit than the
            family's, or outside the family's bounds.
    """
    known = {parameter.name: parameter for parameter in family.parameters}
    if missing := [name for name in needed if name not in space.names]:
        raise ConfigError(
            f"parameter space {space.name!r} lacks {missing}: it describes no robot of "
            f"{family.name!r}. Fix: add them, as a Constant where robots do not differ."
        )
    used = {name for derived in space.derived for name in derived.formula.names}
    for number in (*space.parameters, *space.derived):
        if number.name in known:
            _check_alike(number, known[number.name])
        elif number.name not in used:
            raise ConfigError(
                f"no robot of {family.name!r} has a parameter {number.name!r}, and nothing is "
                f"derived from it: it would change nothing. Fix: use some of {', '.join(known)}."
            )


def _check_alike(number: Parameter | Derived, known: Parameter) -> None:
    """Raise ConfigError if a number is not the family's parameter of that name."""
    if number.unit != known.unit:
        raise ConfigError(
            f"parameter {number.name!r} is in {number.unit!r} and in this family in "
            f"{known.unit!r}: its numbers would be taken for something else. Fix: convert them."
        )
    if isinstance(number, Parameter):
        replace(known, distribution=number.distribution)
    elif not covers(known.bounds, number.bounds):
        raise ConfigError(
            f"derived parameter {number.name!r} has bounds {number.bounds} and is physical "
            f"{in_words(known.bounds)} {known.unit}. Fix: give it bounds in there."
        )
