"""From descriptors to a compressed index: which one, trained, and set so that it finds what exact search finds.

How well it does is measured with held-out views, not promised: `IndexInfo` says the recall, and of how many views.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import faiss
import numpy as np

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.gallery_index import EXACT, THREADS, parts
from lkpan_ros.localization.gallery_info import IndexInfo
from lkpan_ros.localization.held_out_views import held_out_views
from lkpan_ros.localization.index_tuning import candidates_of, cheapest, exact_best, found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.gallery_index import Rows
    from lkpan_ros.localization.gallery_pieces import PatchEncoder

AUTO = "auto"
MEMORY_BYTES = 2**31  # of the computer on board, for the index
_EXACT_NUMBERS = 2**27  # up to here an exhaustive search takes some 10 ms
_BESIDES_BYTES = 56  # of a tile, in any index: its number, its position, its cell, its part of the centres
_PIECE = 16_384  # descriptors
_SAMPLE_NUMBERS = 2**26  # of the descriptors that an index is trained with
_PER_LIST = 48  # projected descriptors that a list is trained with
_QUERIES = 512  # views, with which an index is tuned and its recall is measured
_BEST = 100  # as many as the localizer asks for
# How many axes descriptors are projected to, and how many bits each number has in the finer codes; 0: there are none.
_CODES = ((256, 8), (256, 4), (192, 4), (256, 0), (192, 0), (128, 0), (64, 0))
_WHERE = re.compile(r"^Error in .* at \S+:\d+: ")  # in FAISS, of what it says
_FINER = (faiss.IndexFlat, faiss.IndexScalarQuantizer, faiss.IndexPQ)
_MOST_LISTS_LOG2 = 13  # more take longer to train than they save


def with_index(
    gallery: Gallery,
    encoder: PatchEncoder,
    spec: str,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[str], object] = lambda _: None,
) -> Gallery:
    """The same gallery with an index of `build_index`, tried with held-out views of its map.

    Raises:
        ConfigError: As `build_index`.
    """
    count, dim = gallery.rows.shape
    spec = choose_spec(count, dim, memory_bytes) if spec == AUTO else spec
    if spec == EXACT:
        return gallery.indexed(IndexInfo(EXACT, bytes_per_tile=2.0 * dim), None)
    progress(f"describing {_QUERIES} views that are no tiles")
    queries = encoder.encode(list(held_out_views(gallery, _QUERIES)))
    return gallery.indexed(*build_index(gallery.rows, spec, queries, progress))


def build_index(
    rows: Rows,
    spec: str,
    queries: NDArray[np.float32],
    progress: Callable[[str], object] = lambda _: None,
) -> tuple[IndexInfo, NDArray[np.uint8]]:
    """Make a compressed index of descriptors.

    Args:
        rows: (N, D) float16, unit length; read piece by piece.
        spec: A FAISS factory string.
        queries: (Q, D) float32, unit length, at least 2: views that are no tiles, with which the recall is measured.
        progress: Called with what begins.

    Returns:
        What it is, and the index, serialized, (B,) uint8.

    Raises:
        ConfigError: The string names no index, or none that so few descriptors can train.
    """
    progress(f"training {spec}")
    faiss.omp_set_num_threads(THREADS)
    with _told(spec, *rows.shape):
        index = _filled(rows, spec)
    progress("measuring recall")
    best = exact_best(rows, queries, min(_BEST, len(rows)))
    # Tuned with one half of the views, measured with the other.
    effort = cheapest(index, rows.shape[1], queries[::2], best[::2])
    hits = found(candidates_of(index, effort, queries[1::2]), best[1::2, :10])
    blob: NDArray[np.uint8] = faiss.serialize_index(index)
    info = IndexInfo(
        spec,
        effort.probes,
        effort.refined,
        effort.shortlist,
        recall_at_1=float(hits[:, 0].mean()),
        recall_at_10=float(hits.mean()),
        queries=len(hits),
        bytes_per_tile=blob.size / len(rows),
    )
    return info, blob


def choose_spec(count: int, dim: int, memory_bytes: int) -> str:
    """`exact` where that is fast and fits, else an inverted file of projected descriptors, 4 bits for each two numbers.

    Such codes are compared in registers (André, Kermarrec, Le Scouarnec, "Cache locality is not enough", 2015), so that a
    search can afford the many lists that hold the best tiles of a view. Where there is room, the best of them are ranked
    by 8 or 4 bits for each number, so that few full descriptors need be read.

    Raises:
        ConfigError: Nothing fits into the memory.
    """
    if count * dim <= _EXACT_NUMBERS and 2 * count * dim <= memory_bytes:
        return EXACT
    sizes = {(axes, bits): _index_bytes(count, dim, axes, bits) for axes, bits in _CODES}
    fitting = [code for code, size in sizes.items() if size <= memory_bytes and code[0] <= min(count, dim)]
    if not fitting:
        raise ConfigError(
            f"{count} tiles do not fit into {memory_bytes / 1e6:.3g} MB of memory: "
            f"allow {math.ceil(min(sizes.values()) / 1e5) / 10:g} MB or more, or take a smaller map or a larger stride"
        )
    axes, bits = fitting[0]
    short_enough, trainable = round(math.log2(count) / 2 + 2), int(math.log2(count / _PER_LIST))
    lists = 2 ** max(4, min(short_enough, trainable, _MOST_LISTS_LOG2))
    finer = f",Refine(SQ{bits})" if bits else ""
    return f"PCA{axes},IVF{lists},PQ{axes // 2}x4fsr{finer}"


def _index_bytes(count: int, dim: int, axes: int, bits: int) -> int:
    """Memory of an index of so many axes, with so many bits for each number in the finer codes."""
    return count * (axes * (2 + bits) // 8 + _BESIDES_BYTES) + 4 * axes * dim


def check_spec(spec: str, count: int, dim: int, memory_bytes: int) -> None:
    """Whether there is an index of so many descriptors of this length, before any work is done.

    Raises:
        ConfigError: There is not.
    """
    spec = choose_spec(count, dim, memory_bytes) if spec == AUTO else spec
    if spec == EXACT:
        return
    with _told(spec, count, dim):
        axes, inner = _untrained(spec, count, dim)
        inverted = faiss.try_extract_index_ivf(inner)
        if max(axes or 0, inverted.nlist if inverted else 0) > count:
            raise RuntimeError("more lists or axes than descriptors")


@contextmanager
def _told(spec: str, count: int, dim: int) -> Iterator[None]:
    """Turns what FAISS says of a factory string, or of too few descriptors, into words."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"--index {spec}: FAISS makes no such index of {count} descriptors of length {dim} "
            f"({_WHERE.sub('', str(error).splitlines()[0])}); give auto, exact or another factory string"
        ) from error


