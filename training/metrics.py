"""Retrieval metrics. Ranks are counted, not sorted.

The rank of a true match is the number of gallery entries ahead of it, and every metric follows from the ranks of a
query's true matches. To count what lies ahead is one pass over the scores; to sort them costs 10 to 100 times as much.

A tie never flatters: a wrong entry whose score equals that of a true match stands ahead of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.rank_counter import RankCounter

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

# Equal images must tie in whatever order a matrix product sums their terms: above the rounding error of a float32
# dot product of two unit vectors of 8192 terms, and far below any difference that means something.
TIE_TOLERANCE = 1e-6
_CHUNK_BYTES = 64 * 2**20
_BLOCK = 8192  # gallery rows per matrix product: bounds the float32 copy of a float16 gallery


@dataclass(frozen=True)
class RetrievalMetrics:
    """Means over the queries, each from 0 to 1; a query without a true match counts as zero in all of them.

    Definitions as in the University-1652 baseline, so that figures compare with published ones.

    Attributes:
        r1: Part of the queries with a true match at the first place.
        r5: Among the first 5.
        r10: Among the first 10.
        r1_percent: Among the first `percent_depth(G)` of a gallery of G.
        ap: Mean average precision, by the trapezoid rule: the i-th true match (i from 0) at 0-based rank r adds
            (p_old + p) / 2 / n_good with p = (i + 1) / (r + 1) and p_old = i / r (1 when r = 0).
    """

    r1: float
    r5: float
    r10: float
    r1_percent: float
    ap: float

    def to_dict(self) -> dict[str, float]:
        """The metrics by name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Ranks:
    """What is kept of each query.

    Attributes:
        first: int64 Q: 0-based rank of the foremost true match; -1 where the gallery holds none.
        average_precision: float64 Q; 0 where the gallery holds no true match.
        gallery_size: G.
    """

    first: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    gallery_size: int

    @classmethod
    def join(cls, parts: Sequence[Ranks]) -> Ranks:
        """The ranks of several parts of the queries against the same gallery as one."""
        first = np.concatenate([part.first for part in parts])
        return cls(first, np.concatenate([part.average_precision for part in parts]), parts[0].gallery_size)

    @property
    def unmatched(self) -> int:
        """Queries without a true match in the gallery."""
        return int((self.first < 0).sum())

    def metrics(self) -> RetrievalMetrics:
        """Means over the queries.

        Raises:
            ValueError: There is no query.
        """
        if not len(self.first):
            raise ValueError("no query to take the mean of")

        def recall(depth: int) -> float:
            return float(((self.first >= 0) & (self.first < depth)).mean())

        percent = recall(percent_depth(self.gallery_size))
        return RetrievalMetrics(
            recall(1), recall(5), recall(10), percent, float(self.average_precision.mean())
        )


class GalleryIndex:
    """Where each place stands in a gallery.

    Args:
        labels: The place that each of the G entries shows.
    """

    def __init__(self, labels: Iterable[Hashable]) -> None:
        self._entries: dict[Hashable, list[int]] = {}
        self.size = 0
        for self.size, label in enumerate(labels, 1):
            self._entries.setdefault(label, []).append(self.size - 1)

    def matches(self, label: Hashable) -> NDArray[np.intp]:
        """Ascending positions of the entries that show a place; none if the gallery lacks it."""
        return np.array(self._entries.get(label, ()), np.intp)


def percent_depth(gallery_size: int) -> int:
    """How many entries R@1% looks at: round(G / 100) + 1.

    The baseline reads its cumulative curve, whose entry 0 is R@1, at index round(0.01 G): 11 of 951 and 515 of
    51,355. Every published figure is taken so.
    """
    return round(gallery_size * 0.01) + 1


