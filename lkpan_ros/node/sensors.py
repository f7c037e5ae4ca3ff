"""What the other sensors said when a picture was taken."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Imu, NavSatFix, Range
from std_msgs.msg import Float64

from lkpan_ros.localization.camera import Intrinsics
from lkpan_ros.localization.types import Frame
from lkpan_ros.node.image_messages import to_rgb
from lkpan_ros.node.messages import to_attitude, to_intrinsics, to_position, to_prior, to_seconds
from lkpan_ros.node.odometry import odometry_at, to_odometry
from lkpan_ros.node.sample_history import SampleHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from sensor_msgs.msg import CompressedImage, Image

    from lkpan_ros.localization.camera import Attitude
    from lkpan_ros.localization.config import CameraSettings
    from lkpan_ros.localization.types import Odometry, Prior
    from lkpan_ros.node.parameters import NodeConfig

_WARNING_PERIOD_S = 10.0


class Sensors:
    """Subscribes to the sensors beside the camera and completes pictures to frames.

    Args:
        node: Subscribes; `close` takes the subscriptions back.
        config: What arrives and how old it may be.
    """

    def __init__(self, node: Node, config: NodeConfig) -> None:
        self._node = node
        self._changed = threading.Condition()
        self._camera_info: CameraInfo | None = None
        self._imu: SampleHistory[Imu] = SampleHistory()
        self._height_m: SampleHistory[float | None] = SampleHistory()
        self._odometry: SampleHistory[Odometry] = SampleHistory()
        self._prior: NavSatFix | None = None
        self._altitude_m = math.nan
        self.heard = 0  # messages
        height_type = Range if config.height.type == "range" else Float64
        sensors = QoSProfile(
            depth=50, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
        )
        latest = QoSProfile(
            depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
        )
        self._subscriptions = [
            node.create_subscription(
                kind,
                topic,
                self._counted(callback),
                qos,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for kind, topic, callback, qos in (
                (CameraInfo, "camera_info", self._on_camera_info, latest),
                (Imu, "imu", self._on_imu, sensors),
                (height_type, "height", self._on_height, sensors),
                (OdometryMessage, "odom", self._on_odometry, sensors),
                (NavSatFix, "prior_fix", self._on_prior, latest),
            )
        ]

    def close(self) -> None:
        """Take the subscriptions back."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()  # they hold what holds them: freed by the garbage collector alone, and that is late

    def clock_set_back(self, stamp_s: float) -> None:
        """Forget a prior that is stamped after a picture of the new time: it is of the time before, however near its stamp."""
        if self._prior is not None and to_seconds(self._prior.header.stamp) > stamp_s:
            self._prior = None

    @property
    def altitude_m(self) -> float:
        """The last altitude on prior_fix, metres above the ellipsoid; NaN before the first."""
        return self._altitude_m

    def to_frame(self, message: Image | CompressedImage, camera: CameraSettings, config: NodeConfig) -> Frame:
        """The picture of a message with what the sensors said at its time.

        Waits up to `sync.max_wait_s` for living sensors to catch up with it.

        Raises:
            Refusal: The picture, the orientation or the camera's numbers are none.
        """
        stamp_s = to_seconds(message.header.stamp)
        image = to_rgb(message)
        self._wait_for_samples(stamp_s, config.sync.max_wait_s)
        height_px, width_px = image.shape[:2]
        return Frame(
            stamp_s=stamp_s,
            image=image,
            intrinsics=self._intrinsics(width_px, height_px, camera),
            attitude=self._attitude(stamp_s, camera, config.sync.max_age_s),
            height_m=self._height(stamp_s, config),
            prior=self._prior_at(stamp_s, config),
            odometry=self._odometry_at(stamp_s, config.sync.max_age_s),
        )

    def _wait_for_samples(self, stamp_s: float, max_wait_s: float) -> None:
        histories = (self._imu, self._height_m, self._odometry)
        with self._changed:
            self._changed.wait_for(
                lambda: not any(history.may_still_come(stamp_s) for history in histories), max_wait_s
            )

    def _intrinsics(self, width_px: int, height_px: int, camera: CameraSettings) -> Intrinsics | None:
        if camera.hfov_deg > 0.0:
            return Intrinsics.from_field_of_view(width_px, height_px, camera.hfov_deg)
        info = self._camera_info
        return None if info is None else to_intrinsics(info, width_px, height_px)

    def _attitude(self, stamp_s: float, camera: CameraSettings, max_age_s: float) -> Attitude | None:
        with self._changed:
            imu = self._imu.nearest(stamp_s, max_age_s)
        return to_attitude(imu, camera)

    def _height(self, stamp_s: float, config: NodeConfig) -> float | None:
        with self._changed:
            height_m = self._height_m.nearest(stamp_s, config.sync.max_age_s)
        return None if height_m is None else height_m + config.height.offset_m

    def _odometry_at(self, stamp_s: float, max_age_s: float) -> Odometry | None:
        with self._changed:
            return odometry_at(self._odometry, stamp_s, max_age_s)

    def _prior_at(self, stamp_s: float, config: NodeConfig) -> Prior | None:
        message, max_age_s = self._prior, config.prior.max_age_s
        if message is None:
            return None
        if max_age_s > 0.0 and abs(to_seconds(message.header.stamp) - stamp_s) > max_age_s:
            return None
        return to_prior(message, config.prior.default_radius_m)

    def _counted(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def hear(message: Any) -> None:
            self.heard += 1
            callback(message)

        return hear

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_prior(self, message: NavSatFix) -> None:
        """A message without a fix is ignored: the last position stands until it is too old."""
        if math.isfinite(message.altitude):
            self._altitude_m = float(message.altitude)
        if to_position(message) is not None:
            self._prior = message

    def _on_imu(self, message: Imu) -> None:
        with self._changed:
            self._imu.add(to_seconds(message.header.stamp), message)
            self._changed.notify_all()

    def _on_odometry(self, message: OdometryMessage) -> None:
        """A sample that is none is ignored: its neighbours serve."""
        try:
            odometry = to_odometry(message)
        except ValueError as error:
            self._node.get_logger().warning(
                f"a sample on odom is ignored: {error}", throttle_duration_sec=_WARNING_PERIOD_S
            )
            return
        with self._changed:
            self._odometry.add(to_seconds(message.header.stamp), odometry)
            self._changed.notify_all()

    def _on_height(self, message: Range | Float64) -> None:
        if isinstance(message, Range):
            stamp_s, height_m = to_seconds(message.header.stamp), _measured_range_m(message)
        else:
            stamp_s, height_m = self._node.get_clock().now().nanoseconds * 1e-9, _finite(message.data)
        with self._changed:
            self._height_m.add(stamp_s, height_m)
            self._changed.notify_all()


def _measured_range_m(message: Range) -> float | None:
    """The range, or None where it lies outside what the sensor can measure (REP-117: discard it)."""
    if message.max_range > message.min_range and not message.min_range <= message.range <= message.max_range:
        return None
    return _finite(message.range)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
