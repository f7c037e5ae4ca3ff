"""Pictures in messages: any padding and byte order is read right, and what contradicts itself is refused."""

from __future__ import annotations

import struct
import sys
import tracemalloc
import zlib
from array import array
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sensor_msgs.msg import CompressedImage, Image

from lkpan_ros.localization.types import Reason, Refusal
from lkpan_ros.node.image_messages import by_cv_bridge, to_compressed_message, to_image_message, to_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

RGB_ORDER = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "rgba": (0, 1, 2, 3), "bgra": (2, 1, 0, 3)}
pictures = npst.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def message_of(rows: NDArray[np.uint8], encoding: str, width: int, padding: int = 0, **fields: Any) -> Image:
    """A message of rows of bytes, each followed by `padding` bytes of rubbish."""
    height, row_bytes = rows.shape
    padded = np.full((height, row_bytes + padding), 0xA5, np.uint8)
    padded[:, :row_bytes] = rows
    facts = {"height": height, "width": width, "step": row_bytes + padding, **fields}
    message = Image(encoding=encoding, **facts)
    message.data = array("B", padded.tobytes())
    return message


def encoded(rgb: NDArray[np.uint8], order: str, bits: int, *, big_endian: bool) -> NDArray[np.uint8]:
    """Rows of bytes of a picture in some order of channels; 16 bits carry noise in their lower byte."""
    height, width = rgb.shape[:2]
    rgba = np.dstack([rgb, np.full((height, width), 77, np.uint8)])
    numbers = rgba[..., RGB_ORDER[order]]
    if bits == 16:
        numbers = (numbers.astype(np.uint16) << 8 | 0x5A).astype(">u2" if big_endian else "<u2")
    return np.frombuffer(numbers.tobytes(), np.uint8).reshape(height, -1)


@given(
    rgb=pictures,
    order=st.sampled_from(sorted(RGB_ORDER)),
    bits=st.sampled_from((8, 16)),
    big_endian=st.booleans(),
    padding=st.integers(0, 9),
)
def test_colour_pictures_are_read_exactly_whatever_their_padding_and_byte_order(
    *, rgb: NDArray[np.uint8], order: str, bits: int, big_endian: bool, padding: int
) -> None:
    rows = encoded(rgb, order, bits, big_endian=big_endian)
    message = message_of(rows, f"{order}{bits}", rgb.shape[1], padding, is_bigendian=int(big_endian))
    image = to_rgb(message)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, rgb)


@given(rgb=pictures, padding=st.integers(0, 9), big_endian=st.booleans(), bits=st.sampled_from((8, 16)))
def test_grey_pictures_become_three_equal_channels(
    *, rgb: NDArray[np.uint8], padding: int, big_endian: bool, bits: int
) -> None:
    grey = rgb[..., 0]
    numbers = grey if bits == 8 else (grey.astype(np.uint16) << 8).astype(">u2" if big_endian else "<u2")
    rows = np.frombuffer(numbers.tobytes(), np.uint8).reshape(len(grey), -1)
    message = message_of(rows, f"mono{bits}", grey.shape[1], padding, is_bigendian=int(big_endian))
    np.testing.assert_array_equal(to_rgb(message), np.dstack([grey] * 3))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_back_a_plain_colour(pattern: str, bits: int) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    cell = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(cell, (6, 7)).astype(np.uint8)
    if bits == 16:
        mosaic = np.frombuffer((mosaic.astype("<u2") << 8).tobytes(), np.uint8).reshape(12, -1)
    image = to_rgb(message_of(mosaic, f"bayer_{pattern}{bits}", 14, padding=3))
    np.testing.assert_array_equal(image, np.full((12, 14, 3), (200, 120, 40)))


@pytest.mark.parametrize(
    ("encoding", "cell"),
    [
        ("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv"),
    ],
)  # fmt: skip
def test_yuv_pictures_have_their_colours(encoding: str, cell: str) -> None:
    red = {"y": 81, "u": 90, "v": 240}  # pure red, ITU-R BT.601
    rows = np.tile(np.array([red[letter] for letter in cell], np.uint8), (4, 3))
    image = to_rgb(message_of(rows, encoding, 6, padding=5))
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 3


def test_the_last_row_may_come_without_its_padding() -> None:
    rgb = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    message = message_of(rgb.reshape(3, -1), "rgb8", 4, padding=4)
    message.data = message.data[:-4]
    np.testing.assert_array_equal(to_rgb(message), rgb)


def attempt(message: Image) -> NDArray[np.uint8] | Refusal:
    try:
        return to_rgb(message)
    except Refusal as refusal:
        return refusal


@given(
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    encoding=st.sampled_from(
        ["rgb8", "bgra16", "mono8", "mono16", "bayer_grbg8", "uyvy", "32FC1", "", "jpeg"]
    ),
    size=st.integers(0, 300),
)
def test_numbers_that_lie_are_refused_before_they_cost_memory(
    height: int, width: int, step: int, encoding: str, size: int
) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding)
    message.data = array("B", bytes(size))
    outcome = attempt(message)
    if isinstance(outcome, Refusal):
        assert outcome.reason is Reason.BAD_IMAGE
        assert f"{width}x{height}" in outcome.detail
    else:
        assert outcome.shape == (height, width, 3)
        assert step * (height - 1) < size


