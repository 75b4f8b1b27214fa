"""Parameter spaces as plain data: what is written, what is accepted, and what is refused."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from acclimate_contract import ConfigError
from acclimate_sim.randomization.correlation import Correlation
from acclimate_sim.randomization.derived import Derived
from acclimate_sim.randomization.distributions import (
    Between,
    Categorical,
    Constant,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from acclimate_sim.randomization.parameter import Parameter
from acclimate_sim.randomization.processes import Ramp, RandomWalk

T = TypeVar("T")
DISTRIBUTIONS: dict[str, type] = {
    "constant": Constant,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "categorical": Categorical,
    "between": Between,
}
PROCESSES: dict[str, type] = {"ramp": Ramp, "random_walk": RandomWalk}
LISTS: dict[str, type] = {
    "parameters": Parameter,
    "correlations": Correlation,
    "derived": Derived,
}
"""Fields with a list of these; `processes` is one of several kinds."""
ABSENT = (None, (), (None, None))
"""Defaults that are not written; numbers are, because a default may change and a file must not."""
KINDS = {kind: name for name, kind in (DISTRIBUTIONS | PROCESSES).items()}


def encode(value: Any) -> Any:
    """Turn dataclasses of this package into objects and tuples into lists, all the way down."""
    if isinstance(value, tuple):
        return [encode(entry) for entry in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    kind = {"kind": KINDS[type(value)]} if type(value) in KINDS else {}
    written = {
        field.name: encode(held)
        for field in fields(value)
        if (held := getattr(value, field.name)) != field.default or held not in ABSENT
    }
    return kind | written


def decode(kind: type[T], data: Any, where: str) -> T:
    """Build a dataclass of this package from what `encode` made of it.

    Raises:
        ConfigError: A field is unknown, missing or has the wrong type, a kind is unknown, or the
            values are refused by the dataclass itself.
    """
    if not isinstance(data, Mapping):
        raise _malformed(where, f"is {data!r}", "make it an object with named fields")
    if "name" in data:
        where = f"{where} {data['name']!r}"
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType] (dataclasses only)
    if unknown := [name for name in data if name not in known]:
        raise _malformed(where, f"has unknown fields {unknown}", f"it can have {list(known)}")
    required = [f.name for f in known.values() if f.default is MISSING]
    if missing := [name for name in required if name not in data]:
        raise _malformed(where, f"lacks {missing}", f"it needs {required}")
    values = {name: _field(known[name], entry, where) for name, entry in data.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        if "name" in data:  # and so in its message
            raise
        raise ConfigError(f"{where}: {error}") from error
    except (AttributeError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        fix = "compare it with the output of ParameterSpace.to_json()"
        raise _malformed(where, f"is wrong ({type(error).__name__}: {error})", fix) from error


def _field(field: Field[Any], data: Any, where: str) -> Any:
    plain = {str: (str,), float: (int, float)}.get(field.type)  # pyright: ignore[reportArgumentType] (a type or text)
    if plain and (isinstance(data, bool) or not isinstance(data, plain)):
        raise _malformed(where, f"has {field.name} {data!r}", "write text as text, numbers bare")
    where = f"{field.name} of {where}"
    if field.name in LISTS or field.name == "processes":
        if not isinstance(data, list | tuple):
            raise _malformed(where, f"is {data!r}", "make it a list")
        kind = LISTS.get(field.name)
        if kind is None:
            return tuple(_tagged(PROCESSES, entry, where) for entry in data)
        return tuple(decode(kind, entry, f"{kind.__name__.lower()}") for entry in data)
    if isinstance(data, Mapping):
        return _tagged(DISTRIBUTIONS, data, where)
    return _frozen(data)


def _tagged(kinds: Mapping[str, type], data: Any, where: str) -> Any:
    if not isinstance(data, Mapping) or "kind" not in data:
        raise _malformed(where, f"is {data!r}", f"make it an object with a kind of {list(kinds)}")
    settings = dict(data)
    kind = settings.pop("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise _malformed(where, f"has the unknown kind {kind!r}", f"use one of {list(kinds)}")
    return decode(kinds[kind], settings, where)


def _frozen(data: Any) -> Any:
    return tuple(map(_frozen, data)) if isinstance(data, list) else data


def _malformed(where: str, what: str, fix: str) -> ConfigError:
    return ConfigError(f"malformed parameter space: {where} {what}. Fix: {fix}.")
