"""Image files to pixels, whole or seen through Offset-1652."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.layouts import DataError
from training.offsets import CENTRE, MIX_NAME, OffsetError, cut, mix_variant, parse_variants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from training.offsets import Variant

MIX_SEED = 0  # the default of `training.offset1652 --seed`, so that reading and writing agree


def read_image(path: Path, variant: Variant | None = None) -> NDArray[np.uint8]:
    """Decode an image, whole or through a variant of Offset-1652.

    Returns:
        uint8 RGB, H x W x 3; alpha is dropped, grey and 16 bit are converted.

    Raises:
        DataError: The file cannot be read or decoded to its end, or is not square and a variant is asked for.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return decode_image(content, path, variant)


def decode_image(content: bytes, path: Path, variant: Variant | None = None) -> NDArray[np.uint8]:
    """As `read_image`, of a file's content; the path is for the message only."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content or b"\0", np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # a header that claims more pixels than OpenCV allows
        raise DataError(f"{path} cannot be decoded as an image: {error}") from error
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as an image: it is cut off, damaged or something else")
    image = pixels.astype(np.uint8, copy=False)
    if variant is not None:
        try:
            image = cut(image, variant)
        except OffsetError as error:
            raise DataError(f"{path}: {error}") from error
    return np.ascontiguousarray(image[:, :, ::-1])  # OpenCV reads BGR


def variants_through(text: str, folder: Path) -> Callable[[Path], Variant | None]:
    """Which variant each image of a view is shown through.

    Args:
        text: Empty (whole images), the name of one variant, `Centre`, or `Offset-MIX`.
        folder: Of the view; MIX draws by the path below it, as the writer does.

    Raises:
        OffsetError: The text is none of these.
    """
    if text == MIX_NAME:
        return lambda path: mix_variant(MIX_SEED, path.relative_to(folder))
    if text == "":
        return lambda _: None
    variants = (CENTRE,) if text == CENTRE.name else parse_variants(text)
    if len(variants) != 1:
        raise OffsetError(f"through {text!r} names {len(variants)} variants: give one, or {MIX_NAME}")
    return lambda _: variants[0]
