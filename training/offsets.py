"""Offset-1652: the drone view shifted inside its own image, as a table of 40 variants and their crop boxes.

From each square drone image a window of 3/4 of its side is cut. The centred window starts at 1/8 of the side; a
variant moves it by 1 to 5 steps of 3/128 of the side in one of eight directions. At the 512 px of University-1652 and
SUES-200 that is a 384 px window from (64, 64) and 12 px a step, all of it whole pixels: no padding, no resampling. The
window moves, so in `Offset-L-5` the building stands 60 px to the *right* of where it was. (Geometry: the LK-PAN
paper's Offset-1652.)

Images of another side, such as 128 px thumbnails, are cut in the same proportions, rounded to whole pixels: whoever
reads through a variant prints `describe_scaling` once. The writer (`training.offset1652`) refuses them.

MIX is our own definition, because the composition of the authors' Offset-1652-MIX is not published: each image is
shown through exactly one variant, drawn uniformly from the 40 by a hash of (seed, relative path). It depends neither
on the order of the files nor on the number of workers, and is as large as its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePath
from typing import TYPE_CHECKING

from lkpan_model.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE_SIDE = 512  # pixels; the only size of the published dataset
MAX_STEP = 5
MIX_NAME = "Offset-MIX"
_DIRECTIONS = {
    "L": (-1, 0), "R": (1, 0), "U": (0, -1), "D": (0, 1), "LU": (-1, -1), "RU": (1, -1), "LD": (-1, 1), "RD": (1, 1),
}  # fmt: skip
# In 128ths of the side, so that 512 and 128 px come out whole.
_WINDOW, _START, _STEP = 96, 16, 3


class OffsetError(ModelError):
    """A variant, an image or a dataset does not fit Offset-1652."""


@dataclass(frozen=True)
class Variant:
    """One position of the window.

    Attributes:
        direction: L, R, U, D, LU, RU, LD, RD, or C for the centre.
        step: 1 to 5, 0 for the centre.
    """

    direction: str
    step: int

    def __post_init__(self) -> None:
        """Refuse what the table does not hold."""
        moved = self.direction in _DIRECTIONS and 1 <= self.step <= MAX_STEP
        if not moved and (self.direction, self.step) != ("C", 0):
            raise OffsetError(
                f"no offset {self.direction!r} with step {self.step}: directions are "
                f"{', '.join(_DIRECTIONS)} with steps 1 to {MAX_STEP} (the centre is C with step 0)"
            )

    @property
    def name(self) -> str:
        """`Offset-L-1` and the like, the name of the variant's folder; `Centre` for the centre."""
        return f"Offset-{self.direction}-{self.step}" if self.step else "Centre"

    @property
    def shift(self) -> tuple[int, int]:
        """Movement (x right, y down) of the window from the centre, in steps: -5 to 5 each."""
        x, y = _DIRECTIONS.get(self.direction, (0, 0))
        return x * self.step, y * self.step


CENTRE = Variant("C", 0)
VARIANTS = tuple(Variant(direction, step) for direction in _DIRECTIONS for step in range(1, MAX_STEP + 1))


@dataclass(frozen=True)
class Box:
    """A square of an image, pixels: columns left to left + side, rows top to top + side."""

    left: int
    top: int
    side: int


def parse_variants(text: str) -> tuple[Variant, ...]:
    """The variants of a command line: `all` (the 40), or names such as `Offset-L-1,Offset-RD-5`.

    Returns:
        The variants in the order of the table, whatever order they were named in.

    Raises:
        OffsetError: A name is unknown or given twice.
    """
    if text.strip() == "all":
        return VARIANTS
    names = [name.strip() for name in text.split(",")]
    known = {variant.name for variant in VARIANTS}
    for name in names:
        if name not in known:
            raise OffsetError(
                f"unknown variant {name!r}: give all, or names Offset-<direction>-<step> with the directions "
                f"{', '.join(_DIRECTIONS)} and steps 1 to {MAX_STEP}, separated by commas"
            )
        if names.count(name) > 1:
            raise OffsetError(f"variant {name} is given twice: name each once")
    return tuple(variant for variant in VARIANTS if variant.name in names)


def mix_variant(seed: int, relative_path: str | PurePath) -> Variant:
    """The one variant through which MIX shows an image.

    Args:
        seed: Of the whole mix.
        relative_path: Of the source image, with its suffix, below the folder that holds the ids (`0001/image-01.jpeg`).
    """
    path = relative_path.as_posix() if isinstance(relative_path, PurePath) else relative_path
    digest = blake2b(f"{seed}:{path}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return VARIANTS[int.from_bytes(digest, "big") % len(VARIANTS)]  # 40 into 2^64: uniform to 2e-18


def crop_box(variant: Variant, side: int = SOURCE_SIDE) -> Box:
    """The window of a variant in a square image of `side` pixels; it always lies inside.

    Exact where the side is a multiple of 128, else each edge rounded to the nearest pixel.

    Raises:
        OffsetError: The side is not positive.
    """
    if side < 1:
        raise OffsetError(f"an image of {side} px has no window: give a side of at least 1 px")
    window = _share(_WINDOW, side)
    # Rounding both window and start can overshoot by a pixel in images of less than 128 px.
    left, top = (min(_share(_START + _STEP * steps, side), side - window) for steps in variant.shift)
    return Box(left, top, window)


def cut(image: NDArray[np.uint8], variant: Variant) -> NDArray[np.uint8]:
    """An image seen through a variant.

    Args:
        image: Square, S x S x 3 (or S x S).
        variant: Position of the window.

    Returns:
        The window as a view of the same array, not a copy; its pixels equal those of the written PNG file.

    Raises:
        OffsetError: The image is not square.
    """
    height, width = image.shape[:2]
    if height != width:
        raise OffsetError(f"an image of {width} x {height} px has no offset window: it must be square")
    box = crop_box(variant, width)
    return image[box.top : box.top + box.side, box.left : box.left + box.side]


def describe_scaling(side: int) -> str | None:
    """What to tell a reader whose images are not of the published 512 px; None if they are."""
    if side == SOURCE_SIDE:
        return None
    share = side / 128
    return (
        f"images of {side} px are not the {SOURCE_SIDE} px of Offset-1652: its geometry is scaled to a window of "
        f"{crop_box(CENTRE, side).side} px and steps of {_STEP * share:g} px"
        f"{'' if side % 128 == 0 else ', rounded to whole pixels'}"
    )


def _share(parts: int, side: int) -> int:
    """`parts` / 128 of a side, rounded half up."""
    return (parts * side + 64) // 128
