"""Localize a camera's pictures in a gallery.

ros2 launch lkpan_ros localize.launch.py image_topic:=/camera/image_raw gallery:=/path/to/city.gallery
"""

import os
from functools import partial
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

SHARE = Path(get_package_share_directory("lkpan_ros"))
RESPAWN_DELAY_S = 1.0
START_ANEW = 3  # exit status of a node that has given up, see lkpan_ros/node/process.py
ARGUMENTS = {
    "image_topic": ("/camera/image_raw", "pictures; one that ends in /compressed is read as compressed"),
    "camera_info_topic": ("", "calibration of the camera (default: camera_info beside the pictures)"),
    "imu_topic": ("imu", "attitude of the vehicle, sensor_msgs/Imu"),
    "height_topic": ("height", "height above ground"),
    "odom_topic": ("odom", "odometry of the vehicle, nav_msgs/Odometry"),
    "prior_topic": ("prior_fix", "where the vehicle is thought to be, sensor_msgs/NavSatFix"),
    "gallery": ("", "file made by build_gallery; empty: what params_file says"),
    "weights": ("", "shipped variant or .safetensors file; empty: what params_file says"),
    "params_file": (str(SHARE / "config" / "localize.yaml"), "settings"),
    "namespace": ("", "of the node and its topics"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": (
        "true",
        "start the process anew after a crash and where the middleware has gone deaf",
    ),
    "autostart": ("true", "configure and activate at the start; false: a lifecycle manager does"),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, and the node that they make."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    # Both sides of a camera topic need the profile; who has one of their own keeps it.
    profile = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", str(SHARE / "config" / "fastdds.xml"))
    environment = SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile)
    return LaunchDescription([*arguments, environment, OpaqueFunction(function=_localizer)])


def _localizer(context: LaunchContext) -> list[Action]:
    return _started({name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS})


def _started(given: dict[str, str]) -> list[Action]:
    """The node, and what happens when its process ends."""
    node = _node(given)
    if given["respawn"].lower() != "true":
        return [node]
    return [
        RegisterEventHandler(OnProcessExit(target_action=node, on_exit=partial(_started_anew, given))),
        node,
    ]


def _started_anew(given: dict[str, str], event: ProcessExited, context: LaunchContext) -> list[Action]:
    """Another process after a signal or a node that gave up; one that ended in order, or could not be made, stays ended."""
    if context.is_shutdown or not (event.returncode < 0 or event.returncode == START_ANEW):
        return []
    return [TimerAction(period=RESPAWN_DELAY_S, actions=_started(given))]


def _node(given: dict[str, str]) -> LifecycleNode:
    raw_topic = given["image_topic"].removesuffix("/compressed")
    parameters = {
        "autostart": given["autostart"].lower() == "true",
        "use_sim_time": given["use_sim_time"].lower() == "true",
    }
    if raw_topic != given["image_topic"]:
        parameters["image.transport"] = "compressed"
    if given["gallery"]:
        parameters["gallery.path"] = given["gallery"]
    if given["weights"]:
        parameters["encoder.weights"] = given["weights"]
    return LifecycleNode(
        package="lkpan_ros",
        executable="localizer_node",
        name="localizer",
        namespace=given["namespace"],
        parameters=[given["params_file"], parameters],
        remappings=[
            ("image", raw_topic),
            ("camera_info", given["camera_info_topic"] or f"{raw_topic.rpartition('/')[0]}/camera_info"),
            ("imu", given["imu_topic"]),
            ("height", given["height_topic"]),
            ("odom", given["odom_topic"]),
            ("prior_fix", given["prior_topic"]),
        ],
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
    )
