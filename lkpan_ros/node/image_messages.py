"""sensor_msgs/Image and CompressedImage to RGB arrays, and back.

Every number of a message is checked against its data before it is believed, and rows may be padded. OpenCV converts
the colours. An encoding that is not in the table here is left to cv_bridge, without padding and when it first comes:
builds of cv_bridge skew padded rows, or fail under NumPy 2.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from lkpan_ros.errors import ImageError
from lkpan_ros.localization.image_file import MAX_PIXELS, decode_image
from lkpan_ros.localization.types import Reason, Refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Encoding:
    """How the pixels of an encoding lie (sensor_msgs/image_encodings.hpp).

    Attributes:
        channels: Numbers a pixel.
        conversion: OpenCV's code for their conversion to RGB; None where they are RGB.
        number_bytes: Bytes a number; of 2 only the upper one is used.
    """

    channels: int
    conversion: int | None
    number_bytes: int = 1


_ENCODINGS = {
    "rgb8": _Encoding(3, None),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": _Encoding(1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": _Encoding(1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": _Encoding(1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": _Encoding(1, cv2.COLOR_BayerGRBG2RGB),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2RGB_YUYV),
    "yuv422": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),  # the older name of uyvy
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2RGB_YUYV),  # the older name of yuyv
}
_ENCODINGS |= {
    f"{name.removesuffix('8')}16": replace(encoding, number_bytes=2)
    for name, encoding in _ENCODINGS.items()
    if name.endswith("8")
}


def to_rgb(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """The picture of a message, H x W x 3 uint8 RGB, contiguous; it may be a read-only view of the message's data.

    Raises:
        Refusal: BAD_IMAGE. The size is zero or too large, the step or the data too short, the encoding unknown to
            cv_bridge too, or a compressed picture damaged.
    """
    if isinstance(message, CompressedImage):
        return _from_compressed(message)
    _check_size(message)
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        return by_cv_bridge(message)
    pixels = np.ascontiguousarray(_pixels(message, encoding))
    return pixels if encoding.conversion is None else _converted(message, pixels, encoding.conversion)


def by_cv_bridge(message: Image) -> NDArray[np.uint8]:
    """The picture of a raw message as cv_bridge understands it, H x W x 3 uint8 RGB.

    Raises:
        Refusal: BAD_IMAGE. cv_bridge is not installed or refuses, or the step or the data are too short.
    """
    remedy = f"send one of {', '.join(_ENCODINGS)}"
    try:
        from cv_bridge import CvBridge  # noqa: PLC0415 - few need it, and it may be missing
    except Exception as error:
        raise _bad(
            message, f"unknown encoding, and cv_bridge cannot be asked ({_named(error)}); {remedy}"
        ) from error
    bridge = CvBridge()
    try:
        kind, channels = bridge.encoding_to_dtype_with_channels(message.encoding)
        rows = _rows(message, message.width * channels * np.dtype(kind).itemsize)
        image = np.asarray(bridge.imgmsg_to_cv2(_unpadded(message, rows), desired_encoding="rgb8"))
    except Refusal:
        raise
    except Exception as error:
        raise _bad(
            message, f"unknown encoding, and cv_bridge refuses it ({_named(error)}); {remedy}"
        ) from error
    if image.dtype != np.uint8 or image.shape != (message.height, message.width, 3):
        raise _bad(message, f"cv_bridge made {image.dtype} of shape {image.shape} of it; {remedy}")
    return np.ascontiguousarray(image)


def to_image_message(image: NDArray[np.uint8]) -> Image:
    """An rgb8 message (header left empty) of an H x W x 3 uint8 picture."""
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width)
    _fill(message, image)
    return message


def to_compressed_message(image: NDArray[np.uint8], quality: int = 90) -> CompressedImage:
    """A JPEG message (header left empty) of an H x W x 3 uint8 RGB picture."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ImageError(f"a picture of {image.shape} cannot be encoded as JPEG")
    message = CompressedImage(format="jpeg")
    message.data = array("B", data.tobytes())
    return message


def _from_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    try:
        return decode_image(
            bytes(message.data), f"compressed picture ({message.format or 'no format given'})"
        )
    except ImageError as error:
        raise Refusal(Reason.BAD_IMAGE, str(error)) from error


def _check_size(message: Image) -> None:
    if message.width < 1 or message.height < 1:
        raise _bad(message, "the size is zero")
    if message.width * message.height > MAX_PIXELS:
        raise _bad(message, f"that is more than {MAX_PIXELS} pixels; send it at a smaller size")


def _pixels(message: Image, encoding: _Encoding) -> NDArray[np.uint8]:
    """The numbers of a message, H x W x channels uint8; a view of it where possible."""
    rows = _rows(message, message.width * encoding.channels * encoding.number_bytes)
    if encoding.number_bytes == 2:
        rows = rows[:, (0 if message.is_bigendian else 1) :: 2]  # the upper byte of each number
    return rows.reshape(message.height, message.width, encoding.channels)


def _rows(message: Image, row_bytes: int) -> NDArray[np.uint8]:
    """The bytes of a message without the rows' padding, H x row_bytes uint8, a view of it."""
    if message.step < row_bytes:
        raise _bad(message, f"a row needs {row_bytes} bytes")
    # The last row may come without its padding.
    needed = message.step * (message.height - 1) + row_bytes
    data = np.frombuffer(message.data, np.uint8)
    if data.size < needed:
        raise _bad(message, f"{needed} bytes are needed, the message is truncated")
    return np.lib.stride_tricks.as_strided(
        data, shape=(message.height, row_bytes), strides=(message.step, 1), writeable=False
    )


def _unpadded(message: Image, rows: NDArray[np.uint8]) -> Image:
    plain = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=rows.shape[1],
    )
    _fill(plain, rows)
    return plain


def _fill(message: Image, values: NDArray[np.uint8]) -> None:
    """Setting the field from an array is instant; from bytes or an ndarray it takes 0.2 s at 720p."""
    data = array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    message.data = data


def _converted(message: Image, pixels: NDArray[np.uint8], conversion: int) -> NDArray[np.uint8]:
    try:
        image = cv2.cvtColor(pixels, conversion)
    except cv2.error as error:
        raise _bad(message, f"the size does not suit the encoding ({error.err})") from error
    return image.astype(np.uint8, copy=False)


def _bad(message: Image, what: str) -> Refusal:
    return Refusal(
        Reason.BAD_IMAGE,
        f"{message.width}x{message.height} {message.encoding or 'no encoding'}, step {message.step}, "
        f"{len(message.data)} bytes: {what}",
    )


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
