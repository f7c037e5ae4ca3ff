"""Batches in which no place occurs twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class UniquePlaceSampler:
    """An endless stream of places in which every run of `batch_size` that `draw` gives has no repeats.

    A place seen twice in a batch would make InfoNCE push a true match away. All places come once per pass,
    in an order that changes with each pass.

    Raises:
        ConfigError: There are fewer places than a batch needs.
    """

    def __init__(self, places: int, batch_size: int, rng: np.random.Generator) -> None:
        if batch_size > places:
            raise ConfigError(
                f"a batch of {batch_size} places cannot be drawn from {places}: lower batch_size or the share"
            )
        self._places, self._batch_size, self._rng = places, batch_size, rng
        self._queue: list[int] = []

    def draw(self) -> NDArray[np.int64]:
        """The next batch: int64 array of `batch_size` different places."""
        batch: list[int] = []
        put_back: list[int] = []
        while len(batch) < self._batch_size:
            if not self._queue:
                self._queue = self._rng.permutation(self._places).tolist()
            place = self._queue.pop()
            (put_back if place in batch else batch).append(place)
        self._queue.extend(put_back)  # those of the next pass that this batch already had
        return np.array(batch, np.int64)


def split_batch(batch_size: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers of pairs per source, in proportion to the shares, that add up to the batch.

    Largest remainders first, so that nothing depends on the sources' order but ties.
    """
    exact = [batch_size * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
    for index in by_remainder[: batch_size - sum(counts)]:
        counts[index] += 1
    return counts
