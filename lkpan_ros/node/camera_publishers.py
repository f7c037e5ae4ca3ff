"""The topics of the camera node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, NavSatFix, Range
from std_msgs.msg import UInt32

from lkpan_ros.node import camera_messages
from lkpan_ros.node.bag_source import COMPRESSED
from lkpan_ros.node.image_messages import to_compressed_message, to_image_message

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from rclpy.node import Node

    from lkpan_ros.node.bag_source import BagMessage
    from lkpan_ros.node.camera_parameters import OutputSettings
    from lkpan_ros.node.flight_sources import Shot

_FLUSH_S = 5.0
_IMAGE = "camera/image_raw"


class CameraPublishers:
    """Publishes shots and recorded messages as a camera and its vehicle would.

    Args:
        node: Owns the publishers.
        settings: How.
        recorded_image_type: Of a bag's pictures; empty where shots are published.
    """

    def __init__(self, node: Node, settings: OutputSettings, recorded_image_type: str = "") -> None:
        self._node = node
        self._settings = settings
        self._created: list[Any] = []
        sensor = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        # Truth waits for those who come late; the count tells them what to expect.
        truth = QoSProfile(
            depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self._images = self._image_publishers(recorded_image_type)
        self._camera_info = self._create(CameraInfo, "camera/camera_info", sensor)
        self._imu = self._create(Imu, "imu", sensor)
        self._height = self._create(Range, "height", sensor)
        self._odometry = self._create(Odometry, "odom", sensor)
        self._truth = self._create(NavSatFix, "truth/fix", truth)
        self._truth_view = self._create(NavSatFix, "truth/view", truth)
        self._frame_count = self._create(UInt32, "truth/frame_count", truth)

    def _create(self, kind: type, topic: str, qos: QoSProfile) -> Any:
        publisher: Any = self._node.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._created.append(publisher)
        return publisher

    def _image_publishers(self, recorded: str) -> dict[str, Any]:
        settings = self._settings
        reliable = settings.reliability == "reliable"
        qos = QoSProfile(
            depth=settings.depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )
        publishers: dict[str, Any] = {}
        if recorded != COMPRESSED and (recorded or settings.transport in ("raw", "both")):
            publishers["raw"] = self._create(Image, _IMAGE, qos)
        if recorded == COMPRESSED or (not recorded and settings.transport in ("compressed", "both")):
            publishers["compressed"] = self._create(CompressedImage, f"{_IMAGE}/compressed", qos)
        return publishers

    @property
    def image_topics(self) -> str:
        """Where the pictures go, for people."""
        return " and ".join(publisher.topic_name for publisher in self._images.values())

    def subscribers(self) -> int:
        """How many subscribe to the pictures."""
        return sum(publisher.get_subscription_count() for publisher in self._images.values())

    def frame_count(self, count: int) -> None:
        """Announce how many pictures the flight has."""
        self._frame_count.publish(UInt32(data=count))

    def shot(self, shot: Shot, stamp: Time) -> None:
        """Publish a shot, its picture last: who gets it can have all the rest."""
        camera_id, body_id = self._settings.camera_frame_id, self._settings.body_frame_id
        if shot.intrinsics is not None:
            self._camera_info.publish(camera_messages.camera_info(shot.intrinsics, stamp, camera_id))
        if shot.body is not None:
            self._imu.publish(camera_messages.imu(shot.body, stamp, body_id, level_only=shot.level_only))
        if shot.height_m is not None:
            self._height.publish(camera_messages.height(shot.height_m, stamp, body_id))
        if shot.odometry is not None:
            odom_id = self._settings.odometry_frame_id
            self._odometry.publish(camera_messages.odometry(shot.odometry, stamp, odom_id, body_id))
        self._truth.publish(camera_messages.truth(shot.vehicle, stamp, body_id))
        self._truth_view.publish(camera_messages.truth(shot.view, stamp, "view"))
        for transport, publisher in self._images.items():
            compress = transport == "compressed"
            message = to_compressed_message(shot.image) if compress else to_image_message(shot.image)
            message.header.stamp, message.header.frame_id = stamp, camera_id
            publisher.publish(message)

    def recorded(self, message: BagMessage) -> None:
        """Publish a recorded message as it is."""
        publishers = {
            "image": next(iter(self._images.values())),
            "camera_info": self._camera_info,
            "imu": self._imu,
            "height": self._height,
            "truth": self._truth,
            "odometry": self._odometry,
        }
        publishers[message.kind].publish(message.cdr)

    def flush(self) -> None:
        """Wait until reliable subscribers have everything, 5 s at most: a publisher takes what it holds with it."""
        end_s = time.monotonic() + _FLUSH_S
        for publisher in self._created:
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end_s - time.monotonic())))
