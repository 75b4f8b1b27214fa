"""A small fake of the launch API: enough to execute our launch files and look at the result.

`launch` and `launch_ros` come with a ROS installation and are not on PyPI; the package called
`launch` there is something else.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass
class LaunchConfiguration:
    name: str


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: str = ""
    description: str = ""


@dataclass
class ParameterValue:
    value: Any
    value_type: type = str


@dataclass
class IfCondition:
    predicate: Any


class Shutdown:
    pass


@dataclass
class EmitEvent:
    event: Any


@dataclass(eq=False)
class Node:
    package: str
    executable: str
    namespace: Any = None
    parameters: list[Any] = field(default_factory=list)
    remappings: list[Any] = field(default_factory=list)
    condition: IfCondition | None = None
    output: str = "log"


@dataclass
class OnProcessExit:
    target_action: Node
    on_exit: list[Any]


@dataclass
class RegisterEventHandler:
    event_handler: OnProcessExit


@dataclass
class LaunchDescription:
    entities: list[Any]

    def of(self, kind: type) -> list[Any]:
        return [entity for entity in self.entities if isinstance(entity, kind)]


MODULES = {
    "launch": [LaunchDescription],
    "launch.actions": [DeclareLaunchArgument, EmitEvent, RegisterEventHandler],
    "launch.conditions": [IfCondition],
    "launch.event_handlers": [OnProcessExit],
    "launch.events": [Shutdown],
    "launch.substitutions": [LaunchConfiguration],
    "launch_ros": [],
    "launch_ros.actions": [Node],
    "launch_ros.parameter_descriptions": [ParameterValue],
}


@contextmanager
def fake_launch() -> Iterator[None]:
    """Put the fake where launch files import from, for a while."""
    before = {name: sys.modules.get(name) for name in MODULES}
    for name, members in MODULES.items():
        module = ModuleType(name)
        for member in members:
            setattr(module, member.__name__, member)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def load(file: Path) -> LaunchDescription:
    """Execute a launch file against the fake."""
    with fake_launch():
        spec = importlib.util.spec_from_file_location("launch_file", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.generate_launch_description()
