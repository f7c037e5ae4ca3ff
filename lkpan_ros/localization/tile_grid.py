"""Where the tiles of a gallery lie: a metric grid over a map, on whole pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkpan_ros.errors import ConfigError, MapError
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.mosaic import BLOCK_PX, TILE_PX_RANGE, PixelGrid

if TYPE_CHECKING:
    from lkpan_ros.localization.raster import MapSource

DEFAULT_TILE_PX = 256  # at most, unless a GSD is asked for
_MAX_TILES = 100_000_000  # 500 GB of descriptors of the smallest variant: a mistake in stride or CRS


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a gallery lie on the pixels of its mosaic.

    Attributes:
        pixels: The mosaic's pixels.
        tile_size_m: Side of a tile.
        stride_m: Distance between neighbouring tiles; each lies on whole pixels, so up to half a pixel beside it.
        tile_px: Side of a tile, pixels.
        lefts: Left column of each column of tiles, pixels.
        tops: Top row of each row of tiles, pixels.
    """

    pixels: PixelGrid
    tile_size_m: float
    stride_m: float
    tile_px: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]

    def center_m(self, left: int, top: int) -> tuple[float, float]:
        """East and north of the centre of the tile at these pixels."""
        half = self.tile_px / 2
        east_m = self.pixels.west_m + (left + half) * self.pixels.gsd_m
        return east_m, self.pixels.north_m - (top + half) * self.pixels.gsd_m


def plan(source: MapSource, tile_size_m: float, stride_m: float, gsd_m: float | None = None) -> TileGrid:
    """Lay tiles over a map, as many as fit, in the middle of its extent.

    Args:
        source: The map.
        tile_size_m: Side of a tile.
        stride_m: Distance between neighbouring tiles.
        gsd_m: Side of a pixel, rounded so that a tile has a whole number of them. None: the map's own, or what gives
            tiles of 256 pixels where that is coarser.

    Raises:
        ConfigError: A number is not positive, or the tiles would have too few or too many pixels.
        MapError: The map is smaller than a tile, or there would be millions of tiles.
    """
    tile_px = _tile_px(source, tile_size_m, stride_m, gsd_m)
    exact_m = tile_size_m / tile_px
    bounds = source.local_bounds(LocalFrame(source.center))
    width_m, height_m = bounds.east - bounds.west, bounds.north - bounds.south
    # A hundredth of a pixel is forgiven: a map of exactly one tile must not hang on the last digit of its projection.
    width_px, height_px = math.floor(width_m / exact_m + 0.01), math.floor(height_m / exact_m + 0.01)
    if min(width_px, height_px) < tile_px:
        raise MapError(
            f"{source.name}: the map is {width_m:.1f} x {height_m:.1f} m, smaller than one tile of {tile_size_m:g} m; "
            "give a larger map or a smaller --tile-size-m"
        )
    _check_count(source, width_m, height_m, tile_size_m, stride_m)
    pixels = PixelGrid(
        west_m=bounds.west + (width_m - width_px * exact_m) / 2,
        north_m=bounds.north - (height_m - height_px * exact_m) / 2,
        gsd_m=exact_m,
        columns=math.ceil(width_px / BLOCK_PX),
        rows=math.ceil(height_px / BLOCK_PX),
    )
    stride_px = stride_m / exact_m
    lefts, tops = _spread(width_px - tile_px, stride_px), _spread(height_px - tile_px, stride_px)
    return TileGrid(pixels, tile_size_m, stride_m, tile_px, lefts, tops)


def _tile_px(source: MapSource, tile_size_m: float, stride_m: float, gsd_m: float | None) -> int:
    """Side of a tile, pixels."""
    for name, value in (("tile_size_m", tile_size_m), ("stride_m", stride_m), ("gsd_m", gsd_m)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{name} = {value}: give a positive number of metres")
    wanted_m = gsd_m or max(source.gsd_m, tile_size_m / DEFAULT_TILE_PX)
    tile_px = round(tile_size_m / wanted_m)
    if not TILE_PX_RANGE[0] <= tile_px <= TILE_PX_RANGE[1]:
        raise ConfigError(
            f"tiles of {tile_size_m:g} m at {wanted_m:g} m a pixel have {tile_px} pixels a side; choose tile size and "
            f"GSD so that it is {TILE_PX_RANGE[0]} to {TILE_PX_RANGE[1]} (the map's own GSD is {source.gsd_m:.3g} m)"
        )
    return tile_px


def _check_count(
    source: MapSource, width_m: float, height_m: float, tile_size_m: float, stride_m: float
) -> None:
    tiles = (width_m - tile_size_m + stride_m) * (height_m - tile_size_m + stride_m) / stride_m**2
    if tiles > _MAX_TILES:
        raise MapError(
            f"{source.name}: {width_m / 1e3:.1f} x {height_m / 1e3:.1f} km at a stride of {stride_m:g} m are about "
            f"{tiles:.3g} tiles, more than {_MAX_TILES}; use a smaller map or a larger --stride-m"
        )


def _spread(room_px: int, stride_px: float) -> tuple[int, ...]:
    """Whole pixels from 0 to `room_px`, a stride apart, as many as fit, in the middle."""
    count = math.floor(room_px / stride_px + 1e-6) + 1
    first = (room_px - (count - 1) * stride_px) / 2
    return tuple(min(room_px, max(0, round(first + i * stride_px))) for i in range(count))
