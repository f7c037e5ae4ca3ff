"""The settings of the camera node."""

from __future__ import annotations

from dataclasses import dataclass, field

from lkpan_ros.localization.settings import setting
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.simulation.scenario import WORLD_SEED, Scenario

_FLIGHT = FlightSettings()


@dataclass(frozen=True)
class SourceSettings:
    """What is played."""

    type: str = setting(
        "simulator",
        "flight: a folder with flight.csv; bag: a rosbag (mcap or sqlite3); simulator: the built-in world",
        choices=("flight", "bag", "simulator"),
    )
    path: str = setting("", "flight.csv or its folder, or the bag")
    rate: float = setting(1.0, "1: as fast as it was taken, 2: twice as fast", low=0.01, high=1000.0)
    loop: bool = setting(False, "start again at the end")
    start_s: float = setting(0.0, "leave out so much at the start, seconds", low=0.0)
    end_s: float = setting(0.0, "stop so long after the start, seconds; 0: play to the end", low=0.0)
    max_frames: int = setting(0, "stop after so many pictures; 0: play all", low=0)
    wait_for_subscriber: bool = setting(False, "start when somebody subscribes to the pictures")


@dataclass(frozen=True)
class CameraSettings:
    """The camera of a flight folder."""

    focal_px: float = setting(
        0.0, "focal length, pixels; 0: unknown, camera_info is not published", low=0.0, high=1e5
    )
    hfov_deg: float = setting(
        0.0, "horizontal field of view, degrees, used where focal_px is 0; 0: unknown", low=0.0, high=179.0
    )


@dataclass(frozen=True)
class OutputSettings:
    """How it is published."""

    transport: str = setting(
        "raw",
        "raw: camera/image_raw; compressed: JPEG on camera/image_raw/compressed; both (a bag keeps its own)",
        choices=("raw", "compressed", "both"),
    )
    reliability: str = setting(
        "reliable",
        "of the pictures; reliable suits subscribers of both kinds",
        choices=("best_effort", "reliable"),
    )
    depth: int = setting(5, "pictures that the middleware keeps for slow subscribers", low=1, high=100)
    camera_frame_id: str = setting("camera_optical_frame", "header.frame_id of pictures and camera_info")
    body_frame_id: str = setting(
        "base_link", "header.frame_id of imu, height and truth/fix, child_frame_id of odom"
    )
    odometry_frame_id: str = setting("odom", "header.frame_id of odom")


@dataclass(frozen=True)
class SimulatorSettings:
    """The simulated flight over the built-in world."""

    seed: int = setting(WORLD_SEED, "of the world and of the flight", low=0, high=2**31 - 1)
    size_m: float = setting(
        Scenario.size_m, "side of the world, metres; a small one is made sooner", low=300.0, high=3600.0
    )
    seconds: float = setting(_FLIGHT.seconds, "duration of the flight", low=0.1, high=86_400.0)
    rate_hz: float = setting(_FLIGHT.rate_hz, "pictures a second", low=0.01, high=100.0)
    speed_mps: float = setting(_FLIGHT.speed_mps, "over ground, metres a second", low=0.0, high=100.0)
    height_m: float = setting(_FLIGHT.height_m, "above ground, metres", low=10.0, high=1000.0)
    tilt_deg: float = setting(
        _FLIGHT.tilt_deg, "of the camera from straight down towards the front, degrees", low=0.0, high=80.0
    )
    wind: float = setting(_FLIGHT.wind, "strength of the gusts: 0 none, 1 a breeze", low=0.0, high=10.0)
    odometry: bool = setting(
        False, "publish odom: dead reckoning about 1 % off in scale, whose heading drifts slowly"
    )


@dataclass(frozen=True)
class BagSettings:
    """Which topics of a bag; empty: the only one of its type."""

    image_topic: str = setting("", "sensor_msgs/Image or CompressedImage")
    camera_info_topic: str = setting("", "sensor_msgs/CameraInfo")
    imu_topic: str = setting("", "sensor_msgs/Imu")
    height_topic: str = setting("", "sensor_msgs/Range")
    truth_topic: str = setting("", "sensor_msgs/NavSatFix, published as truth/fix")
    odometry_topic: str = setting(
        "", "nav_msgs/Odometry, published as odom; empty: none, since a bag may have several kinds"
    )


@dataclass(frozen=True)
class CameraNodeConfig:
    """The settings of the camera node, by section."""

    source: SourceSettings = field(default_factory=SourceSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    bag: BagSettings = field(default_factory=BagSettings)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)
