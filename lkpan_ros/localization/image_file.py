"""Encoded pictures (JPEG, PNG, ...) to RGB arrays, refused before they can fill the memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from lkpan_ros.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS = 100_000_000  # a drone's largest camera has 60 million; a header may claim four thousand million
# Photographs have 1 to 50 pixels a byte, a black picture hundreds: it is taken where decoding it costs little.
_FREE_PIXELS, _PIXELS_PER_BYTE = 12_000_000, 100
_SCANNED_PIXELS = 1_500_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


def read_image(path: Path) -> NDArray[np.uint8]:
    """The picture in a file, H x W x 3 uint8 RGB, turned as its EXIF orientation says.

    Raises:
        ImageError: The file is missing, truncated, no picture or has more than `MAX_PIXELS`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give the path of a picture") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """The picture in encoded bytes, H x W x 3 uint8 RGB.

    The size is taken from the header first, so a small message that claims a huge picture costs nothing.

    Args:
        data: A whole JPEG, PNG, WebP, TIFF or BMP file.
        name: What to call it in messages.

    Raises:
        ImageError: It is truncated, no picture or has more than `MAX_PIXELS`.
    """
    width, height = _checked_header(data, name)
    _check_work(width, height, data, name)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{name}: cannot be decoded ({error.err})") from error
    if pixels is None:
        raise ImageError(f"{name}: cannot be decoded; it is truncated or damaged ({len(data)} bytes)")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _check_work(width: int, height: int, data: bytes, name: str) -> None:
    """Refuse what costs much more to decode than to send."""
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width}x{height} is more than {MAX_PIXELS} pixels; send it at a smaller size"
        )
    if pixels > max(_FREE_PIXELS, _PIXELS_PER_BYTE * len(data)):
        raise ImageError(
            f"{name}: {width}x{height} pixels of {len(data)} bytes are no photograph; send it at a smaller size"
        )
    scans = data.count(b"\xff\xda")  # of a progressive JPEG, each of which passes over all of the picture
    if scans * pixels > _SCANNED_PIXELS:
        raise ImageError(
            f"{name}: {width}x{height} pixels in {scans} scans; send a JPEG that is not progressive"
        )


def _check_chunks(data: bytes, name: str) -> None:
    """Of a PNG: OpenCV allocates as much as a chunk says that it has."""
    start = 8
    while start + 8 <= len(data):
        length, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        if start + 12 + length > len(data):
            raise ImageError(f"{name}: is truncated, a chunk of the PNG has no end ({len(data)} bytes)")
        if kind == b"IEND":
            return
        start += 12 + length
    raise ImageError(f"{name}: is truncated, the PNG has no end ({len(data)} bytes)")


def _checked_header(data: bytes, name: str) -> tuple[int, int]:
    """Width and height in pixels."""
    stream = io.BytesIO(data)
    try:
        with Image.open(stream, formats=_FORMATS) as picture:
            # Pillow has read up to the pixels, in whose bytes FF D9 is the end and nothing else. Old versions of
            # OpenCV make up what a truncated JPEG lacks.
            if picture.format == "JPEG" and data.find(b"\xff\xd9", stream.tell()) < 0:
                raise ImageError(f"{name}: is truncated, the JPEG has no end ({len(data)} bytes)")
            if picture.format == "PNG":
                _check_chunks(data, name)
            return picture.size
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: {len(data)} bytes are no picture; send one of {', '.join(_FORMATS)}"
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: its header cannot be read ({error})") from error
