"""A camera with its vehicle in a process of its own, whose faults are parameters that change while it flies."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry as OdometryMessage
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, NavSatFix, Range

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.types import Odometry
from lkpan_ros.node import camera_messages
from lkpan_ros.node.image_messages import to_compressed_message, to_image_message
from lkpan_ros.node.process import run
from lkpan_ros.simulation.world import DATUM
from test.soak.scene import RATE_HZ, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.types import Frame
    from lkpan_ros.tools.trial_pictures import TrialFrame

PARAMETERS: dict[str, Any] = {
    "scene": "",
    "rate_hz": RATE_HZ,
    "silent": False,  # nothing at all is said
    "encoding": "rgb8",
    "damage": "",  # of the picture: black, noise, frozen; of its message: nonsense, truncated, empty
    "scale": 1.0,  # of the picture's size
    "reliability": "reliable",
    "transport": "raw",
    "stamps": "now",  # or repeated: twenty times each; late: every second one
    "clock_offset_s": 0.0,
    "imu": "good",  # or silent, nan
    "height": "good",
    "camera_info": "good",
    "odometry": "silent",  # or good, jumps
}
_LATE_S = 0.5
_REPEATS = 20
_JUMP_M = 500.0


class SoakCamera(Node):
    """Flies the scene's loop for ever, by the clock: a picture that is not sent is a piece of the way not seen."""

    def __init__(self) -> None:
        super().__init__("soak_camera")
        for name, default in PARAMETERS.items():
            self.declare_parameter(name, default)
        self.finished: Future[int] = Future()
        self._frames = Scene(Path(self._get("scene"))).frames()
        self._frame = LocalFrame(DATUM)
        self._start_s, self._sent = time.monotonic(), 0.0
        self._numbers = itertools.count()
        self._stamp_ns, self._frozen = 0, self._frames[0].frame.image
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        kinds = {
            "camera_info": CameraInfo, "imu": Imu, "height": Range, "odom": OdometryMessage,
            "truth/fix": NavSatFix, "truth/view": NavSatFix, "/clock": ClockMessage,
        }  # fmt: skip
        self._topics = {topic: self.create_publisher(kind, topic, reliable) for topic, kind in kinds.items()}
        self._images: Any = None
        self._qos = ("", "")
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.004, self._tick, clock=steady)

    def start(self) -> None:
        """The timer flies."""

    def stop(self) -> None:
        """Nothing is left to be done."""

    def _get(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _tick(self) -> None:
        """Send the pictures that are due."""
        elapsed_s = time.monotonic() - self._start_s
        if elapsed_s < self._sent / RATE_HZ:
            return
        self._sent += RATE_HZ / self._get("rate_hz")
        self._sent = max(self._sent, RATE_HZ * elapsed_s - 2.0)  # what was missed is not caught up with
        if not self._get("silent"):
            # Where the vehicle is depends on the time alone: a camera that is started anew, or a second one, agrees.
            self._shoot(self._frames[int(time.time() * RATE_HZ) % len(self._frames)])

    def _stamp(self) -> Time:
        now_ns = time.time_ns() + round(self._get("clock_offset_s") * 1e9)
        mode, number = self._get("stamps"), next(self._numbers)
        if mode == "late" and number % 2:
            now_ns -= round(_LATE_S * 1e9)
        if mode != "repeated" or number % _REPEATS == 0:
            self._stamp_ns = now_ns
        return Time(sec=self._stamp_ns // 10**9, nanosec=self._stamp_ns % 10**9)

    def _shoot(self, shot: TrialFrame) -> None:
        stamp, frame = self._stamp(), shot.frame
        self._topics["/clock"].publish(ClockMessage(clock=stamp))
        self._sense(frame, stamp)
        self._move(shot, stamp)
        # The truth goes first: what is answered is known to have been sent.
        self._topics["truth/fix"].publish(camera_messages.truth(shot.vehicle, stamp, "base_link"))
        self._topics["truth/view"].publish(camera_messages.truth(shot.view, stamp, "view"))
        message = self._picture(frame.image)
        message.header.stamp, message.header.frame_id = stamp, "camera"
        self._image_publisher().publish(message)

    def _sense(self, frame: Frame, stamp: Time) -> None:
        assert frame.attitude is not None
        assert frame.intrinsics is not None
        assert frame.height_m is not None
        if self._get("camera_info") == "good":
            scale = float(self._get("scale"))
            width, height = (
                round(frame.intrinsics.width_px * scale),
                round(frame.intrinsics.height_px * scale),
            )
            camera = frame.intrinsics.scaled(width, height)
            self._topics["camera_info"].publish(camera_messages.camera_info(camera, stamp, "camera"))
        if self._get("imu") != "silent":
            imu = camera_messages.imu(frame.attitude, stamp, "base_link", level_only=False)
            if self._get("imu") == "nan":
                imu.orientation.w = float("nan")
            self._topics["imu"].publish(imu)
        if self._get("height") != "silent":
            height_m = float("nan") if self._get("height") == "nan" else frame.height_m
            self._topics["height"].publish(camera_messages.height(height_m, stamp, "base_link"))

    def _move(self, shot: TrialFrame, stamp: Time) -> None:
        if self._get("odometry") == "silent":
            return
        east, north = (float(x) for x in self._frame.to_local(shot.vehicle.lat_deg, shot.vehicle.lon_deg))
        jump_m = _JUMP_M * (self._get("odometry") == "jumps") * (stamp.sec % 2)
        heading_deg = shot.frame.attitude.heading_deg if shot.frame.attitude else None
        yaw = np.radians(90.0 - (heading_deg or 0.0))
        c, s = float(np.cos(yaw)), float(np.sin(yaw))
        rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        pose = Odometry(np.array([east + jump_m, north, 0.0]), rotation)
        self._topics["odom"].publish(camera_messages.odometry(pose, stamp, "odom", "base_link"))

    def _image_publisher(self) -> Any:
        qos = (self._get("transport"), self._get("reliability"))
        if qos != self._qos:
            if self._images is not None:
                self.destroy_publisher(self._images)
            policy = ReliabilityPolicy.RELIABLE if qos[1] == "reliable" else ReliabilityPolicy.BEST_EFFORT
            kind, topic = (Image, "image") if qos[0] == "raw" else (CompressedImage, "image/compressed")
            self._images = self.create_publisher(kind, topic, QoSProfile(depth=20, reliability=policy))
            self._qos = qos
        return self._images

    def _picture(self, image: NDArray[np.uint8]) -> Image | CompressedImage:
        damage, scale = self._get("damage"), float(self._get("scale"))
        if damage != "frozen":
            self._frozen = image
        changed = {"black": np.zeros_like(image), "frozen": self._frozen}.get(damage, image)
        if damage == "noise":
            changed = np.random.default_rng().integers(0, 256, image.shape, np.uint8)
        if scale != 1.0:
            changed = np.asarray(cv2.resize(changed, None, fx=scale, fy=scale), np.uint8)
        if self._get("transport") == "compressed":
            message = to_compressed_message(changed)
            if damage == "truncated":
                message.data = message.data[: len(message.data) // 2]
            return message
        return _damaged(_encoded(changed, self._get("encoding")), damage)


def _encoded(image: NDArray[np.uint8], encoding: str) -> Image:
    """A message in another encoding."""
    message = to_image_message(image)
    codes = {"bgr8": cv2.COLOR_RGB2BGR, "mono8": cv2.COLOR_RGB2GRAY, "rgba8": cv2.COLOR_RGB2RGBA}
    if encoding in codes:
        changed = np.ascontiguousarray(cv2.cvtColor(image, codes[encoding]))
        message.encoding, message.step = encoding, changed.nbytes // len(changed)
        message.data = changed.tobytes()
    return message


def _damaged(message: Image, damage: str) -> Image:
    """A message that lies."""
    if damage == "nonsense":
        message.encoding = "rgb9"
    if damage == "truncated":
        message.data = message.data[: len(message.data) // 2]
    if damage == "empty":
        return Image()
    return message


if __name__ == "__main__":
    sys.exit(run(SoakCamera))
