"""Pictures as messages: raw ones whose numbers lie, and compressed ones that are crafted."""

from __future__ import annotations

import struct
import zlib
from array import array
from typing import TYPE_CHECKING

from sensor_msgs.msg import CompressedImage, Image

from lkpan_ros.node.image_messages import to_rgb
from test.fuzz.decoder import Decoder, seeds
from test.fuzz.mutation import NUMBERS, WORDS, damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

# Bytes a pixel, as far as it has whole ones.
ENCODINGS = {
    "rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "rgb16": 6, "mono16": 2, "bgra16": 8, "bayer_rggb8": 1,
    "bayer_gbrg16": 2, "uyvy": 2, "yuyv": 2, "yuv422": 2, "yuv422_yuy2": 2, "nv12": 2, "nv21": 2, "nv24": 3, "8UC1": 1,
    "8UC3": 3, "8UC4": 4, "8UC64": 64, "16UC1": 2, "16SC2": 4, "32FC1": 4, "32FC3": 12, "64FC1": 8, "RGB8": 3,
    "rgb8; jpeg compressed": 3,
}  # fmt: skip
SIZES = (0, 1, 2, 3, 5, 16, 31, 64, 100)


def _raw(rng: Random, _folder: Path) -> Callable[[], object]:
    width, height = rng.choice(SIZES), rng.choice(SIZES)
    encoding = rng.choice(list(ENCODINGS)) if rng.random() < 0.85 else rng.choice(WORDS).replace("\0", "")
    pixel = ENCODINGS.get(encoding, 1) if rng.random() < 0.7 else rng.choice((1, 2, 3, 4, 6, 8))
    step = width * pixel + rng.choice((0, 0, 0, 1, 7, 64))
    size = step * height
    message = Image(height=height, width=width, step=step, is_bigendian=rng.choice((0, 1, 255)))
    message.encoding = encoding
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        field = rng.choice(("width", "height", "step", "size"))
        number = rng.choice(NUMBERS) % 2**32 if rng.random() < 0.5 else rng.choice(SIZES)
        if field == "size":
            size = min(number, 200_000)
        else:
            setattr(message, field, number)
    message.data = array("B", rng.randbytes(max(0, size + rng.choice((0, 0, 0, -1, 1)))))
    return lambda: to_rgb(message)


def _compressed(rng: Random, _folder: Path) -> Callable[[], object]:
    pictures = seeds("pictures/*")
    crafted = rng.random() < 0.15
    data = rng.choice(_CRAFTED)(rng) if crafted else damaged(rng, rng.choice(pictures), pictures)
    data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.05 else data
    message = CompressedImage(format=rng.choice(("jpeg", "png", "", "rgb8; jpeg compressed bgr8", "h264")))
    message.data = array("B", data)
    return lambda: to_rgb(message)


def _png_bomb(rng: Random) -> bytes:
    """Few bytes that are many pixels, all of which are there."""
    side = rng.choice((3000, 4000, 6000, 9000))
    depth, colour, bytes_a_pixel = rng.choice(((8, 0, 1), (8, 2, 3), (16, 6, 8), (1, 0, 0.125)))
    rows = bytes(int(side * bytes_a_pixel) + 1) * side if side * side * bytes_a_pixel < 2e8 else b""
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, rng.choice((0, 1)))
    return _png((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))


def _png_text_bomb(rng: Random) -> bytes:
    """A small picture with a text or a colour profile that unpacks to much."""
    kind, head = rng.choice(((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")))
    bomb = head + zlib.compress(bytes(rng.choice((1, 30)) * 1_000_000), 9)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return _png((b"IHDR", header), (kind, bomb), (b"IDAT", zlib.compress(bytes(72))), (b"IEND", b""))


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _jpeg_of_another_size(rng: Random) -> bytes:
    """The size in the frame header replaced."""
    data = bytearray(rng.choice(seeds("pictures/*.jpg")))
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    data[place : place + 4] = struct.pack(
        ">HH", *(rng.choice((0, 1, 48, 4000, 9000, 30_000, 65_535)) for _ in range(2))
    )
    return bytes(data)


def _jpeg_of_many_scans(rng: Random) -> bytes:
    """A progressive JPEG whose scans are said again and again, of a picture as large as is taken."""
    data = next(picture for picture in seeds("pictures/*.jpg") if b"\xff\xc2" in picture)
    first = data.find(b"\xff\xda")
    data = data[:first] + data[first:-2] * rng.choice((2, 20, 200)) + b"\xff\xd9"
    if rng.random() < 0.5:
        place = data.find(b"\xff\xc2") + 5
        data = data[:place] + struct.pack(">HH", 4000, 4000) + data[place + 4 :]
    return data


def _tiff_with(rng: Random) -> bytes:
    """A TIFF whose directory states numbers of its own: width, length, strips, tiles."""
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 64, 279: 4096}
    tags |= {322: 64, 323: 64, 324: 200, 325: 4096} if rng.random() < 0.5 else {}
    for _ in range(rng.choice((1, 2, 3))):
        tags[rng.choice(list(tags))] = rng.choice(NUMBERS) % 2**32
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(4096)


_CRAFTED = (_png_bomb, _png_text_bomb, _jpeg_of_another_size, _jpeg_of_many_scans, _tiff_with)

DECODERS = (Decoder("image message", _raw), Decoder("compressed message", _compressed))
