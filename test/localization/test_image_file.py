"""Pictures that cost much more to decode than to send."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from lkpan_ros.errors import ImageError
from lkpan_ros.localization.image_file import decode_image


def black_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_many_pixels_of_few_bytes_are_no_photograph() -> None:
    assert decode_image(black_png(2000), "a lens cap").shape == (2000, 2000, 3)
    with pytest.raises(ImageError, match=r"5000x5000 pixels of \d+ bytes are no photograph"):
        decode_image(black_png(5000), "a bomb")


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    """Each scan passes over the whole picture: 100 kB can keep a decoder busy for a minute."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((3000, 3000, 3), np.uint8)).save(stream, "JPEG", progressive=True, quality=10)
    data = stream.getvalue()
    assert decode_image(data, "a picture").shape == (3000, 3000, 3)
    first = data.find(b"\xff\xda")
    with pytest.raises(ImageError, match=r"in \d+ scans; send a JPEG that is not progressive"):
        decode_image(data[:first] + data[first:-2] * 30 + b"\xff\xd9", "a bomb")


def test_a_chunk_longer_than_its_png_is_not_allocated() -> None:
    """OpenCV takes 4 GB for it."""
    data = bytearray(cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    assert decode_image(bytes(data), "a.png").shape == (48, 64, 3)
    at = data.index(b"IDAT") - 4
    whole = bytes(data)
    data[at : at + 2] = b"\xff\xff"
    with pytest.raises(ImageError, match=r"a\.png: is truncated, a chunk"):
        decode_image(bytes(data), "a.png")
    with pytest.raises(ImageError, match=r"a\.png: .*truncated"):
        decode_image(whole[:-12], "a.png")
