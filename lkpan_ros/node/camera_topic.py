"""The camera's topic: where it is, how it is listened to, and why it may be silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from lkpan_ros.node.parameters import ImageSettings

_RELIABILITY = {
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
}


def subscribe(
    node: Node, settings: ImageSettings, on_image: Callable[[Image | CompressedImage], None]
) -> Any:
    """A subscription to the pictures, for the node to destroy."""
    qos = QoSProfile(
        depth=settings.depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=_RELIABILITY[settings.reliability],
    )
    return node.create_subscription(
        CompressedImage if settings.transport == "compressed" else Image,
        _topic(node, settings),
        on_image,
        qos,
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def describe_silence(node: Node, settings: ImageSettings) -> str:
    """Who publishes on the topic, and whether this node can hear it."""
    topic, asked = _topic(node, settings), _RELIABILITY[settings.reliability]
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"on {topic}: there is no publisher; check the remapping of `image`"
    offers = {info.qos_profile.reliability for info in publishers}
    names = ", ".join(sorted({_name(offer) for offer in offers}))
    text = f"on {topic}: {len(publishers)} publisher(s), offering {names}, asked for {_name(asked)}"
    if asked == ReliabilityPolicy.RELIABLE and ReliabilityPolicy.RELIABLE not in offers:
        return f"{text}: these do not match, set image.reliability to best_effort"
    if asked == ReliabilityPolicy.BEST_EFFORT:
        return (
            f"{text}: if the camera runs, large pictures may be lost on the way: use the Fast DDS profile "
            "config/fastdds.xml on both sides, image.reliability reliable, or image.transport compressed"
        )
    return f"{text}: the camera does not send"


def describe_crowd(node: Node, settings: ImageSettings) -> str:
    """What is wrong where several publish on the topic; empty where one does, or none."""
    topic = _topic(node, settings)
    count = node.count_publishers(topic)
    return f"{count} publishers on {topic}: pictures of several cameras are mixed" if count > 1 else ""


def _topic(node: Node, settings: ImageSettings) -> str:
    """Remapped first, so that the compressed topic is found beside the raw one, as image_transport has it."""
    topic = str(node.resolve_topic_name("image"))
    return f"{topic}/compressed" if settings.transport == "compressed" else topic


def _name(policy: ReliabilityPolicy) -> str:
    return policy.name.lower().replace("_", " ")
