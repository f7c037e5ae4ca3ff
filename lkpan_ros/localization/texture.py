"""How much there is to see on each tile of a gallery.

Contrast is what `view.min_contrast` asks for; a tile may have it from a slow change of light alone. Registration
lives on edges, so their strength is measured too, at the scale of a pixel of the tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

# Grey levels per pixel. The noise of an ordinary camera alone has 0.4 to 0.8, still water 0.5, a mown meadow 2.
LEAST_GRADIENT = 1.0
_TILES_AT_ONCE = 64  # of a row; bounds the memory for maps of any width


@dataclass(frozen=True, eq=False)
class Texture:
    """Of each of N tiles.

    Attributes:
        contrast: (N,) float64, standard deviation of its grey values (0..255).
        gradient: (N,) float64, root mean square of their gradient, grey levels per pixel.
    """

    contrast: NDArray[np.float64]
    gradient: NDArray[np.float64]

    def lacking(self, min_contrast: float, min_gradient: float = LEAST_GRADIENT) -> NDArray[np.bool_]:
        """(N,) bool: whether a tile has too little of either."""
        return np.asarray((self.contrast < min_contrast) | (self.gradient < min_gradient))


def measure_texture(gallery: Gallery, progress: Callable[[int], object] = lambda _: None) -> Texture:
    """Measure all tiles, in strips of the map that some tiles of a row share.

    Args:
        gallery: Of N tiles.
        progress: Called with a number of tiles each time that many are done.

    Raises:
        GalleryError: The map's pixels are damaged.
    """
    contrast, gradient = np.zeros(len(gallery)), np.zeros(len(gallery))
    corners = _corners_px(gallery)
    for tiles in _strips(corners):
        left, top = int(corners[tiles, 0].min()), int(corners[tiles[0], 1])
        width = int(corners[tiles, 0].max()) - left + gallery.tile_px
        rgb, mask = gallery.mosaic.crop(left, top, width, gallery.tile_px)
        contrast[tiles], gradient[tiles] = _of_strip(rgb, mask, corners[tiles, 0] - left, gallery.tile_px)
        progress(len(tiles))
    return Texture(contrast, gradient)


def _corners_px(gallery: Gallery) -> NDArray[np.int64]:
    """(N, 2) int64, column and row of each tile's north-west pixel in the mosaic."""
    grid, half_m = gallery.mosaic.grid, gallery.tile_size_m / 2
    west_north = gallery.positions_m + np.array([-half_m, half_m])
    steps = (west_north - (grid.west_m, grid.north_m)) * (1.0, -1.0) / grid.gsd_m
    return np.asarray(np.rint(steps), np.int64)


def _strips(corners: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Tiles of the same row of pixels, from west to east, some at a time."""
    order = np.lexsort((corners[:, 0], corners[:, 1]))
    breaks = np.flatnonzero(np.diff(corners[order, 1])) + 1
    for start, end in pairwise([0, *breaks.tolist(), len(order)]):
        for first in range(start, end, _TILES_AT_ONCE):
            yield order[first : min(first + _TILES_AT_ONCE, end)]


def _of_strip(
    rgb: NDArray[np.uint8], mask: NDArray[np.bool_], lefts: NDArray[np.int64], tile_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contrast and gradient of squares that begin at some columns of a strip of their height."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    # Edges and not the grain; in float, since rounding to grey levels would make grain of its own.
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    east = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1.0 / 8.0)
    south = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1.0 / 8.0)
    inner = (
        cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    )  # what the map's edge does not touch
    level = grey.astype(np.float64)

    def total(values: NDArray[np.number[Any]]) -> NDArray[np.float64]:
        sums = np.concatenate([[0.0], np.cumsum(values.sum(axis=0))])
        return np.asarray(sums[lefts + tile_px] - sums[lefts])

    known, inside = total(mask.astype(np.float64)).clip(1.0), total(inner.astype(np.float64)).clip(1.0)
    mean = total(level * mask) / known
    variance = (total(level**2 * mask) / known - mean**2).clip(0.0)
    energy = total((east**2 + south**2) * inner.astype(np.float64)) / inside
    return np.sqrt(variance), np.sqrt(energy)