def _untrained(spec: str, count: int, dim: int) -> tuple[int | None, faiss.Index]:
    """How many axes descriptors are projected to (None: they are not), and the index of what this gives."""
    if re.search(r"[A-Za-z]0(?!\d)", spec):
        raise RuntimeError("there is something 0 times")  # which FAISS may not survive
    projection = re.match(r"PCA(\d+),", spec)
    if projection is None:
        return None, _made(dim, spec)
    axes = int(projection[1])
    if axes > min(count, dim):
        raise RuntimeError(f"{axes} axes of {count} descriptors of length {dim}")
    return axes, _made(axes, spec[projection.end() :])


def _made(dim: int, spec: str) -> faiss.Index:
    """What FAISS makes of a factory string, without what ends the process later."""
    index = faiss.index_factory(dim, spec, faiss.METRIC_INNER_PRODUCT)
    inner = parts(index)
    finer = [faiss.downcast_index(part.refine_index) for part in inner if isinstance(part, faiss.IndexRefine)]
    if len(finer) > 1 or not all(isinstance(codes, _FINER) for codes in finer):
        raise RuntimeError("finer codes are SQ, PQ or Flat, once: Refine(SQ8)")
    if isinstance(inner[-1], faiss.IndexIDMap):
        raise RuntimeError("tiles have their numbers")  # noqa: TRY004 - as FAISS says what it does not take
    return index


def _filled(rows: Rows, spec: str) -> faiss.Index:
    index = _trained(rows, spec)
    for start in range(0, len(rows), _PIECE):
        index.add(rows[start : start + _PIECE].astype(np.float32))
    return index


def _trained(rows: Rows, spec: str) -> faiss.Index:
    count, dim = rows.shape
    projected, index = _untrained(spec, count, dim)
    _silence(index)
    sample = _sample(rows, _SAMPLE_NUMBERS // dim)
    if projected is None:
        index.train(sample)
        return index
    axes = principal_axes(sample, projected)
    index.train(_sample(rows, _PER_LIST * _lists(index), axes))
    return faiss.IndexPreTransform(_linear(axes), index)


def _silence(index: faiss.Index) -> None:
    """FAISS prints a warning for each clustering of few descriptors; what comes of it is measured here."""
    inner = parts(index)
    inner += [part.refine_index for part in inner if isinstance(part, faiss.IndexRefine)]
    coders = [faiss.downcast_index(part) for part in inner]
    coders += [part.pq for part in coders if hasattr(part, "pq")]
    for coder in coders:
        if hasattr(coder, "cp"):
            coder.cp.min_points_per_centroid = 1


def _lists(index: faiss.Index) -> int:
    inverted = faiss.try_extract_index_ivf(index)
    return 256 if inverted is None else max(256, inverted.nlist)


def _sample(rows: Rows, wanted: int, axes: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Descriptors from all over the map, projected to some axes where these are given."""
    count = len(rows)
    chosen = np.unique(np.linspace(0, count - 1, min(count, max(1, wanted))).astype(np.int64))
    pieces = (rows[chosen[i : i + _PIECE]].astype(np.float32) for i in range(0, len(chosen), _PIECE))
    return np.concatenate([piece if axes is None else piece @ axes.T for piece in pieces])


def principal_axes(sample: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The directions in which descriptors are longest, about the origin: inner products there are what is wanted.

    FAISS's own PCA is about the mean, which adds something to every inner product. Halko, Martinsson, Tropp, "Finding
    structure with randomness" (2011), algorithm 4.4.

    Args:
        sample: (N, D) float32.
        count: How many, at most min(N, D).

    Returns:
        (count, D) float32, orthonormal.
    """
    rng = np.random.default_rng(0)
    width = min(count + 32, *sample.shape)
    basis = rng.standard_normal((sample.shape[1], width), np.float32)
    for _ in range(4):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    axes = basis @ np.linalg.svd(sample @ basis, full_matrices=False)[2].T
    return np.ascontiguousarray(axes.T[:count], np.float32)


def _linear(axes: NDArray[np.float32]) -> faiss.LinearTransform:
    count, dim = axes.shape
    transform = faiss.LinearTransform(dim, count, False)
    faiss.copy_array_to_vector(axes.ravel(), transform.A)
    transform.is_trained = True
    return transform
