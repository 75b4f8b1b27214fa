"""The workspace as a ROS user gets it: colcon builds it, launch files find what it built."""

import os
import subprocess
import sys
from pathlib import Path

import fake_launch
import pytest
import yaml
from ros_processes import MARKER, REPOSITORY, Nodes

SOURCES = REPOSITORY / "ros_ws" / "src"
PACKAGES = ("acclimate_bringup", "acclimate_control", "acclimate_field_tests")
COLCON = str(Path(sys.executable).parent / "colcon")


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "COLCON_LOG_PATH": str(cwd / "log")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, really built and installed by colcon."""
    folder = tmp_path_factory.mktemp("colcon")
    flags = ["--base-paths", str(SOURCES), "--build-base", "build", "--install-base", "install"]
    run(COLCON, "build", *flags, cwd=folder)
    return folder / "install"


@pytest.fixture(autouse=True)
def ament_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes = os.pathsep.join(str(installed / package) for package in PACKAGES)
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes)


def test_colcon_sees_ros_packages(tmp_path: Path) -> None:
    """An invalid maintainer address would silently make them plain Python packages."""
    listed = run(COLCON, "list", "--base-paths", str(SOURCES), cwd=tmp_path)
    kinds = {line.split()[0]: line.split()[-1] for line in listed.splitlines()}
    assert kinds == dict.fromkeys(PACKAGES, "(ros.ament_python)")


def test_building_leaves_the_sources_clean(installed: Path) -> None:
    assert not [p for p in SOURCES.rglob("*.egg-info") if "site-packages" not in str(p)]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_is_in_the_ament_index(installed: Path, name: str) -> None:
    from ament_index_python.packages import get_package_share_directory

    assert (Path(get_package_share_directory(name)) / "package.xml").is_file()
    assert (installed / name / "share" / name / "package.sh").is_file()


def test_installed_executable_starts_and_stops(
    installed: Path, nodes: Nodes, marker: str, domain: int
) -> None:
    """It says what it misses: it was found, it was started, and its parameters are there."""
    executable = installed / "acclimate_control" / "lib" / "acclimate_control" / "recorder"
    where = "import acclimate_control; print(acclimate_control.__file__)"
    script = f"source {installed}/setup.bash; {sys.executable} -c '{where}'; exec {executable}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), MARKER: marker},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert str(installed) in done.stdout, "the installed copy runs, not the sources"
    assert done.returncode == 1
    assert "parameter 'bag' is empty" in done.stderr


@pytest.mark.parametrize("name", ["sim", "hardware"])
def test_launch_file_names_only_what_exists(installed: Path, name: str) -> None:
    share = installed / "acclimate_bringup" / "share" / "acclimate_bringup"
    description = fake_launch.load(share / "launch" / f"{name}.launch.py")
    nodes = description.of(fake_launch.Node)
    arguments = {a.name: a for a in description.of(fake_launch.DeclareLaunchArgument)}
    assert {node.executable for node in nodes} >= {"policy_node", "safety_node", "recorder"}
    for node in nodes:
        program = installed / node.package / "lib" / node.package / node.executable
        assert os.access(program, os.X_OK), program
        for part in (node.namespace, *node.parameters):
            for value in part.values() if isinstance(part, dict) else [part]:
                reference = getattr(value, "value", value)
                assert reference.name in arguments
    file = Path(arguments["params"].default_value)
    assert file.is_file()
    assert share in file.parents
    watched = {
        h.event_handler.target_action.executable
        for h in description.of(fake_launch.RegisterEventHandler)
    }
    assert {"safety_node", "policy_node"} <= watched


def test_hardware_launch_does_not_arm_by_itself(installed: Path) -> None:
    share = installed / "acclimate_bringup" / "share" / "acclimate_bringup"
    description = fake_launch.load(share / "launch" / "hardware.launch.py")
    tests = [n for n in description.of(fake_launch.Node) if n.executable == "flight_test"]
    arguments = {a.name: a for a in description.of(fake_launch.DeclareLaunchArgument)}
    assert tests[0].condition.predicate.name == "test"
    assert arguments["test"].default_value == "false"


CONFIGS = sorted((SOURCES / "acclimate_bringup" / "acclimate_bringup" / "config").glob("*.yaml"))
MODULES = {
    "simulated_robot": "acclimate_control.simulated_robot:SimulatedRobot",
    "safety_node": "acclimate_control.safety_node:SafetyNode",
    "policy_node": "acclimate_control.policy_node:PolicyNode",
    "flight_test": "acclimate_field_tests.flight_test:FlightTest",
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_parameter_in_a_file_is_declared_with_its_type(config: Path, domain: int) -> None:
    """Also in a namespace: `/**/` in the files must match the robot's."""
    import importlib

    import rclpy

    for key, section in yaml.safe_load(config.read_text()).items():
        name = key.rpartition("/")[2]
        module, _, kind = MODULES[name].partition(":")
        context = rclpy.Context()
        arguments = ["--ros-args", "--params-file", str(config), "-r", "__ns:=/fleet/one"]
        rclpy.init(args=arguments, context=context, domain_id=domain)
        try:
            node = getattr(importlib.import_module(module), kind)(context=context)
            for parameter, value in section["ros__parameters"].items():
                found = node.get_parameter(parameter).value
                found = list(found) if isinstance(value, list) else found
                assert found == value, (name, parameter)
                assert type(found) is type(value), (name, parameter)
            node.destroy_node()
        finally:
            context.try_shutdown()
