"""A flight out of the map and back: the map is a part of the world, the camera flies over the rest too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.mosaic import BLOCK_PX, Mosaic, MosaicWriter
from lkpan_ros.localization.raster import Bounds
from lkpan_ros.simulation.trajectory import Excursion

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INSIDE_M = 250.0  # the flight begins and ends so far within the map
_RADIUS_M = 60.0  # of the turn
_SEEN_M = 160.0  # how far the camera sees beyond where it is
_LEAST_MAP_M = 150.0


@dataclass(frozen=True, eq=False)
class ExcursionPlan:
    """What of the world is the map, and the way out of it.

    Attributes:
        bounds: Of the map, in the world's frame: the world without a strip along one of its sides.
        way: From within the map straight across that side and back.
    """

    bounds: Bounds
    way: Excursion


def plan_excursion(seed: int, size_m: float, excursion_m: float) -> ExcursionPlan:
    """Lay an excursion into a square world about the origin; the seed chooses side and place.

    Args:
        seed: Of side and place.
        size_m: Side of the world.
        excursion_m: How far beyond the map's edge its outermost point lies.

    Raises:
        ConfigError: The world is too small for a map and such a strip beside it.
    """
    half = size_m / 2
    edge_m = half - excursion_m - _SEEN_M  # from the origin, in the direction of the way out
    if not (excursion_m > _RADIUS_M and edge_m + half >= _LEAST_MAP_M):
        raise ConfigError(
            f"an excursion of {excursion_m:g} m in a world of {size_m:g} m: give more than {_RADIUS_M:g} m, and a "
            f"world of at least {excursion_m + _SEEN_M + _LEAST_MAP_M:g} m"
        )
    rng = np.random.default_rng([seed, 0xE5])
    quarter = int(rng.integers(4))
    across_m = float(rng.uniform(-1.0, 1.0)) * max(half - _SEEN_M - 2 * _RADIUS_M, 0.0) - _RADIUS_M
    inside_m = min(_INSIDE_M, edge_m + half - _LEAST_MAP_M / 2)
    ahead = np.array([(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)][quarter])
    right = np.array([ahead[1], -ahead[0]])
    start = ahead * (edge_m - inside_m) + right * across_m
    west, south = np.where(ahead < 0, -edge_m, -half)
    east, north = np.where(ahead > 0, edge_m, half)
    return ExcursionPlan(
        Bounds(float(west), float(south), float(east), float(north)),
        Excursion(start, 90.0 * quarter, inside_m + excursion_m, _RADIUS_M),
    )


def outside_m(points_m: NDArray[np.float64], bounds: Bounds) -> NDArray[np.float64]:
    """How far (N, 2) points lie outside of a rectangle, (N,) float64, along the axis on which they do most.

    Within it the number is negative: the distance to the nearest side.
    """
    low, high = np.array([bounds.west, bounds.south]), np.array([bounds.east, bounds.north])
    distance: NDArray[np.float64] = np.maximum(low - points_m, points_m - high).max(axis=-1)
    return distance


def part_of(gallery: Gallery, bounds: Bounds) -> Gallery:
    """The tiles that lie within a rectangle of the gallery's frame, with their descriptors, and the pixels within it."""
    farthest_m = outside_m(gallery.positions_m, bounds) + gallery.tile_size_m / 2
    tiles = np.flatnonzero(farthest_m <= gallery.gsd_m)  # tiles lie up to half a pixel beside their places
    return Gallery(
        replace(gallery.info, source_name=f"a part of {gallery.info.source_name}"),
        gallery.descriptors(tiles).astype(np.float16),
        gallery.positions_m[tiles],
        _mosaic_within(gallery.mosaic, bounds),
    )


def _mosaic_within(mosaic: Mosaic, bounds: Bounds) -> Mosaic:
    """The same grid, its pixels outside of the rectangle unknown."""
    grid = mosaic.grid
    writer, width = MosaicWriter(grid), grid.columns * BLOCK_PX
    east = grid.west_m + (np.arange(width) + 0.5) * grid.gsd_m
    north = grid.north_m - (np.arange(grid.rows * BLOCK_PX) + 0.5) * grid.gsd_m
    column_within = (east >= bounds.west) & (east <= bounds.east)
    row_within = (north >= bounds.south) & (north <= bounds.north)
    for top in range(0, len(north), BLOCK_PX):
        rgb, mask = mosaic.crop(0, top, width, BLOCK_PX)
        writer.add_row(rgb, mask & row_within[top : top + BLOCK_PX, None] & column_within)
    return writer.finish()
