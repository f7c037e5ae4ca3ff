"""How tiles are looked up by their descriptors: exhaustively, or by a compressed index and the full ones of its best.

A compressed index keeps in memory what tells roughly how similar each tile is; the candidates that it names, which finer
codes may have thinned out (`Refine(...)`), are ranked anew by their full descriptors, which may stay in the file. All
similarities that are given out are exact.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import faiss
import numpy as np

from lkpan_ros.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery_info import IndexInfo
    from lkpan_ros.localization.stored_array import JoinedArray, StoredArray

    Rows = NDArray[np.float16] | StoredArray | JoinedArray  # N x D
    Ranking = tuple[NDArray[np.float32], NDArray[np.int64]]  # R x K similarities, best first, and tiles

EXACT = "exact"
THREADS = faiss.omp_get_max_threads()
_ADDED_AT_ONCE = 16_384  # bounds the float32 copy
_THREADED_NUMBERS = 2**26  # over more numbers than this an exhaustive search uses all cores
_ROWS_AT_ONCE = 1024  # whose numbers stay in the processor's cache
_FEW = 8192  # tiles that are compared one by one sooner than an index is asked for them


class TileIndex(Protocol):
    """Finds the tiles most similar to a view."""

    @property
    def rows(self) -> Rows:
        """The descriptors, (N, D) float16."""

    def search(
        self, queries: NDArray[np.float32], count: int, among: NDArray[np.int64] | None = None
    ) -> Ranking:
        """The best tiles for each of some views.

        Args:
            queries: (R, D) float32.
            count: How many for each, at least 1 and at most as many as there are.
            among: Only these tiles, in ascending order; None: all.

        Returns:
            R x K similarities and tiles, best first, K <= count.
        """


class ExactIndex:
    """Compares a view with every tile. See `TileIndex`.

    Half the memory of float32, a quarter of its time, and the same ranks but for ties.

    Args:
        rows: (N, D) descriptors, copied.
    """

    def __init__(self, rows: Rows | NDArray[np.float32]) -> None:
        count, dim = rows.shape
        self._index = _comparer(dim)
        for start in range(0, count, _ADDED_AT_ONCE):
            piece = rows[start : start + _ADDED_AT_ONCE]
            self._index.add(np.ascontiguousarray(piece, np.float32))
        self.rows: NDArray[np.float16] = np.asarray(_Codes(self._index))

    def search(
        self, queries: NDArray[np.float32], count: int, among: NDArray[np.int64] | None = None
    ) -> Ranking:
        """See `TileIndex.search`."""
        if among is not None and len(among) * 8 < len(self.rows):
            return ranked_rows(self.rows, queries, count, among)
        # Threads that wait for cores held by the encoder cost 40 ms where one thread needs 2.
        faiss.omp_set_num_threads(1 if self.rows.size < _THREADED_NUMBERS else THREADS)
        similarity, tile = self._index.search(queries, count, params=_only(among, len(self.rows)))
        return similarity, tile


class _Codes:
    """The numbers in an index as an array that keeps the index alive."""

    def __init__(self, index: faiss.IndexScalarQuantizer) -> None:
        self._index = index
        address = faiss.rev_swig_ptr(index.codes.data(), 1).ctypes.data
        self.__array_interface__ = {
            "data": (address, True), "shape": (index.ntotal, index.d), "typestr": "<f2", "version": 3,
        }  # fmt: skip


class CompressedIndex:
    """Takes the candidates from a FAISS index, and ranks them by their full descriptors. See `TileIndex`.

    Args:
        blob: (B,) uint8, what `faiss.serialize_index` made; not copied. Of a file that was checked.
        info: What it is.
        rows: (N, D) descriptors, which are not copied if they are float16.

    Raises:
        GalleryError: It is no such index.
    """

    def __init__(self, blob: NDArray[np.uint8], info: IndexInfo, rows: Rows | NDArray[np.float32]) -> None:
        self.rows = rows.astype(np.float16, copy=False) if isinstance(rows, np.ndarray) else rows
        self._blob, self._info = blob, info  # FAISS reads the blob in place: keep it
        try:
            with _bounded(blob.size):
                self._index = faiss.read_index(_reader(blob))
        except (RuntimeError, MemoryError) as error:
            raise self._damaged(error) from error
        finer = refinement(self._index)
        if (self._index.ntotal, self._index.d) != rows.shape:
            raise GalleryError(
                f"an index of {self._index.ntotal} descriptors of length {self._index.d} cannot serve {rows.shape}; "
                "rebuild it with build_gallery"
            )
        if finer is not None and finer.refine_index.ntotal != len(rows):  # FAISS would read beyond them
            raise self._damaged(f"it has finer codes of {finer.refine_index.ntotal} tiles of {len(rows)}")
        self._lists = faiss.try_extract_index_ivf(self._index)
        set_effort(self._index, info.probes, min(info.refined, len(rows)) / max(1, info.shortlist))

    def search(
        self, queries: NDArray[np.float32], count: int, among: NDArray[np.int64] | None = None
    ) -> Ranking:
        """See `TileIndex.search`; some of the best may be missed, as the recall of `info` says."""
        if among is not None and (len(among) <= _FEW or self._lists is None):
            return ranked_rows(self.rows, queries, count, among)
        faiss.omp_set_num_threads(1)
        shortlist = min(max(self._info.shortlist, count), len(self.rows) if among is None else len(among))
        try:
            candidates = self._index.search(queries, shortlist, params=self._restriction(among))[1]
        except (RuntimeError, MemoryError) as error:
            raise self._damaged(error) from error
        if candidates.max(initial=-1) >= len(self.rows):
            raise self._damaged(f"it has tile {candidates.max()} of {len(self.rows)}")
        # What one view finds may be good for the others too, of which some find nothing in a small area.
        return ranked_rows(self.rows, queries, count, np.unique(candidates[candidates >= 0]))

    def _damaged(self, why: object) -> GalleryError:
        reason = " ".join(str(why).split())
        return GalleryError(
            f"its index {self._info.spec} is damaged ({reason}); rebuild it with build_gallery"
        )

    def _restriction(self, among: NDArray[np.int64] | None) -> Any:
        """Of the search to some tiles: as many of them are looked at as of all tiles without it."""
        if among is None:
            return None
        share = len(among) / len(self.rows)
        assert self._lists is not None  # asked by `search`
        probes = min(self._lists.nlist, int(np.ceil(self._info.probes / share)))
        within: Any = faiss.SearchParametersIVF(  # type: ignore[call-arg]
            sel=_selector(among, len(self.rows)), nprobe=probes
        )
        for part in reversed(parts(self._index)[:-1]):
            if isinstance(part, faiss.IndexRefine):
                within = faiss.IndexRefineSearchParameters(  # type: ignore[call-arg]
                    k_factor=part.k_factor, base_index_params=within
                )
            else:
                within = faiss.SearchParametersPreTransform(index_params=within)  # type: ignore[call-arg]
        return within


@contextmanager
def _bounded(size: int) -> Iterator[None]:
    """No part of a blob has more bytes or entries than the blob, whatever its headers say. The limits are of the process."""
    names = ("vector_byte_limit", "loop_limit")
    before = [getattr(faiss, f"get_deserialization_{name}")() for name in names]
    try:
        for name in names:
            getattr(faiss, f"set_deserialization_{name}")(size)
        yield
    finally:
        for name, limit in zip(names, before, strict=True):
            getattr(faiss, f"set_deserialization_{name}")(limit)


def _reader(blob: NDArray[np.uint8]) -> Any:
    """What FAISS reads a blob with, in place."""
    return faiss.ZeroCopyIOReader(faiss.swig_ptr(blob), blob.size)  # type: ignore[attr-defined]


def set_effort(index: faiss.Index, probes: int, widening: float) -> None:
    """How much of an index a search looks at.

    Args:
        index: Changed.
        probes: Lists of an inverted file, nodes of a graph; 0: it has no such setting.
        widening: How many times as many candidates finer codes are asked of as are wanted, where it has such codes.
    """
    if probes:
        name = "efSearch" if faiss.try_extract_index_ivf(index) is None else "nprobe"
        faiss.ParameterSpace().set_index_parameter(index, name, probes)
    if (finer := refinement(index)) is not None:
        finer.k_factor = max(1.0, widening)


def refinement(index: faiss.Index) -> faiss.IndexRefine | None:
    """The part that ranks candidates by finer codes, of an index that has one."""
    return next((part for part in parts(index) if isinstance(part, faiss.IndexRefine)), None)


def parts(index: faiss.Index) -> list[faiss.Index]:
    """An index, and what lies behind its projections and finer codes: last what names the candidates."""
    if isinstance(index, faiss.IndexPreTransform):
        return [index, *parts(faiss.downcast_index(index.index))]
    if isinstance(index, faiss.IndexRefine):
        return [index, *parts(faiss.downcast_index(index.base_index))]
    return [index]


def ranked_rows(rows: Rows, queries: NDArray[np.float32], count: int, tiles: NDArray[np.int64]) -> Ranking:
    """The best of some tiles for each view; costs what these tiles cost.

    Args:
        rows: (N, D) descriptors.
        queries: (R, D) float32.
        count: How many at most.
        tiles: (M,) int64, which of the rows.
    """
    comparer = _comparer(rows.shape[1])
    faiss.omp_set_num_threads(1)
    similarity: list[NDArray[np.float32]] = [np.empty((len(queries), 0), np.float32)]
    found: list[NDArray[np.int64]] = [np.empty((len(queries), 0), np.int64)]
    for start in range(0, len(tiles), _ROWS_AT_ONCE):
        piece = tiles[start : start + _ROWS_AT_ONCE]
        comparer.reset()
        comparer.add_sa_codes(rows[piece].view(np.uint8))
        best, place = comparer.search(queries, min(count, len(piece)))
        similarity.append(best)
        found.append(piece[place])
    every, tile = np.concatenate(similarity, axis=1), np.concatenate(found, axis=1)
    order = np.argsort(-every, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(every, order, axis=1), np.take_along_axis(tile, order, axis=1)


def _comparer(dim: int) -> faiss.IndexScalarQuantizer:
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _only(tiles: NDArray[np.int64] | None, count: int) -> faiss.SearchParameters | None:
    return None if tiles is None else faiss.SearchParameters(sel=_selector(tiles, count))  # type: ignore[call-arg]


def _selector(tiles: NDArray[np.int64], count: int) -> Any:
    chosen = np.zeros(count, np.bool_)
    chosen[tiles] = True
    return faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))  # type: ignore[call-arg,arg-type]
