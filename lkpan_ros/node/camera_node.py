"""A camera for those who have none at hand: plays a recorded flight, a rosbag or the simulator."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rclpy.node import Node
from rclpy.task import Future
from rclpy.time import Time

from lkpan_ros.errors import ConfigError, LkpanError
from lkpan_ros.node.bag_source import KINDS, Bag
from lkpan_ros.node.camera_parameters import CameraNodeConfig
from lkpan_ros.node.camera_publishers import CameraPublishers
from lkpan_ros.node.flight_sources import FlightFolder, SimulatedFlight, play
from lkpan_ros.node.parameters import declare, warn_of_unknown
from lkpan_ros.node.process import run
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.simulation.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.node.flight_sources import ShotSource

# Discovery keeps the order in which a process subscribes. The localizer subscribes to the pictures last; this is for
# those who do not.
_SETTLE_S = 0.5


class CameraNode(Node):
    """Publishes until the flight ends, then finishes; a picture that cannot be read makes the exit status 1."""

    def __init__(self) -> None:
        super().__init__("camera")
        self._config = declare(self, CameraNodeConfig(), read_only=True)
        warn_of_unknown(self)
        self.finished: Future[int] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._unreadable = 0
        self._source = self._open()
        recorded = self._source.image_type if isinstance(self._source, Bag) else ""
        self._topics = CameraPublishers(self, self._config.output, recorded)

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """Stop playing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _open(self) -> ShotSource | Bag:
        source, camera = self._config.source, self._config.camera
        if source.type == "simulator":
            return self._simulated()
        if not source.path:
            raise ConfigError(f"source.path is empty: give the {source.type} to play")
        path = Path(source.path).expanduser()
        if source.type == "bag":
            return Bag(path, {kind: getattr(self._config.bag, f"{kind}_topic") for kind in KINDS})
        return FlightFolder(path, camera.focal_px, camera.hfov_deg)

    def _simulated(self) -> SimulatedFlight:
        s = self._config.simulator
        self.get_logger().info(f"making the world of seed {s.seed}")
        settings = FlightSettings(s.seconds, s.rate_hz, s.speed_mps, s.height_m, s.tilt_deg, s.wind)
        return SimulatedFlight(Scenario(s.seed, s.size_m, settings=settings), odometry=s.odometry)

    def _run(self) -> None:
        """In the camera's thread."""
        try:
            sent = self._play()
        except LkpanError as error:
            self.get_logger().fatal(str(error))
            self._finish(1)
            return
        except Exception as error:  # noqa: BLE001 - taken down in the middle of a publication
            if self.context.ok():
                self.get_logger().fatal(f"{type(error).__name__}: {error}")
            self._finish(1)
            return
        if not self._stopping.is_set():
            self._topics.flush()
        self.get_logger().info(f"{sent} pictures sent, {self._unreadable} could not be read")
        self._finish(1 if self._unreadable else 0)

    def _finish(self, status: int) -> None:
        self.finished.set_result(status)

    def _play(self) -> int:
        """Play until the end. Returns the number of pictures sent."""
        if self._config.source.wait_for_subscriber:
            self._wait_for_subscriber()
        sent = 0
        while not self._stopping.is_set():
            start = self.get_clock().now()
            if isinstance(self._source, Bag):
                sent += self._play_bag(self._source)
            else:
                sent += self._play_shots(self._source, start)
            if not self._config.source.loop:
                break
        return sent

    def _wait_for_subscriber(self) -> None:
        self.get_logger().info("waiting for a subscriber to the pictures")
        while self._topics.subscribers() == 0 and not self._stopping.wait(0.05):
            pass
        self._stopping.wait(_SETTLE_S)

    def _announce(self, count: int) -> None:
        rate = f"at {self._config.source.rate:g} times the pace of the flight"
        self.get_logger().info(f"playing {count} pictures on {self._topics.image_topics}, {rate}")
        self._topics.frame_count(count)

    def _play_shots(self, source: ShotSource, start: Time) -> int:
        settings, sent = self._config.source, 0
        numbers = tuple(play(source, settings.start_s, settings.end_s, settings.max_frames))
        self._announce(len(numbers))
        pace = _Pace(settings.rate, settings.start_s, self._stopping)
        for number in numbers:
            try:
                shot = source.shot(number)
            except LkpanError as error:
                self._unreadable += 1
                self.get_logger().error(str(error))
                continue
            if not pace.wait_until(shot.time_s):
                break
            # Stamps keep the flight's own spacing at any rate of playing.
            stamp_ns = start.nanoseconds + round((shot.time_s - settings.start_s) * 1e9)
            self._topics.shot(shot, Time(nanoseconds=stamp_ns, clock_type=start.clock_type).to_msg())
            sent += 1
        return sent

    def _play_bag(self, bag: Bag) -> int:
        settings, sent = self._config.source, 0
        count = min(bag.images, settings.max_frames or bag.images)
        self._announce(count)
        pace = _Pace(settings.rate, settings.start_s, self._stopping)
        for message in bag.messages():
            if message.time_s < settings.start_s:
                continue
            late = 0.0 < settings.end_s < message.time_s
            if late or sent >= count or not pace.wait_until(message.time_s):
                break
            self._topics.recorded(message)
            sent += message.kind == "image"
        return sent


class _Pace:
    """Waits until it is time for something in a flight that is played at some rate."""

    def __init__(self, rate: float, start_s: float, stopping: threading.Event) -> None:
        self._rate = rate
        self._flight_start_s = start_s
        self._stopping = stopping
        self._start_s = time.monotonic()

    def wait_until(self, time_s: float) -> bool:
        """Wait for a time of the flight. Returns False where playing is to stop."""
        due_s = self._start_s + (time_s - self._flight_start_s) / self._rate
        return not self._stopping.wait(max(0.0, due_s - time.monotonic()))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the flight ends. Returns the exit status."""
    return run(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