def rank_scores(
    scores: NDArray[np.float32], labels: Sequence[Hashable], index: GalleryIndex, tolerance: float = 0.0
) -> Ranks:
    """Ranks of the true matches in given scores.

    Args:
        scores: Q x G, larger is more alike.
        labels: The place of each query.
        index: The places of the gallery.
        tolerance: A wrong entry less than this below a true match counts as a tie too, so it stands ahead.

    Raises:
        ValueError: The shape is not Q x G, or a score is not finite.
    """
    if scores.shape != (len(labels), index.size) or not index.size:
        raise ValueError(
            f"scores {scores.shape} must be {len(labels)} queries x {index.size} entries, at least 1"
        )
    first, precision = np.full(len(labels), -1, np.int64), np.zeros(len(labels))
    counter, found = RankCounter(index.size), []
    low, high = scores.min(axis=1).tolist(), scores.max(axis=1).tolist()  # not finite where any score is not
    if not np.isfinite(low + high).all():
        raise ValueError("there are scores that are not finite")
    for query, label in enumerate(labels):
        row, matches = scores[query], index.matches(label)
        if len(matches):
            ranks = counter.ranks(row, np.sort(row[matches]), low[query], high[query], tolerance)
            first[query] = ranks[0]
            found.append(ranks)
    if found:
        precision[first >= 0] = average_precision(found)
    return Ranks(first, precision, index.size)


def rank_queries(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32] | NDArray[np.float16],
    query_labels: Sequence[Hashable],
    gallery_labels: Iterable[Hashable],
    *,
    tolerance: float = TIE_TOLERANCE,
    chunk_bytes: int = _CHUNK_BYTES,
) -> Ranks:
    """Ranks of the true matches by the dot product of descriptors, in bounded memory.

    Args:
        queries: Q x D.
        gallery: G x D; may be a memory map.
        query_labels: The place of each query.
        gallery_labels: The place of each entry.
        tolerance: As in `rank_scores`.
        chunk_bytes: Most memory for scores at a time; the whole Q x G is never made. At least one row is.

    Raises:
        ValueError: The shapes differ, or a score is not finite.
    """
    index = GalleryIndex(gallery_labels)
    if len(gallery) != index.size or not index.size or not len(queries):
        raise ValueError(
            f"{len(queries)} queries, {len(gallery)} entries with {index.size} labels: give as many labels as "
            "entries, and at least one of each"
        )
    rows = max(1, chunk_bytes // (4 * index.size))
    parts = [
        rank_scores(similarity(queries[i : i + rows], gallery), query_labels[i : i + rows], index, tolerance)
        for i in range(0, len(queries), rows)
    ]
    return Ranks.join(parts)


def similarity(
    queries: NDArray[np.float32], gallery: NDArray[np.float32] | NDArray[np.float16]
) -> NDArray[np.float32]:
    """Dot products Q x G of Q x D and G x D, float32 throughout."""
    scores = np.empty((len(queries), len(gallery)), np.float32)
    for start in range(0, len(gallery), _BLOCK):
        block = np.asarray(gallery[start : start + _BLOCK], np.float32)
        np.matmul(queries, block.T, out=scores[:, start : start + _BLOCK])
    return scores


def average_precision(ranks: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Trapezoid average precision of each query.

    Args:
        ranks: For each query the ascending 0-based ranks of all its true matches, at least 1.
    """
    counts = [len(found) for found in ranks]
    starts = np.cumsum([0, *counts[:-1]])
    flat = np.concatenate(ranks)
    earlier = np.arange(len(flat)) - np.repeat(starts, counts)  # true matches ahead of each
    before = np.where(flat == 0, 1.0, earlier / np.maximum(flat, 1))
    return np.add.reduceat((before + (earlier + 1) / (flat + 1)) / 2, starts) / counts


def recall_at(
    similarity: NDArray[np.float32], positive: NDArray[np.bool_], ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Part of the queries with a true match among their k most similar gallery entries.

    A query without any true match counts as a miss; of equal similarities the first stands first.

    Args:
        similarity: Q x G, larger is more alike.
        positive: Q x G, True where the gallery entry shows the query's place.
        ks: Depths; one beyond G means the whole gallery.

    Raises:
        ValueError: The shapes differ or there is no query.
    """
    if similarity.shape != positive.shape or similarity.ndim != 2 or not len(similarity):
        raise ValueError(f"similarity {similarity.shape} and positive {positive.shape} must be alike, Q x G")
    order = np.argsort(-similarity, axis=1, kind="stable")  # Q x G
    hits = np.take_along_axis(positive, order, axis=1)  # Q x G
    return {k: float(hits[:, :k].any(axis=1).mean()) for k in ks}
