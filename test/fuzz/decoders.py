"""All decoders, by name, in the order of the table; each is imported when it is asked for, with what it needs alone."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from test.fuzz.decoder import Decoder

_ROOMS = {
    "messages": ("image message", "compressed message"),
    "files": ("gallery", "weights", "checkpoint", "calibration", "signature", "arrays", "training config"),
    "maps": ("GeoTIFF", "world file", "map CSV", "XYZ folder", "MBTiles"),
    "recordings": ("flight.csv", "bag"),
    "parameters": ("parameter YAML",),
}
_OF_ROS = ("messages", "recordings", "parameters")  # missing where ROS is


def names() -> tuple[str, ...]:
    """Of all decoders that there are here."""
    ros = find_spec("rclpy") is not None
    return tuple(name for room, held in _ROOMS.items() if ros or room not in _OF_ROS for name in held)


def find(name: str) -> Decoder:
    """The decoder of a name."""
    room = next(room for room, held in _ROOMS.items() if name in held)
    decoders: tuple[Decoder, ...] = import_module(f"test.fuzz.{room}").DECODERS
    return next(decoder for decoder in decoders if decoder.name == name)
