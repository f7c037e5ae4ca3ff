"""What the localizer node publishes, and how each outcome becomes messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point32, PolygonStamped, PoseWithCovarianceStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image, NavSatFix

from lkpan_ros.localization.types import Fix
from lkpan_ros.node.debug_image import draw
from lkpan_ros.node.image_messages import to_image_message
from lkpan_ros.node.messages import to_nav_sat_fix, to_pose, to_report, to_view_fix

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from rclpy.lifecycle import LifecycleNode, LifecyclePublisher

    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Frame, Rejection
    from lkpan_ros.node.parameters import FixSettings


class Publishers:
    """The topics of the localizer; they speak while the node is active."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._created: dict[str, LifecyclePublisher[Any]] = {}
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self._fix = self._create(NavSatFix, "geo_fix", reliable)
        self._view = self._create(NavSatFix, "geo_fix/view", reliable)
        self._pose = self._create(PoseWithCovarianceStamped, "geo_fix/pose", reliable)
        self._report = self._create(DiagnosticArray, "geo_fix/report", reliable)
        self._debug_image = self._create(Image, "geo_fix/debug_image", reliable)
        self._outline = self._create(PolygonStamped, "gallery/outline", latched)

    def _create(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher[Any]:
        publisher: LifecyclePublisher[Any] = self._node.create_lifecycle_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._created[topic] = publisher
        return publisher

    def close(self) -> None:
        """Take the publishers back."""
        for publisher in self._created.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def listeners(self) -> str:
        """How many subscriptions each topic has found, for people: "geo_fix 1, geo_fix/view 0, …"."""
        counts = ((topic, publisher.get_subscription_count()) for topic, publisher in self._created.items())
        return ", ".join(f"{topic} {count}" for topic, count in counts)

    def outcome(
        self,
        outcome: Fix | Rejection,
        frame: Frame | None,
        stamp: Time,
        settings: FixSettings,
        gallery: Gallery,
        input_altitude_m: float,
        latency_s: float,
    ) -> None:
        """Publish what became of a frame; the report comes last."""
        self._fix.publish(to_nav_sat_fix(outcome, stamp, settings, input_altitude_m))
        self._view.publish(to_view_fix(outcome, stamp, settings))
        if isinstance(outcome, Fix):
            self._pose.publish(to_pose(outcome, stamp, settings, gallery.frame))
        name = f"{self._node.get_fully_qualified_name()}: frame"
        self._report.publish(to_report(outcome, frame, stamp, name, latency_s))

    def debug_image(
        self, outcome: Fix | Rejection, frame: Frame, stamp: Time, gallery: Gallery, config: LocalizerConfig
    ) -> None:
        """Publish the view beside its best tiles, if anybody looks."""
        if self._debug_image.get_subscription_count() == 0:
            return
        message = to_image_message(draw(outcome, frame, gallery, config.view))
        message.header.stamp = stamp
        message.header.frame_id = "debug_image"
        self._debug_image.publish(message)

    def outline(self, gallery: Gallery, settings: FixSettings) -> None:
        """Publish the rectangle that the gallery's tiles cover, metres east and north of its datum."""
        half = gallery.tile_size_m / 2.0
        west, south = np.min(gallery.positions_m, axis=0) - half
        east, north = np.max(gallery.positions_m, axis=0) + half
        message = PolygonStamped()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.header.frame_id = settings.map_frame_id
        corners = ((west, south), (east, south), (east, north), (west, north))
        message.polygon.points = [Point32(x=float(x), y=float(y)) for x, y in corners]
        self._outline.publish(message)
