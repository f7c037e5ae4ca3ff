"""What a localizer node has in each of its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image

    from lkpan_ros.node.live_localizer import LiveLocalizer
    from lkpan_ros.node.publishers import Publishers
    from lkpan_ros.node.sensors import Sensors
    from lkpan_ros.node.worker import NewestWorker


@dataclass(frozen=True)
class Arrival:
    """A picture and when it arrived, on the monotonic clock."""

    message: Image | CompressedImage
    at_s: float


@dataclass(frozen=True)
class Loaded:
    """What a configured node has."""

    localizer: LiveLocalizer
    publishers: Publishers


@dataclass(frozen=True)
class Running:
    """What an active node has."""

    sensors: Sensors
    worker: NewestWorker[Arrival]
    images: Any  # the subscription
