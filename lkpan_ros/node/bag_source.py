"""Messages of a rosbag (mcap or sqlite3) as they were recorded, for the camera node to publish."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkpan_ros.errors import FlightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rosbags.rosbag2 import Reader

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# What is passed on, by the name of its setting (`bag.<name>_topic`).
KINDS = {
    "image": (IMAGE, COMPRESSED),
    "camera_info": ("sensor_msgs/msg/CameraInfo",),
    "imu": ("sensor_msgs/msg/Imu",),
    "height": ("sensor_msgs/msg/Range",),
    "truth": ("sensor_msgs/msg/NavSatFix",),
    "odometry": ("nav_msgs/msg/Odometry",),
}
# Where a topic must be named: a bag holds odometry of wheels, of cameras and of filters side by side.
_BY_NAME = {"odometry"}


@dataclass(frozen=True)
class BagMessage:
    """One serialized message.

    Attributes:
        time_s: When it was recorded, since the start of the bag.
        kind: A key of `KINDS`.
        cdr: Its bytes.
    """

    time_s: float
    kind: str
    cdr: bytes


class Bag:
    """The topics of a bag that concern a camera.

    Args:
        path: The bag's folder, or a single .mcap or .db3 file.
        topics: Topic by kind; an empty one means the only topic of that kind, if there is just one.

    Raises:
        FlightError: The bag cannot be read, has no pictures, or a topic is missing or not the only one.
    """

    def __init__(self, path: Path, topics: Mapping[str, str]) -> None:
        self._path = path
        with _opened(path) as reader:
            try:
                recorded = reader.topics
            except Exception as error:  # rosbags adds up what metadata.yaml says, whatever that is
                raise FlightError(f"{path}: its metadata is damaged ({error}); record it again") from error
            found = {name: info.msgtype or "" for name, info in recorded.items()}
            self._topics = {kind: _topic(path, kind, topics.get(kind, ""), found) for kind in KINDS}
            self.image_type = found[self._topics["image"]]
            self.images = recorded[self._topics["image"]].msgcount

    def messages(self) -> Iterator[BagMessage]:
        """The messages in the order of their recording.

        Raises:
            FlightError: The bag is truncated or damaged.
        """
        from lkpan_ros.node.bag_file import raw_messages  # noqa: PLC0415 - imported once already

        kinds = {topic: kind for kind, topic in self._topics.items() if topic}
        with _opened(self._path) as reader:
            try:
                connections = [c for c in reader.connections if c.topic in kinds]
                start_ns = reader.start_time
                for connection, time_ns, data in raw_messages(reader, connections):
                    yield BagMessage((time_ns - start_ns) * 1e-9, kinds[connection.topic], data)
            except Exception as error:
                raise FlightError(f"{self._path}: is truncated or damaged ({error})") from error


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    try:
        from lkpan_ros.node.bag_file import opened  # noqa: PLC0415 - needed for bags only
    except ImportError as error:
        raise FlightError(f"{error}: reading bags needs `pip install rosbags`") from error
    with opened(path) as reader:
        yield reader


def _topic(path: Path, kind: str, wanted: str, found: Mapping[str, str]) -> str:
    """The topic of a kind; empty where there is none (an error for pictures), or where it must be named."""
    fitting = sorted(topic for topic, msgtype in found.items() if msgtype in KINDS[kind])
    if wanted and wanted not in fitting:
        raise FlightError(
            f"{path}: has no topic {wanted!r} of {' or '.join(KINDS[kind])}; it has {', '.join(fitting) or 'none'}"
        )
    if wanted or kind in _BY_NAME:
        return wanted
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FlightError(f"{path}: has the {kind} topics {', '.join(fitting)}; give bag.{kind}_topic")
    if kind == "image":
        raise FlightError(f"{path}: has no topic of {' or '.join(KINDS[kind])}")
    return ""
