"""Which tiles lie near a place: a grid of cells, so that a look-up costs what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TilePlaces:
    """The centres of N tiles, by the cell in which they lie.

    Args:
        positions_m: (N, 2) float64, east and north.
        cell_m: Side of a cell; the stride, so that a cell holds about one tile.
    """

    def __init__(self, positions_m: NDArray[np.float64], cell_m: float) -> None:
        self._positions_m, self._cell_m = positions_m, cell_m
        self._low_m = positions_m.min(axis=0)
        cells = ((positions_m - self._low_m) // cell_m).astype(np.int64)
        self._columns, self._rows = (int(size) + 1 for size in cells.max(axis=0))
        cell = cells[:, 1] * self._columns + cells[:, 0]
        self._tiles = np.argsort(cell, kind="stable")
        self._cell = cell[self._tiles]

    def within(self, east_m: float, north_m: float, radius_m: float) -> NDArray[np.int64]:
        """Tiles whose centre lies within a radius of a place, in ascending order."""
        return np.sort(self._pairs(np.array([[east_m, north_m]]), radius_m)[1])

    def any_within(self, places_m: NDArray[np.float64], radius_m: float) -> NDArray[np.bool_]:
        """Of (P, 2) places, whether the centre of a tile lies within a radius; (P,) bool."""
        return np.bincount(self._pairs(places_m, radius_m)[0], minlength=len(places_m)) > 0

    def _pairs(
        self, places_m: NDArray[np.float64], radius_m: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every place with each of its tiles: the rows of both."""
        last = np.array([self._columns - 1, self._rows - 1])
        reach_m = radius_m * (1.0 + 1e-9) + 1e-6  # a tile on the circle is in its cells, whatever is rounded
        # Clipped before they become integers: a place may be anywhere.
        first = np.clip((places_m - reach_m - self._low_m) // self._cell_m, 0, last + 1).astype(np.int64)
        end = np.clip((places_m + reach_m - self._low_m) // self._cell_m, -1, last).astype(np.int64)
        place, row = _ranges(first[:, 1], end[:, 1] + 1)  # the cells of a row lie side by side
        starts = np.searchsorted(self._cell, row * self._columns + first[place, 0], "left")
        ends = np.searchsorted(self._cell, row * self._columns + end[place, 0], "right")
        strip, entry = _ranges(starts, np.maximum(starts, ends))
        place, tile = place[strip], self._tiles[entry]
        near = np.hypot(*(self._positions_m[tile] - places_m[place]).T) <= radius_m
        return place[near], tile[near]


def _ranges(
    starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All integers of some ranges, one range after the other: of which range each is, and the integer."""
    lengths = np.maximum(ends - starts, 0)
    which = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return which, np.arange(int(lengths.sum())) - before[which] + starts[which]
