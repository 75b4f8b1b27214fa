"""Policy, safety and recorder for a real robot, whose own driver publishes `odom`.

The driver takes `actuators/command` (or `actuators/command_array`) and stops the motors itself
when nothing comes for 100 ms: that is the last line of defence if this computer dies.
"""

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
        str(Path(get_package_share_directory("acclimate_bringup"), "config", "x500.yaml")),
        "Parameter file of your robot.",
    ),
    "policy": ("models/quadrotor/policy.onnx", "Policy file."),
    "bag": ("runs/launch/bag", "Folder to record into; it must not exist yet."),
    "odom": ("odom", "Topic of the robot's odometry."),
    "test": ("false", "Also fly the field test: this arms the robot."),
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
            remappings=[("odom", LaunchConfiguration("odom"))],
            output="screen",
            **options,
        )

    def setting(name):
        return ParameterValue(LaunchConfiguration(name), value_type=str)

    nodes = [
        node("acclimate_control", "recorder", parameters={"bag": setting("bag")}),
        node("acclimate_control", "safety_node"),
        node("acclimate_control", "policy_node", parameters={"policy": setting("policy")}),
        node(
            "acclimate_field_tests",
            "flight_test",
            condition=IfCondition(LaunchConfiguration("test")),
        ),
    ]
    ends = [
        RegisterEventHandler(OnProcessExit(target_action=n, on_exit=[EmitEvent(event=Shutdown())]))
        for n in nodes
        if n is not nodes[0]  # a full disk must not end a flight
    ]
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, *nodes, *ends])
