"""Where the rays of a camera meet a height map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.simulation.ground import Ground

_LAYER_M = 0.8  # distance between the planes on which rays are tested before the hit is narrowed down
_BISECTIONS = 4
_WALL_M = 0.5  # a ray that ends further below the surface has met a wall


@dataclass(frozen=True, eq=False)
class Hits:
    """Where each pixel's ray ends; all arrays are H x W float32.

    Attributes:
        column: Column of the ground's raster (pixel centres at whole numbers).
        row: Row of it.
        above_m: Height of the point above the ground.
        below_top_m: How far the point lies below the top of what was hit; 0 on roofs and open ground.
    """

    column: NDArray[np.float32]
    row: NDArray[np.float32]
    above_m: NDArray[np.float32]
    below_top_m: NDArray[np.float32]


def trace(
    ground: Ground,
    position_m: tuple[float, float, float],
    slope: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> Hits:
    """Follow rays down to the first surface.

    Rays are tested on horizontal planes from the highest roof in view to the ground; the highest plane that
    lies within something bounds the hit, which bisection then narrows to a few centimetres.

    Args:
        ground: With or without heights.
        position_m: East, north and height of the camera.
        slope: H x W x 2, columns and rows of the raster that a ray moves while it falls by one metre.
        seen: H x W, False where a ray does not reach the ground.
    """
    column, row = ground.pixel(position_m[0], position_m[1])
    flat = Hits(
        np.float32(column) + np.float32(position_m[2]) * slope[..., 0],
        np.float32(row) + np.float32(position_m[2]) * slope[..., 1],
        np.zeros(seen.shape, np.float32),
        np.zeros(seen.shape, np.float32),
    )
    if ground.height is None:
        return flat
    origin = (column, row, position_m[2])
    top = min(_highest(ground.height, flat, seen, (column, row)), position_m[2] - 1.0)
    if top <= 0.0:
        return flat
    count = math.ceil(top / _LAYER_M)
    low = np.zeros(seen.shape, np.float32)
    for layer in range(1, count):
        level = np.float32(layer * _LAYER_M)
        inside = _height_at(ground.height, origin, slope, level) >= level
        low[inside] = level
    return _narrow(ground.height, origin, slope, low)


def _narrow(
    height: NDArray[np.float32],
    origin: tuple[float, float, float],
    slope: NDArray[np.float32],
    low: NDArray[np.float32],
) -> Hits:
    """Bisect between the plane within (or the ground) and the plane above it."""
    high = low + np.float32(_LAYER_M)
    for _ in range(_BISECTIONS):
        middle = (low + high) * np.float32(0.5)
        inside = _height_at(height, origin, slope, middle) >= middle
        low = np.where(inside, middle, low)
        high = np.where(inside, high, middle)
    fall = np.float32(origin[2]) - low
    column = np.float32(origin[0]) + fall * slope[..., 0]
    row = np.float32(origin[1]) + fall * slope[..., 1]
    surface = cv2.remap(height, column, row, cv2.INTER_NEAREST)
    below = np.maximum(surface - low - np.float32(_WALL_M), 0.0)
    return Hits(column, row, low, below)


def _height_at(
    height: NDArray[np.float32],
    origin: tuple[float, float, float],
    slope: NDArray[np.float32],
    level: NDArray[np.float32] | np.float32,
) -> NDArray[np.float32]:
    """Height of the surface where each ray passes a level."""
    fall = np.float32(origin[2]) - level
    column = slope[..., 0] * fall
    column += np.float32(origin[0])
    row = slope[..., 1] * fall
    row += np.float32(origin[1])
    return np.asarray(cv2.remap(height, column, row, cv2.INTER_NEAREST))


def _highest(
    height: NDArray[np.float32], flat: Hits, seen: NDArray[np.bool_], foot: tuple[float, float]
) -> float:
    """Top of the highest thing between the camera's foot and what it sees."""
    if not seen.any():
        return 0.0
    rows, columns = height.shape
    left, right = (
        int(np.clip(v, 0, columns))
        for v in (min(flat.column[seen].min(), foot[0]), max(flat.column[seen].max(), foot[0]) + 1)
    )
    up, down = (
        int(np.clip(v, 0, rows))
        for v in (min(flat.row[seen].min(), foot[1]), max(flat.row[seen].max(), foot[1]) + 1)
    )
    if left >= right or up >= down:
        return 0.0
    return float(height[up:down:2, left:right:2].max()) + 1.0
