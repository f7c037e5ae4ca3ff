"""How similar a view is to places where it is not: what a similarity has to exceed to mean anything.

That depends on the map, the camera and the day, so it is read off each view, over a fixed sample of the gallery. Of the
sample the most similar twentieth counts, the tail from which look-alikes come, without what lies about its very best,
which may be the place itself. A tile of a larger gallery has more rivals, whose best rises by about a standard deviation
of that tail whenever they become e times as many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

_SAMPLE = 1024  # tiles
_TAIL, _LEAST = 0.05, 10  # share of the sample and number of tiles that count
_RIVALS = 5000  # tiles of the galleries that the odds were calibrated with, about
_LEAST_SPREAD = 0.005  # a gallery of one tile, or of tiles that are all alike, has none


@dataclass(frozen=True)
class Chance:
    """What similarities to foreign places are like.

    Attributes:
        mean: Of the tail.
        spread: Its standard deviation, above 0.
    """

    mean: float
    spread: float

    def exceeded_by(self, similarity: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """By how many standard deviations similarities lie above it, float64."""
        above: NDArray[np.float64] = (np.asarray(similarity, np.float64) - self.mean) / self.spread
        return above


class Background:
    """The sample of a gallery; the same for the same gallery.

    Args:
        gallery: Sampled evenly in the order of its tiles.
    """

    def __init__(self, gallery: Gallery) -> None:
        count = min(len(gallery), _SAMPLE)
        tiles = np.linspace(0, len(gallery) - 1, count).round().astype(np.int64)
        self._descriptors = gallery.descriptors(tiles)  # C x D
        self._positions_m = gallery.positions_m[tiles]
        self._apart_m = gallery.tile_size_m
        self._rivals = max(0.0, math.log(max(len(gallery), 1) / _RIVALS))

    def chance(self, descriptors: NDArray[np.float32]) -> Chance:
        """Of a view.

        Args:
            descriptors: (R, D) float32, unit length: the view, turned R ways; the best of them counts, as in a search.
        """
        similarity = self._foreign((self._descriptors @ descriptors.T).max(axis=1))
        counted = min(len(similarity), max(_LEAST, math.ceil(_TAIL * len(similarity))))
        tail = np.partition(similarity, len(similarity) - counted)[-counted:].astype(np.float64)
        spread = max(float(tail.std()), _LEAST_SPREAD)
        return Chance(float(tail.mean()) + spread * self._rivals, spread)

    def _foreign(self, similarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Without the tiles that show ground of the best one, where others are left."""
        best_m = self._positions_m[similarity.argmax()]
        apart = np.abs(self._positions_m - best_m).max(axis=1) >= self._apart_m
        return similarity[apart] if np.count_nonzero(apart) >= _LEAST else similarity
