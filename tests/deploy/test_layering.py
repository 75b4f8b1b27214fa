"""Every import arrow points one way, and a robot's install needs neither torch nor ROS."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUR_PACKAGES = {
    "acclimate_contract": ROOT / "deploy/acclimate_contract",
    "acclimate_deploy": ROOT / "deploy/acclimate_deploy",
    "acclimate_sim": ROOT / "sim/acclimate_sim",
    "acclimate_training": ROOT / "training/acclimate_training",
}
ROS_SOURCES = ROOT / "ros_ws/src"

# What each part may import of ours, itself included.
MAY_IMPORT = {
    "acclimate_contract": {"acclimate_contract"},
    "acclimate_deploy": {"acclimate_contract", "acclimate_deploy"},
    "acclimate_sim": {"acclimate_contract", "acclimate_sim"},
    "acclimate_training": set(OUR_PACKAGES),
    "ros_ws": {"acclimate_contract", "acclimate_deploy", "acclimate_sim"},
}
# What each part must never import of others.
NEVER = {
    "acclimate_deploy": {"torch", "mujoco", "rclpy", "onnx", "tensorboard", "launch"},
    "acclimate_sim": {"rclpy", "onnxruntime"},
    "acclimate_training": {"rclpy"},
    "ros_ws": {"tensorboard"},
}


def part_of(file: Path) -> str:
    for name, folder in OUR_PACKAGES.items():
        if file.is_relative_to(folder):
            return name
    return "ros_ws"


def source_files() -> list[Path]:
    folders = [*OUR_PACKAGES.values(), ROS_SOURCES]
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def imports(source: str) -> Iterator[str]:
    """Top-level names of every import, also of those inside functions and by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            argument = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(argument, ast.Constant):
                yield str(argument.value).split(".")[0]


def violations(part: str, source: str) -> list[str]:
    return [name for name in imports(source) if not _allowed(part, name)]


def _allowed(part: str, name: str) -> bool:
    if name == "." or name in NEVER.get(part, ()):  # "." is a relative import
        return False
    if name.startswith("acclimate_"):
        ros_sibling = part == "ros_ws" and name not in OUR_PACKAGES
        return name in MAY_IMPORT[part] or ros_sibling
    on_the_ground_floor = name == "numpy" or name in sys.stdlib_module_names
    return part != "acclimate_contract" or on_the_ground_floor


@pytest.mark.parametrize("file", source_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file: Path) -> None:
    assert violations(part_of(file), file.read_text()) == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("acclimate_contract", "import onnx"),
        ("acclimate_contract", "from acclimate_deploy.policy import Policy"),
        ("acclimate_deploy", "import torch.nn"),
        ("acclimate_deploy", "def f():\n    from acclimate_sim import robots"),
        ("acclimate_deploy", "import importlib\nimportlib.import_module('acclimate_training.x')"),
        ("acclimate_deploy", "from rclpy.node import Node"),
        ("acclimate_deploy", "from . import policy"),
        ("acclimate_deploy", "from acclimate_control import nodes"),
        ("acclimate_sim", "import acclimate_deploy"),
        ("acclimate_sim", "from acclimate_training import algorithms"),
        ("ros_ws", "import acclimate_training.export"),
    ],
)
def test_the_walk_finds_what_is_forbidden(part: str, source: str) -> None:
    assert len(violations(part, source)) == 1


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("acclimate_contract", "import json\nimport numpy as np\nimport acclimate_contract"),
        ("acclimate_deploy", "import onnxruntime\nfrom acclimate_contract import Manifest"),
        ("acclimate_training", "import torch, acclimate_sim, acclimate_deploy"),
        ("ros_ws", "import rclpy\nimport acclimate_deploy, acclimate_sim, acclimate_bringup"),
    ],
)
def test_the_walk_allows_what_is_allowed(part: str, source: str) -> None:
    assert violations(part, source) == []


def test_the_walk_sees_the_packages() -> None:
    assert {"acclimate_contract", "acclimate_deploy"} <= {part_of(f) for f in source_files()}
    assert any("runtime.py" in file.name for file in source_files())


def modules_of(package: str) -> list[str]:
    folder = OUR_PACKAGES[package]
    files = sorted(folder.rglob("*.py"))
    names = [".".join((package, *f.relative_to(folder).with_suffix("").parts)) for f in files]
    return [name.removesuffix(".__init__") for name in names]


def test_a_robot_needs_neither_torch_nor_ros() -> None:
    """Every module of the two lower floors imports where these are not installed."""
    blocked = ["torch", "rclpy", "mujoco", "onnx", "acclimate_sim", "acclimate_training"]
    modules = [*modules_of("acclimate_contract"), *modules_of("acclimate_deploy")]
    program = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({blocked}))\n"
        f"for name in {modules}: importlib.import_module(name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_report_extra_is_needed_for_the_report_only() -> None:
    """Without matplotlib and jinja2 a robot still runs everything but the report."""
    modules = [
        name
        for package in ("acclimate_contract", "acclimate_deploy")
        for name in modules_of(package)
        if not name.startswith("acclimate_deploy.report")
    ]
    program = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['matplotlib', 'jinja2']))\n"
        f"for name in {modules}: importlib.import_module(name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def test_listing_the_verbs_imports_nothing_heavy() -> None:
    """`acclimate --help` on a robot must not take seconds."""
    program = (
        "import sys, acclimate_deploy.commands\n"
        "print([m for m in ('numpy.linalg', 'onnxruntime', 'torch', 'matplotlib', 'rosbags')"
        " if m in sys.modules and m != 'numpy.linalg'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"
