"""Ranks of true matches in the scores of one query, by counting what lies ahead of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 16  # thresholds that are cheaper to count one by one
_WIDEST = 1e38  # of a range that float32 can measure
_CELLS = 1 << 13  # of the range of a query's scores; a cell's number fits uint16


class RankCounter:
    """Counts the scores ahead of true matches.

    Buffers are made once, as fresh memory would cost more than the counting; so one counter serves one thread.

    Args:
        size: Scores of a query, G.
    """

    def __init__(self, size: int) -> None:
        self._mask = np.empty(size, np.bool_)
        self._shifted = np.empty(size, np.float32)
        self._narrow = np.empty(size, np.uint16)
        self._cells = np.empty(size, np.intp)

    def ranks(
        self, row: NDArray[np.float32], true: NDArray[np.float32], low: float, high: float, tolerance: float
    ) -> NDArray[np.int64]:
        """Ascending 0-based ranks of the true matches.

        Args:
            row: All scores of a query, from low to high.
            true: Those of its true matches, ascending.
            low: Least score.
            high: Greatest score.
            tolerance: As in `training.metrics.rank_scores`.
        """
        thresholds = true - np.float32(tolerance)
        mask = np.greater_equal(row, thresholds[0], out=self._mask)
        count = np.count_nonzero(mask)
        if count <= len(row) // 4:  # as a trained encoder has it: the rest lies behind every true match
            row, low = row[np.flatnonzero(mask)], float(thresholds[0])
        if len(true) > _FEW and high - low < _WIDEST:
            below = self._share_a_pass(row, thresholds, low, high)
        else:
            mask = self._mask[: len(row)]
            below = np.array([np.count_nonzero(np.less(row, t, out=mask)) for t in thresholds])
        right = len(true) - np.searchsorted(true, thresholds)
        return (len(row) - below - right)[::-1] + np.arange(len(true))

    def _share_a_pass(
        self, row: NDArray[np.float32], thresholds: NDArray[np.float32], low: float, high: float
    ) -> NDArray[np.int64]:
        """How many scores lie below each of many thresholds (54 drone images of a place).

        The range is cut into equal cells and the scores of each are counted; only those in a cell with a threshold
        are compared. Rounding is monotone, so a score in a lower cell is a lower score.
        """
        size = len(row)
        shifted, narrow, cells, mask = (
            self._shifted[:size],
            self._narrow[:size],
            self._cells[:size],
            self._mask[:size],
        )
        start, scale = np.float32(low), np.float32((_CELLS - 1) / max(high - low, 1e-30))
        np.subtract(row, start, out=shifted)
        np.multiply(shifted, scale, out=shifted)
        np.copyto(narrow, shifted, casting="unsafe")  # in two steps: twice as fast
        np.copyto(cells, narrow)
        at = np.clip((thresholds - start) * scale, 0, _CELLS - 1).astype(np.intp)
        counts = np.bincount(cells, minlength=_CELLS)
        counts[at] = 0
        shared = np.zeros(_CELLS, np.bool_)
        shared[at] = True
        near = np.sort(row[np.flatnonzero(shared.take(cells, out=mask, mode="wrap"))])
        return counts.cumsum()[at] + np.searchsorted(near, thresholds)
