"""Declare ROS parameters with a description, a range and, mostly, no way to change them later."""

from dataclasses import fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

T = TypeVar("T", bool, int, float, str, list[str], list[float])
D = TypeVar("D")


def declare(
    node: Node,
    name: str,
    default: T,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    read_only: bool = True,
) -> T:
    """Declare one parameter and return its value.

    Args:
        node: Node that owns it.
        name: Its name.
        default: Value without configuration; its type is the parameter's type.
        description: One sentence with the unit.
        low: Smallest value allowed; give it together with `high`.
        high: Largest value allowed.
        read_only: Whether it is fixed once the node runs.

    Raises:
        InvalidParameterTypeException, InvalidParameterValueException: The configured value has
            another type or lies outside the range.
    """
    descriptor = ParameterDescriptor(description=description, read_only=read_only)
    if low is not None and high is not None:
        if isinstance(default, float):
            limits = FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            descriptor.floating_point_range = [limits]
        else:
            limits = IntegerRange(from_value=int(low), to_value=int(high), step=0)
            descriptor.integer_range = [limits]
    value = node.declare_parameter(name, default, descriptor).value
    return list(value) if isinstance(default, list) else value  # type: ignore[return-value]


def declare_dataclass(node: Node, prefix: str, defaults: D) -> D:
    """Declare every number of a frozen dataclass as `<prefix>.<field>`; return the configured one.

    Fields are floats or tuples of floats; the unit is part of a field's name.
    """
    values: dict[str, Any] = {}
    for item in fields(defaults):  # type: ignore[arg-type]
        default = getattr(defaults, item.name)
        description = f"See {type(defaults).__name__}.{item.name}."
        if isinstance(default, tuple):
            numbers = [float(number) for number in default]
            values[item.name] = tuple(declare(node, f"{prefix}.{item.name}", numbers, description))
        else:
            values[item.name] = declare(node, f"{prefix}.{item.name}", float(default), description)
    return type(defaults)(**values)
