"""How much of a compressed index a search should look at: as little as finds what exact search finds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import faiss
import numpy as np

from lkpan_ros.localization.gallery_index import parts, refinement, set_effort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery_index import Rows

_PIECE = 16_384  # descriptors
# Which share of the best so many shall be found: the ten that count most, and the hundred that the localizer weighs.
_GOALS = ((10, 0.995), (100, 0.97))
_REFINED = (400, 800, 1600, 3200)
_SHORTLISTS = (100, 200, 400, 800, 1600)
_FAR_COST = 4  # a byte of one tile somewhere in memory costs as many as so many of the lists in a row


@dataclass(frozen=True)
class Effort:
    """How much a search looks at: `probes`, `refined` and `shortlist` of `IndexInfo`."""

    probes: int
    refined: int
    shortlist: int


def exact_best(rows: Rows, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The best tiles for each query by comparing all: (Q, count) int64, best first."""
    similarity: NDArray[np.float32] = np.full((len(queries), count), -np.inf, np.float32)
    tile: NDArray[np.int64] = np.zeros((len(queries), count), np.int64)
    everyone = np.arange(len(queries))[:, None]
    for start in range(0, len(rows), _PIECE):
        piece = queries @ rows[start : start + _PIECE].astype(np.float32).T
        kept = min(count, piece.shape[1])
        here = np.argpartition(-piece, kept - 1, axis=1)[:, :kept]
        similarity = np.concatenate([similarity, piece[everyone, here]], axis=1)
        tile = np.concatenate([tile, here + start], axis=1)
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
        similarity, tile = similarity[everyone, order], tile[everyone, order]
    return tile


def cheapest(index: faiss.Index, dim: int, queries: NDArray[np.float32], best: NDArray[np.int64]) -> Effort:
    """With which a search is good and reads least; else with which it finds most.

    Args:
        index: Filled; its settings are changed.
        dim: Length of full descriptors.
        queries: (Q, D) float32.
        best: (Q, K) int64, what exact search finds for them; the best hundred, where there are as many.
    """
    finer = refinement(index)
    finer_bytes = finer.refine_index.sa_code_size() if finer else 0
    lists_bytes = faiss.serialize_index(index).size - index.ntotal * finer_bytes
    most, least, chosen = -1.0, math.inf, Effort(0, 0, min(_SHORTLISTS[-1], index.ntotal))
    for probes, share in _probes(index):
        if most >= 1.0 and share * lists_bytes > least:
            break  # as will be all that follow
        for effort, candidates in _tried(index, probes, queries):
            good = _goodness(found(candidates, best))
            far_bytes = effort.refined * finer_bytes + effort.shortlist * 2 * dim
            read_bytes = share * lists_bytes + _FAR_COST * far_bytes
            if good > most or (good == most and read_bytes < least):
                most, least, chosen = good, read_bytes, effort
    return chosen


def _goodness(hits: NDArray[np.bool_]) -> float:
    """How far the goals are met, 1: they are; of (Q, K) hits as of `found`."""
    return min(1.0, *(float(hits[:, :depth].mean()) / share for depth, share in _GOALS))


def _tried(
    index: faiss.Index, probes: int, queries: NDArray[np.float32]
) -> Iterator[tuple[Effort, NDArray[np.int64]]]:
    """The candidates with so many probes: of a longer shortlist, the first ones are those of a shorter one."""
    lengths = sorted({min(length, index.ntotal) for length in _SHORTLISTS})
    pools = sorted({min(pool, index.ntotal) for pool in _REFINED}) if refinement(index) else [0]
    for pool in pools:
        fitting = [length for length in lengths if not 0 < pool < length]
        longest = candidates_of(index, Effort(probes, pool, fitting[-1]), queries)
        for length in fitting:
            yield Effort(probes, pool, length), longest[:, :length]


def candidates_of(index: faiss.Index, effort: Effort, queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """(Q, shortlist) int64, best first; -1: there are no more."""
    set_effort(index, effort.probes, effort.refined / effort.shortlist)
    candidates: NDArray[np.int64] = index.search(queries, effort.shortlist)[1]
    return candidates


def found(candidates: NDArray[np.int64], best: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(Q, K) bool: which of the best are among the candidates, and so come first once these are ranked anew."""
    return np.array([np.isin(wanted, there) for wanted, there in zip(best, candidates, strict=True)])


def _probes(index: faiss.Index) -> list[tuple[int, float]]:
    """Values of the setting that trades time for recall, and about which share of the codes each looks at."""
    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        powers = range(int(math.log2(lists.nlist)) + 1)
        return [(2**power, 2**power / lists.nlist) for power in powers if power == 0 or 2**power >= 4]
    if isinstance(parts(index)[-1], faiss.IndexHNSW):
        return [(2**power, 2**power * 32 / index.ntotal) for power in range(4, 12)]
    return [(0, 1.0)]