@given(rgb=pictures, padding=st.integers(0, 4), data=st.data())
def test_a_truncated_picture_is_refused(rgb: NDArray[np.uint8], padding: int, data: st.DataObject) -> None:
    message = message_of(rgb.reshape(len(rgb), -1), "rgb8", rgb.shape[1], padding)
    kept = data.draw(st.integers(0, len(message.data) - padding - 1))
    message.data = message.data[:kept]
    with pytest.raises(Refusal, match="the message is truncated"):
        to_rgb(message)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"height": 0}, "the size is zero"),
        ({"width": 0}, "the size is zero"),
        ({"step": 11}, "a row needs 12 bytes"),
        ({"height": 60_000, "width": 60_000, "step": 180_000}, "more than 100000000 pixels"),
        ({"height": 4}, "48 bytes are needed, the message is truncated"),
    ],
)
def test_the_refusal_names_what_is_wrong(changes: dict[str, int], complaint: str) -> None:
    message = message_of(np.zeros((3, 12), np.uint8), "rgb8", 4)
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(Refusal, match=complaint) as caught:
        to_rgb(message)
    assert caught.value.reason is Reason.BAD_IMAGE


@pytest.mark.parametrize("encoding", ["", "rgb9", "32FC1", "8UC3", "nv21", "bayer"])
def test_an_encoding_that_nobody_knows_is_refused_with_those_that_work(encoding: str) -> None:
    message = message_of(np.zeros((4, 48), np.uint8), encoding, 4)
    with pytest.raises(
        Refusal, match=r"unknown encoding, and cv_bridge .*; send one of rgb8, bgr8"
    ) as caught:
        to_rgb(message)
    assert caught.value.reason is Reason.BAD_IMAGE


def test_without_cv_bridge_an_unknown_encoding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)  # as the import system has it: not to be found
    with pytest.raises(Refusal, match=r"cv_bridge cannot be asked .*; send one of rgb8"):
        to_rgb(message_of(np.zeros((4, 48), np.uint8), "nv21", 4))


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bgr8", "mono8"])
def test_cv_bridge_gets_rows_without_padding(encoding: str) -> None:
    """Of what the wheel of cv_bridge knows nothing is left to it; what it would make must agree with ours."""
    pytest.importorskip("cv_bridge")
    rng = np.random.default_rng(1)
    row_bytes = 8 * (3 if encoding == "bgr8" else 1)
    rows = cv2.resize(rng.integers(0, 255, (3, 3), np.uint8), (row_bytes, 6))
    message = message_of(np.asarray(rows, np.uint8), encoding, 8, padding=5)
    np.testing.assert_array_equal(by_cv_bridge(message), to_rgb(message))


def test_cv_bridge_is_not_asked_about_truncated_data() -> None:
    pytest.importorskip("cv_bridge")
    message = message_of(np.zeros((4, 8), np.uint8), "bayer_rggb8", 8)
    message.data = message.data[:-1]
    with pytest.raises(Refusal, match="the message is truncated"):
        by_cv_bridge(message)


def photograph(width: int = 90, height: int = 60) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return np.asarray(cv2.resize(rng.integers(0, 255, (6, 9, 3), np.uint8), (width, height)), np.uint8)


def compressed(extension: str, image: NDArray[np.uint8], *options: int) -> bytes:
    done, data = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done
    return data.tobytes()


def compressed_message(data: bytes, form: str = "jpeg") -> CompressedImage:
    message = CompressedImage(format=form)
    message.data = array("B", data)
    return message


@pytest.mark.parametrize("form", ["png", "rgb8; png compressed bgr8", ""])
def test_a_png_is_read_exactly_whatever_its_format_is_called(form: str) -> None:
    image = photograph()
    np.testing.assert_array_equal(to_rgb(compressed_message(compressed(".png", image), form)), image)


def test_a_jpeg_is_read_in_rgb() -> None:
    image = photograph()
    assert np.abs(to_rgb(to_compressed_message(image, 95)).astype(int) - image).mean() < 3.0


CUT = {
    "baseline": (".jpg", ()),
    "progressive": (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "png": (".png", ()),
    "webp": (".webp", ()),
}


@pytest.mark.parametrize("kind", sorted(CUT))
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_truncated_file_is_refused_wherever_it_is_cut(kind: str, share: float) -> None:
    extension, options = CUT[kind]
    data = compressed(extension, photograph(), *options)
    with pytest.raises(Refusal) as caught:
        to_rgb(compressed_message(data[: int(share * len(data))]))
    assert caught.value.reason is Reason.BAD_IMAGE
    assert "compressed picture (jpeg)" in caught.value.detail


def test_a_jpeg_whose_end_was_never_written_is_refused() -> None:
    data = compressed(".jpg", photograph())
    with pytest.raises(Refusal, match="is truncated, the JPEG has no end"):
        to_rgb(compressed_message(data[: len(data) // 2] + bytes(len(data) // 2)))


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    image = photograph()
    data = compressed(".jpg", image)
    np.testing.assert_array_equal(
        to_rgb(compressed_message(data + b"made by a camera")), to_rgb(compressed_message(data))
    )


@given(junk=st.binary(max_size=200))
def test_bytes_that_are_no_picture_are_refused(junk: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        to_rgb(compressed_message(junk))
    assert caught.value.reason is Reason.BAD_IMAGE


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_small_file_that_claims_a_huge_picture_costs_nothing() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    )
    tracemalloc.start()
    with pytest.raises(Refusal, match=r"60000x60000 is more than|header cannot be read") as caught:
        to_rgb(compressed_message(bomb + _png_chunk(b"IEND", b""), "png"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason is Reason.BAD_IMAGE
    assert peak < 10_000_000


@given(rgb=pictures)
def test_a_picture_goes_into_a_message_and_back(rgb: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(to_rgb(to_image_message(rgb)), rgb)


def test_a_slice_of_a_picture_goes_into_a_message_and_back() -> None:
    image = photograph()[5:40, 10:50]
    np.testing.assert_array_equal(to_rgb(to_image_message(image)), image)
