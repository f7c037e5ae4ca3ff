"""The simulated flight: camera, localizer and monitor over the gallery of the built-in world.

ros2 launch lkpan_ros demo.launch.py
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(get_package_share_directory("lkpan_ros"))
TILT_DEG = 25.0


def generate_launch_description() -> LaunchDescription:
    """Make the gallery where there is none, then fly, and end with the flight."""
    output = LaunchConfiguration("output")
    build = ExecuteProcess(
        cmd=["python3", "-m", "lkpan_ros.tools.demo", "--gallery-only", "--output", output], output="screen"
    )
    localizer, monitor, camera = _nodes(output)
    profile = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", str(SHARE / "config" / "fastdds.xml"))
    return LaunchDescription(
        [
            DeclareLaunchArgument("output", default_value=str(Path.home() / ".ros" / "lkpan_demo")),
            DeclareLaunchArgument("seconds", default_value="150.0", description="length of the flight"),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
            RegisterEventHandler(OnProcessExit(target_action=build, on_exit=[monitor, localizer, camera])),
            RegisterEventHandler(OnProcessExit(target_action=monitor, on_exit=[EmitEvent(event=Shutdown())])),
            build,
        ]
    )


def _nodes(output: LaunchConfiguration) -> tuple[LifecycleNode, Node, Node]:
    localizer = LifecycleNode(
        package="lkpan_ros",
        executable="localizer_node",
        name="localizer",
        namespace="",
        parameters=[
            {
                "autostart": True,
                "camera.tilt_deg": TILT_DEG,
                "gallery.path": PathJoinSubstitution([output, "demo.gallery"]),
            }
        ],
        remappings=[("image", "camera/image_raw"), ("camera_info", "camera/camera_info")],
        output="screen",
    )
    monitor = Node(
        package="lkpan_ros",
        executable="flight_monitor",
        parameters=[{"monitor.output": PathJoinSubstitution([output, "frames.csv"])}],
        output="screen",
    )
    camera = Node(
        package="lkpan_ros",
        executable="camera_node",
        parameters=[
            {
                "source.type": "simulator",
                "source.wait_for_subscriber": True,
                "source.end_s": ParameterValue(LaunchConfiguration("seconds"), value_type=float),
                "simulator.tilt_deg": TILT_DEG,
            }
        ],
        output="screen",
    )
    return localizer, monitor, camera
