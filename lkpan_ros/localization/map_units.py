"""The parts of a map that are read and described one after the other, or on several machines.

A unit is some blocks of the mosaic and the tiles that begin in them. Its tiles reach into its neighbours, whose pixels it
reads too, so that no unit waits for another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.mosaic import BLOCK_PX, Mosaic, MosaicWriter, PixelGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid

MIN_VALID_SHARE = 0.8  # a tile with less of the map in it is left out
_ROWS, _COLUMNS = 2, 32  # blocks: some hundred tiles, a few seconds of work


@dataclass(frozen=True)
class Unit:
    """Blocks of a mosaic.

    Attributes:
        row: Of the first, from the north.
        column: Of the first, from the west.
        rows: How many.
        columns: How many.
    """

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class UnitPixels:
    """The map of a unit.

    Attributes:
        rgb: H x W x 3 uint8, from the north-west corner of the unit's blocks to the end of its last tile.
        corners: (T, 2) int64, row and column in `rgb` where each tile begins that has enough of the map in it.
        positions_m: (T, 2) float64, east and north of the centres of these tiles.
        left_out: How many tiles have not.
        tile_px: Side of a tile.
        mosaic: The unit's blocks.
    """

    rgb: NDArray[np.uint8]
    corners: NDArray[np.int64]
    positions_m: NDArray[np.float64]
    left_out: int
    tile_px: int
    mosaic: Mosaic

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of all that its descriptors and its part of the mosaic come from."""
        digest = hashlib.sha256(f"{self.rgb.shape} {self.tile_px}\n".encode())
        for array in (self.rgb, self.corners, self.positions_m, self.mosaic.mask_row, self.mosaic.masks):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def images(self, first: int, end: int) -> list[NDArray[np.uint8]]:
        """Some of the tiles, tile_px x tile_px x 3 each."""
        side = self.tile_px
        return [
            np.ascontiguousarray(self.rgb[top : top + side, left : left + side])
            for top, left in self.corners[first:end]
        ]


def units(grid: TileGrid) -> list[Unit]:
    """All units of a map, row by row from the north-west."""
    pixels = grid.pixels
    return [
        Unit(row, column, min(_ROWS, pixels.rows - row), min(_COLUMNS, pixels.columns - column))
        for row in range(0, pixels.rows, _ROWS)
        for column in range(0, pixels.columns, _COLUMNS)
    ]


def read_unit(source: MapSource, grid: TileGrid, unit: Unit) -> UnitPixels:
    """Read and warp the map of a unit, and compress its blocks.

    Raises:
        MapError: The map is damaged.
    """
    pixels, frame = grid.pixels, LocalFrame(source.center)
    top, left = unit.row * BLOCK_PX, unit.column * BLOCK_PX
    height, width = unit.rows * BLOCK_PX, unit.columns * BLOCK_PX
    tops = [start - top for start in grid.tops if top <= start < top + height]
    lefts = [start - left for start in grid.lefts if left <= start < left + width]
    read_height = max([height, *(start + grid.tile_px for start in tops if lefts)])
    read_width = max([width, *(start + grid.tile_px for start in lefts if tops)])
    west_m, north_m = pixels.west_m + left * pixels.gsd_m, pixels.north_m - top * pixels.gsd_m
    rgb, mask = source.read_local(frame, west_m, north_m, read_width, read_height, pixels.gsd_m)
    corners = np.array([(y, x) for y in tops for x in lefts], np.int64).reshape(-1, 2)
    side = grid.tile_px
    enough = np.array(
        [mask[y : y + side, x : x + side].mean() >= MIN_VALID_SHARE for y, x in corners], np.bool_
    )
    centers = [grid.center_m(left + int(x), top + int(y)) for y, x in corners[enough]]
    writer = MosaicWriter(PixelGrid(west_m, north_m, pixels.gsd_m, unit.columns, unit.rows))
    for start in range(0, height, BLOCK_PX):
        writer.add_row(rgb[start : start + BLOCK_PX, :width], mask[start : start + BLOCK_PX, :width])
    return UnitPixels(
        rgb=rgb,
        corners=corners[enough],
        positions_m=np.array(centers, np.float64).reshape(-1, 2),
        left_out=int((~enough).sum()),
        tile_px=side,
        mosaic=writer.finish(),
    )
