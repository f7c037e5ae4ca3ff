"""A camera with its sensors in the test's process, and what the localizer says about its pictures."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, NavSatFix, Range

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.node import camera_messages
from lkpan_ros.node.image_messages import to_image_message
from test.ros.graph import RELIABLE
from test.ros.world import CAMERA_PX, FOCAL_PX, HEIGHT_M

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_ros.localization.types import Odometry
    from test.ros.graph import Graph, LocalizerProcess

NORTH_UP = Attitude(0.0, 0.0)
INTRINSICS = Intrinsics.from_focal_length(*CAMERA_PX, FOCAL_PX)


@dataclass(frozen=True)
class Answer:
    """What the localizer published about one picture."""

    fix: NavSatFix
    view: NavSatFix
    report: dict[str, str]

    @property
    def fixed(self) -> bool:
        return bool(self.fix.status.status >= 0)

    def assert_refused(self, reason: str, detail: str = "") -> None:
        """Every message says that there is no fix, and the report why."""
        assert (self.report["outcome"], self.report["reason"]) == ("no_fix", reason)
        assert detail in self.report["detail"]
        for message in (self.fix, self.view):
            assert message.status.status == -1
            assert math.isnan(message.latitude)
            assert math.isnan(message.longitude)
            assert message.position_covariance_type == NavSatFix.COVARIANCE_TYPE_UNKNOWN
            assert message.header.frame_id


def message_with(picture: NDArray[np.uint8], **fields: Any) -> Image:
    """A picture's message with some fields that lie."""
    message = to_image_message(picture)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


class Camera:
    """Publishes pictures and samples, and collects the answers."""

    def __init__(self, graph: Graph, localizer: LocalizerProcess) -> None:
        self._graph = graph
        self._localizer = localizer
        self._seconds = itertools.count(1000)
        node = graph.node
        self.image = node.create_publisher(Image, "image", RELIABLE)
        self.compressed = node.create_publisher(CompressedImage, "image/compressed", RELIABLE)
        self._camera_info = node.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self._imu = node.create_publisher(Imu, "imu", RELIABLE)
        self._height = node.create_publisher(Range, "height", RELIABLE)
        self._odometry = node.create_publisher(OdometryMessage, "odom", RELIABLE)
        self._fixes = graph.collect(NavSatFix, "geo_fix")
        self._views = graph.collect(NavSatFix, "geo_fix/view")
        self.reports = graph.collect(DiagnosticArray, "geo_fix/report")
        self._diagnostics = graph.collect(DiagnosticArray, "/diagnostics")

    def stamp(self) -> Time:
        """A second after the last."""
        return Time(sec=next(self._seconds))

    def sense(
        self,
        stamp: Time,
        body: Attitude | None = NORTH_UP,
        height_m: float = HEIGHT_M,
        imu: Imu | None = None,
    ) -> None:
        """Publish what the other sensors say."""
        self._camera_info.publish(camera_messages.camera_info(INTRINSICS, stamp, "camera"))
        if imu is None and body is not None:
            imu = camera_messages.imu(body, stamp, "base_link", level_only=False)
        if imu is not None:
            imu.header.stamp = stamp
            self._imu.publish(imu)
        self._height.publish(camera_messages.height(height_m, stamp, "base_link"))

    def move(self, pose: Odometry, stamp: Time) -> None:
        """Publish odometry."""
        self._odometry.publish(camera_messages.odometry(pose, stamp, "odom", "base_link"))

    def send_sensed(self, picture: NDArray[np.uint8]) -> None:
        """Publish a picture with what the sensors say, and go on."""
        stamp = self.stamp()
        self.sense(stamp)
        self.send(picture, stamp)

    def send(self, picture: NDArray[np.uint8] | Image, stamp: Time) -> None:
        message = picture if isinstance(picture, Image) else to_image_message(picture)
        message.header.stamp = stamp
        self.image.publish(message)

    def ask(
        self,
        picture: NDArray[np.uint8] | Image,
        stamp: Time | None = None,
        *,
        first: bool = True,
        **sensed: Any,
    ) -> Answer:
        """Publish a picture with what the sensors say, and await the answer.

        The localizer looks at it as its first; `first=False` leaves it what it knows from earlier ones.
        """
        if first:
            self._localizer.reset()
        stamp = stamp or self.stamp()
        self.sense(stamp, **sensed)
        return self.answer_to(lambda: self.send(picture, stamp))

    def answer_to(self, publish: Callable[[], None]) -> Answer:
        """Publish one picture, and await the answer."""
        for answers in (self._fixes, self._views, self.reports):
            answers.clear()
        publish()
        self._await(lambda: self._fixes and self._views and self.reports, "an answer to a picture")
        fix, view, report = self._fixes[0], self._views[0], self.reports[0]
        assert fix.header.stamp == view.header.stamp == report.header.stamp
        return Answer(fix, view, {entry.key: entry.value for entry in report.status[0].values})

    def until_heard(self, attempt: Callable[[], None], condition: Callable[[], Any]) -> None:
        """Publish again and again until all sides have found each other: what is said before that is lost."""
        tries = iter(range(10_000))

        def heard() -> bool:
            if next(tries) % 25 == 0:
                attempt()
            return bool(condition())

        self._await(heard, "localizer and camera to find each other")

    def pair_up(self, picture: NDArray[np.uint8]) -> None:
        """Until pictures, sensors and answers go all the way."""

        def heard() -> bool:
            vehicle = any(e.value == "vehicle" for report in self.reports for e in report.status[0].values)
            return bool(vehicle and self._fixes and self._views)

        def attempt() -> None:
            self._localizer.reset()
            self.send_sensed(picture)

        self.until_heard(attempt, heard)
        self.settle()

    def settle(self, *, compressed: bool = False) -> None:
        """Until all that was sent has been answered: what is sent next is answered next."""
        last = self.stamp()
        publisher, empty = (self.compressed, CompressedImage()) if compressed else (self.image, Image())
        empty.header.stamp = last
        self._await(
            lambda: not self.reports or publisher.get_subscription_count(), "the localizer's subscription"
        )
        publisher.publish(empty)
        self._await(
            lambda: self.reports and self.reports[-1].header.stamp == last, "the answer to the last picture"
        )

    def diagnosis(self, condition: Callable[[DiagnosticStatus, dict[str, str]], bool]) -> DiagnosticStatus:
        """Await a status of the localizer on /diagnostics."""
        self._diagnostics.clear()
        found: list[DiagnosticStatus] = []

        def search() -> bool:
            for message in self._diagnostics:
                for status in message.status:
                    values = {entry.key: entry.value for entry in status.values}
                    if status.name.startswith(self._graph.namespace) and condition(status, values):
                        found.append(status)
            return bool(found)

        self._await(search, "a status on /diagnostics")
        return found[0]

    def _await(self, condition: Callable[[], Any], what: str) -> None:
        self._graph.await_(condition, what, self._localizer.process)
