"""Which places of a gallery look alike, before any flight: of each tile the foreign tile most like it.

A frame is less similar to its own tile than the tile is to itself: season, light, blur and the errors of attitude
and height bring its descriptor nearer to those of all tiles alike. Of the lead 1 - s that a tile has over a foreign
one of similarity s, a frame keeps a share, the retention, which frames of known place tell. Where the odds that the
localizer's model makes of what is left, exp(retention (1 - s) / temperature), are below those that
`gate.min_probability` asks for, a typical frame cannot tell the two places apart by its descriptor alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import GateSettings
    from lkpan_ros.localization.gallery import Gallery

_BLOCK = 2048  # tiles; two blocks of descriptors and what they make of each other are some 150 MB
_LEAST_LEAD = (
    0.05  # of a look-alike more similar than 1 less this, a frame's lead says nothing of the retention
)


@dataclass(frozen=True, eq=False)
class LookAlikes:
    """Of each of N tiles the foreign tile most like it.

    Attributes:
        tile: (N,) int64, its row in the gallery; -1: no tile of the gallery is foreign.
        similarity: (N,) float32, of the two descriptors; -inf where there is none.
        distance_m: (N,) float64, between the two centres; inf where there is none.
        foreign_m: A tile whose centre is further away than this is foreign.
    """

    tile: NDArray[np.int64]
    similarity: NDArray[np.float32]
    distance_m: NDArray[np.float64]
    foreign_m: float

    def within(self, lead: float) -> NDArray[np.bool_]:
        """(N,) bool: whether the tile's lead over its look-alike is below one that `least_lead` gave."""
        return np.asarray(1.0 - self.similarity < lead)


def foreign_distance_m(gallery: Gallery, gate: GateSettings) -> float:
    """From where on another tile shows another place: two footprints apart, and never right for a true fix.

    Tiles closer than their size share pixels, and a fix within `gate.radius_m` of either may be right for both if
    they are closer than twice that.
    """
    return max(gallery.tile_size_m, 2.0 * gate.radius_m)


def find_look_alikes(
    gallery: Gallery, foreign_m: float, progress: Callable[[int], object] = lambda _: None
) -> LookAlikes:
    """Compare all pairs of tiles, block by block, each pair once; exact.

    Args:
        gallery: Of N tiles; the work grows with N squared, the memory does not.
        foreign_m: See `foreign_distance_m`.
        progress: Called with a number of pairs of blocks each time that many are done; there are `block_pairs`.
    """
    count = len(gallery)
    tile, similarity = np.full(count, -1, np.int64), np.full(count, -np.inf, np.float32)
    starts = range(0, count, _BLOCK)
    for first in starts:
        rows = np.arange(first, min(first + _BLOCK, count))
        ours = gallery.descriptors(rows)
        for second in starts[first // _BLOCK :]:
            columns = np.arange(second, min(second + _BLOCK, count))
            alike = ours @ (ours if second == first else gallery.descriptors(columns)).T
            alike[_near(gallery.positions_m[rows], gallery.positions_m[columns], foreign_m)] = -np.inf
            _keep_best(tile, similarity, rows, columns, alike)
            if second != first:
                _keep_best(tile, similarity, columns, rows, alike.T)
            progress(1)
    distance_m = np.linalg.norm(gallery.positions_m - gallery.positions_m[tile], axis=1)
    return LookAlikes(tile, similarity, np.where(tile < 0, np.inf, distance_m), foreign_m)


def block_pairs(count: int) -> int:
    """How many steps `find_look_alikes` takes for a gallery of so many tiles."""
    blocks = math.ceil(count / _BLOCK)
    return blocks * (blocks + 1) // 2


def _near(one_m: NDArray[np.float64], other_m: NDArray[np.float64], radius_m: float) -> NDArray[np.bool_]:
    """A x B bool: whether (A, 2) and (B, 2) points are within the radius."""
    apart_m2 = sum((one_m[:, axis, None] - other_m[None, :, axis]) ** 2 for axis in (0, 1))
    return np.asarray(apart_m2 <= (radius_m + 1e-6) ** 2)


def _keep_best(
    tile: NDArray[np.int64],
    similarity: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    alike: NDArray[np.float32],
) -> None:
    """Of each row the best column, where it is better than what is known."""
    best = alike.argmax(axis=1)
    value = alike[np.arange(len(rows)), best]
    better = value > similarity[rows]
    tile[rows[better]], similarity[rows[better]] = columns[best[better]], value[better]


def retention(
    descriptors: NDArray[np.float32], centres_m: NDArray[np.float64], gallery: Gallery, alike: LookAlikes
) -> float | None:
    """What share of its tile's lead over the look-alike a typical frame keeps.

    Args:
        descriptors: (F, D) float32, unit length, of frames whose place is known.
        centres_m: (F, 2) float64, east and north of their views' centres; the nearest tile is a frame's own.
        gallery: The gallery.
        alike: Its look-alikes.

    Returns:
        The median over the frames, at least 0; None: no frame's tile has a look-alike that it can be told from.
    """
    shares = []
    for descriptor, centre in zip(descriptors, centres_m, strict=True):
        own = int(np.linalg.norm(gallery.positions_m - centre, axis=1).argmin())
        lead = 1.0 - float(alike.similarity[own])
        if alike.tile[own] >= 0 and lead > _LEAST_LEAD:
            right, foreign = gallery.descriptors(np.array([own, alike.tile[own]])) @ descriptor
            shares.append(float(right - foreign) / lead)
    return max(0.0, float(np.median(shares))) if shares else None


def least_lead(retained: float, temperature: float, gate: GateSettings) -> float:
    """The lead that a tile needs over its look-alike.

    Args:
        retained: The share of it that a frame keeps.
        temperature: Similarity difference that changes the odds by e.
        gate: What odds are asked for.
    """
    if retained <= 0.0 or gate.min_probability >= 1.0:
        return math.inf
    if gate.min_probability <= 0.0:
        return -math.inf
    odds = gate.min_probability / (1.0 - gate.min_probability)
    return temperature * math.log(odds) / retained
