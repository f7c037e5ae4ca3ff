"""The pixels of a map on one north-up metric grid, compressed block by block.

A gallery's tiles overlap several times over; their pixels are kept once, here.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from lkpan_ros.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lkpan_ros.localization.stored_array import AnyArray

    Pixels = tuple[NDArray[np.uint8], NDArray[np.bool_]]

BLOCK_PX = 256
TILE_PX_RANGE = (16, 2048)  # of tiles: fewer pixels show nothing, more are no use to any encoder
_JPEG_QUALITY = 90
_CACHED_BLOCKS = 128  # 33 MB
_PIECE_PX = 4096  # side of what is decoded at once for a coarse window
EMPTY, _FULL = -2, -1


@dataclass(frozen=True)
class PixelGrid:
    """Where the pixels of a mosaic lie: blocks of 256 x 256 pixels from the north-west corner on.

    Attributes:
        west_m: East coordinate of the left edge, metres in the local frame.
        north_m: North coordinate of the top edge.
        gsd_m: Side of a pixel.
        columns: Blocks from west to east.
        rows: Blocks from north to south.
    """

    west_m: float
    north_m: float
    gsd_m: float
    columns: int
    rows: int


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Compressed pixels with their validity. Safe to be read from several threads.

    Attributes:
        grid: Where they lie.
        data: (B,) uint8, one JPEG a block with any valid pixel, row by row.
        offsets: (rows * columns + 1,) int64, where each block starts in `data`.
        mask_row: (rows * columns,) int32, the block's row in `masks`; -1: all valid, -2: none.
        masks: (M, 8192) uint8, bits of the blocks that are valid in part (numpy.packbits).

    Raises:
        GalleryError: The arrays contradict one another.
    """

    grid: PixelGrid
    data: AnyArray
    offsets: NDArray[np.int64]
    mask_row: NDArray[np.int32]
    masks: NDArray[np.uint8]
    _block: Callable[[int], Pixels] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        blocks = self.grid.rows * self.grid.columns
        kinds = tuple(str(a.dtype) for a in (self.data, self.offsets, self.mask_row, self.masks))
        consistent = (
            kinds == ("uint8", "int64", "int32", "uint8")
            and self.offsets.shape == (blocks + 1,)
            and self.mask_row.shape == (blocks,)
            and self.masks.shape[1:] == (BLOCK_PX * BLOCK_PX // 8,)
            and self.offsets[0] == 0
            and self.offsets[-1] == len(self.data)
            and bool((np.diff(self.offsets) >= 0).all())
            and bool(((self.mask_row >= EMPTY) & (self.mask_row < len(self.masks))).all())
        )
        if not consistent:
            raise GalleryError(
                f"{blocks} blocks of pixels contradict their index; rebuild it with build_gallery"
            )
        # Not of a method: a mosaic that holds what holds it is freed by the garbage collector alone, and that is late.
        decode = partial(_decoded, self.data, self.offsets, self.mask_row, self.masks)
        object.__setattr__(self, "_block", lru_cache(maxsize=_CACHED_BLOCKS)(decode))

    def crop(self, left: int, top: int, width: int, height: int) -> Pixels:
        """A window of whole pixels, H x W x 3 uint8 and H x W bool; black and False outside the map."""
        rgb = np.zeros((height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.bool_)
        rows = range(max(0, top // BLOCK_PX), min(self.grid.rows, (top + height - 1) // BLOCK_PX + 1))
        columns = range(max(0, left // BLOCK_PX), min(self.grid.columns, (left + width - 1) // BLOCK_PX + 1))
        for row in rows:
            for column in columns:
                block = row * self.grid.columns + column
                if self.mask_row[block] == EMPTY:
                    continue
                pixels, valid = self._block(block)
                x, y = column * BLOCK_PX - left, row * BLOCK_PX - top
                here = np.s_[max(0, y) : y + BLOCK_PX, max(0, x) : x + BLOCK_PX]
                inside = np.s_[max(0, -y) : height - y, max(0, -x) : width - x]
                rgb[here], mask[here] = pixels[inside], valid[inside]
        return rgb, mask

    def read_local(
        self, west_m: float, north_m: float, width_px: int, height_px: int, gsd_m: float
    ) -> Pixels:
        """A north-up window of any place and scale: bilinear, averaged where it is coarser than the mosaic.

        Args:
            west_m: East coordinate of its left edge, metres in the local frame.
            north_m: North coordinate of its top edge.
            width_px: Columns.
            height_px: Rows.
            gsd_m: Side of its pixels, metres.

        Returns:
            H x W x 3 uint8 RGB, black where there is no map, and H x W bool, True where there is.
        """
        fine = max(1, math.ceil(gsd_m / self.grid.gsd_m - 1e-9))  # samples that are averaged, along a side
        step = max(1, _PIECE_PX // fine)
        rgb = np.empty((height_px, width_px, 3), np.uint8)
        mask = np.empty((height_px, width_px), np.bool_)
        for top in range(0, height_px, step):
            for left in range(0, width_px, step):
                here = np.s_[top : top + step, left : left + step]
                height, width = mask[here].shape
                samples = self._sample(
                    west_m + left * gsd_m, north_m - top * gsd_m, width * fine, height * fine, gsd_m / fine
                )
                rgb[here], mask[here] = _averaged(*samples, fine)
        return rgb, mask

    def _sample(self, west_m: float, north_m: float, width_px: int, height_px: int, gsd_m: float) -> Pixels:
        """Bilinear; valid where all four neighbours are."""
        scale = gsd_m / self.grid.gsd_m
        # Of the first sample's centre, counted from the centre of the mosaic's first pixel.
        x = (west_m - self.grid.west_m) / self.grid.gsd_m + scale / 2 - 0.5
        y = (self.grid.north_m - north_m) / self.grid.gsd_m + scale / 2 - 0.5
        left, top = math.floor(x + 1e-6), math.floor(y + 1e-6)
        width, height = math.ceil(width_px * scale) + 2, math.ceil(height_px * scale) + 2
        rgb, mask = self.crop(left, top, width, height)
        if abs(scale - 1) < 1e-9 and abs(x - left) < 1e-5 and abs(y - top) < 1e-5:
            return rgb[:height_px, :width_px], mask[:height_px, :width_px]
        affine = np.array([[scale, 0.0, x - left], [0.0, scale, y - top]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sampled = cv2.warpAffine(
            rgb, affine, (width_px, height_px), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        whole = cv2.warpAffine(
            mask * np.uint8(255), affine, (width_px, height_px), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        return sampled.astype(np.uint8, copy=False), whole >= 254


def _decoded(
    data: AnyArray,
    offsets: NDArray[np.int64],
    mask_row: NDArray[np.int32],
    masks: NDArray[np.uint8],
    block: int,
) -> Pixels:
    """The pixels of a block and their validity."""
    content = data[offsets[block] : offsets[block + 1]].tobytes()
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
            size = picture.size
            rgb = np.asarray(picture.convert("RGB")) if size == (BLOCK_PX, BLOCK_PX) else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged_block(block, str(error)) from error
    if rgb is None:
        raise _damaged_block(block, f"{size[0]}x{size[1]} pixels")
    row = int(mask_row[block])
    if row == _FULL:
        return rgb, np.ones((BLOCK_PX, BLOCK_PX), np.bool_)
    mask = np.unpackbits(masks[row]).reshape(BLOCK_PX, BLOCK_PX).astype(np.bool_)
    return rgb * mask[:, :, None], mask


def _averaged(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], fine: int) -> Pixels:
    """Means of the valid ones among fine x fine samples; valid where at least half of them are."""
    if fine == 1:
        return rgb * mask[:, :, None], mask
    size = (mask.shape[1] // fine, mask.shape[0] // fine)
    if mask.all():
        means = cv2.resize(rgb.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.rint(means).astype(np.uint8), np.ones(size[::-1], np.bool_)
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    valid = share >= 0.5
    means = cv2.resize((rgb * mask[:, :, None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    means = means / np.maximum(share, 0.5)[:, :, None] * valid[:, :, None]
    return np.clip(np.rint(means), 0, 255).astype(np.uint8), valid


def _damaged_block(block: int, reason: str) -> GalleryError:
    return GalleryError(
        f"block {block} of the map's pixels cannot be decoded ({reason}); rebuild it with build_gallery"
    )


class MosaicWriter:
    """Compresses a mosaic, one row of blocks after the other, from the north.

    Args:
        grid: Where the pixels will lie.
    """

    def __init__(self, grid: PixelGrid) -> None:
        self._grid = grid
        self._blocks: list[bytes] = []
        self._mask_row: list[int] = []
        self._masks: list[NDArray[np.uint8]] = []

    def add_row(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        """The next 256 x W x 3 uint8 pixels and their 256 x W bool validity; W = 256 * columns."""
        for left in range(0, self._grid.columns * BLOCK_PX, BLOCK_PX):
            self._add(rgb[:, left : left + BLOCK_PX], mask[:, left : left + BLOCK_PX])

    def _add(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        if not mask.any():
            self._mask_row.append(EMPTY)
            self._blocks.append(b"")
            return
        if mask.all():
            self._mask_row.append(_FULL)
        else:
            self._mask_row.append(len(self._masks))
            self._masks.append(np.packbits(mask))
            # JPEG smears over edges: beside the mean of the map less than beside black.
            rgb = np.where(mask[:, :, None], rgb, rgb[mask].mean(axis=0).astype(np.uint8))
        encoded = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(rgb)).save(encoded, "JPEG", quality=_JPEG_QUALITY)
        self._blocks.append(encoded.getvalue())

    def finish(self) -> Mosaic:
        """The mosaic of all rows."""
        lengths = [len(block) for block in self._blocks]
        masks = np.array(self._masks, np.uint8).reshape(-1, BLOCK_PX * BLOCK_PX // 8)
        return Mosaic(
            grid=self._grid,
            data=np.frombuffer(b"".join(self._blocks), np.uint8),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            mask_row=np.array(self._mask_row, np.int32),
            masks=masks,
        )
