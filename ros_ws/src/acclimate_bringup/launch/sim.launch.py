"""Everything for one simulated flight: robot, safety, policy, recorder and, if asked, the test."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
# (launch comes with a ROS installation and is not on PyPI.)

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription

ARGUMENTS = {
    "namespace": ("", "Namespace of all nodes."),
    "params": (
        str(Path(get_package_share_directory("acclimate_bringup"), "config", "simulated.yaml")),
        "Parameter file.",
    ),
    "robot": ("random", "Known platform, or 'random'."),
    "seed": ("0", "Which random robot."),
    "family": ("quadrotor", "Family of that robot."),
    "policy": ("models/quadrotor/policy.onnx", "Policy file, for robots of that family."),
    "bag": ("runs/launch/bag", "Folder to record into; it must not exist yet."),
    "test": ("true", "Also fly the field test; without it, arm and send references yourself."),
}


def generate_launch_description():
    params, namespace = LaunchConfiguration("params"), LaunchConfiguration("namespace")

    def node(package, executable, **options):
        extra = options.pop("parameters", {})
        return Node(
            package=package,
            executable=executable,
            namespace=namespace,
            parameters=[params, extra],
            output="screen",
            **options,
        )

    def setting(name, kind=str):
        return ParameterValue(LaunchConfiguration(name), value_type=kind)

    robot = {"robot": setting("robot"), "seed": setting("seed", int)}
    family = {"family": setting("family")}
    nodes = [
        node("acclimate_control", "recorder", parameters={"bag": setting("bag")}),
        node("acclimate_control", "simulated_robot", parameters=robot),
        node("acclimate_control", "safety_node", parameters=family),
        node(
            "acclimate_control",
            "policy_node",
            parameters={**family, "policy": setting("policy")},
        ),
        node(
            "acclimate_field_tests",
            "flight_test",
            condition=IfCondition(LaunchConfiguration("test")),
        ),
    ]
    # A flight ends when its test ends, and never goes on without one of its nodes.
    ends = [
        RegisterEventHandler(OnProcessExit(target_action=n, on_exit=[EmitEvent(event=Shutdown())]))
        for n in nodes
    ]
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, *nodes, *ends])
