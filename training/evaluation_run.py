"""One direction of retrieval, from image files to metrics."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation_stream import Crop, Side, describe, read_side
from training.layouts import DataError
from training.metrics import TIE_TOLERANCE, GalleryIndex, Ranks, RetrievalMetrics, rank_scores, similarity
from training.offsets import CENTRE, VARIANTS, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from training.layouts import Direction

_CHUNK_BYTES = 64 * 2**20  # scores at a time

ONE, SUM, BEST = "one_view", "sum_of_4", "best_of_4"  # how the scores of a query's rotations become one
Reading = str
Key = tuple[Crop, Reading]


@dataclass(frozen=True)
class Settings:
    """What is asked of an evaluation.

    Attributes:
        offsets: Also through the centred 3/4 window and the 40 variants of Offset-1652, on the drone side.
        rotations: 1, or 4 quarter turns of each query.
        keep: Which ids to use, of queries and gallery alike.
        workers: Decoding threads; 0 for one a processor.
        memory_bytes: Descriptors (or scores) beyond this go to a temporary file.
    """

    offsets: bool
    rotations: int
    keep: Callable[[str], bool]
    workers: int
    memory_bytes: int

    @property
    def reading(self) -> Reading:
        """The one that is asked for."""
        return ONE if self.rotations == 1 else SUM

    @property
    def keys(self) -> tuple[Key, ...]:
        """Everything that is measured: the whole image in all readings, the crops in the one asked for."""
        whole = (ONE,) if self.rotations == 1 else (ONE, SUM, BEST)
        crops = (CENTRE, *VARIANTS) if self.offsets else ()
        return (*((None, reading) for reading in whole), *((crop, self.reading) for crop in crops))

    @property
    def crops(self) -> tuple[Crop, ...]:
        """The windows that each drone image is seen through."""
        return (None, CENTRE, *VARIANTS) if self.offsets else (None,)


@dataclass(frozen=True)
class Outcome:
    """The figures of one direction.

    Attributes:
        direction: Its name and folders.
        queries, gallery: Number of images of each.
        places: Ids in the gallery.
        unmatched: Queries without a true match in the gallery, which count as zero.
        whole: Of the whole image, by reading.
        reading: The reading of `offsets`, and of `whole` what is to be cited.
        offsets: Of the centre and the 40 variants; empty if not asked for.
        sides_px: Heights and widths of the drone images that were cut; empty if not asked for.
    """

    direction: Direction
    queries: int
    gallery: int
    places: int
    unmatched: int
    whole: dict[Reading, RetrievalMetrics]
    reading: Reading
    offsets: dict[Variant, RetrievalMetrics]
    sides_px: tuple[int, ...]


def evaluate_direction(encoder: Encoder, direction: Direction, settings: Settings) -> Outcome:
    """Rank the gallery for each query of a direction.

    Raises:
        DataError: A folder is missing or empty, an image cannot be decoded, or no query has a true match.
        ModelError: The encoder failed.
        OSError: The temporary file cannot be written.
    """
    queries, gallery = (read_side(folder, settings.keep) for folder in (direction.queries, direction.gallery))
    if not set(queries.labels) & set(gallery.labels):
        raise DataError(
            f"{queries.folder} and {gallery.folder} have no id in common (such as {queries.labels[0]} and "
            f"{gallery.labels[0]}): give two views of the same places"
        )
    drone_is_gallery = settings.offsets and direction.name == "satellite->drone"
    rank = _rank_gallery_through_crops if drone_is_gallery else _rank_streamed_queries
    with TemporaryDirectory(prefix="lkpan-evaluate-", ignore_cleanup_errors=True) as scratch:
        ranks, sides_px = rank(encoder, queries, gallery, settings, Scratch(scratch, settings.memory_bytes))
    metrics = {key: found.metrics() for key, found in ranks.items()}
    return Outcome(
        direction=direction,
        queries=len(queries.labels),
        gallery=len(gallery.labels),
        places=len(set(gallery.labels)),
        unmatched=ranks[None, ONE].unmatched,
        whole={reading: found for (crop, reading), found in metrics.items() if crop is None},
        reading=settings.reading,
        offsets={crop: found for (crop, _), found in metrics.items() if crop is not None},
        sides_px=tuple(sorted(sides_px)) if settings.offsets else (),
    )


Ranked = tuple[dict[Key, Ranks], set[int]]


@dataclass(frozen=True)
class Scratch:
    """Room for large arrays."""

    folder: str
    memory_bytes: int

    def descriptors(self, count: int, dim: int) -> NDArray[np.float32] | NDArray[np.float16]:
        """Count x dim: float32 in memory if it fits, else a float16 file (error of a score about 1e-5)."""
        if 4 * count * dim <= self.memory_bytes:
            return np.empty((count, dim), np.float32)
        return np.memmap(self._reserve("descriptors", 2 * count * dim), np.float16, "r+", shape=(count, dim))

    def scores(self, *shape: int) -> NDArray[np.float32]:
        """float32, in memory if it fits, else in a file."""
        if 4 * int(np.prod(shape)) <= self.memory_bytes:
            return np.empty(shape, np.float32)
        return np.memmap(self._reserve("scores", 4 * int(np.prod(shape))), np.float32, "r+", shape=shape)

    def _reserve(self, name: str, size_bytes: int) -> Path:
        """A file with its blocks already given out: to a map, a full disk is a crash."""
        path = Path(self.folder) / name
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        return path


def _rank_streamed_queries(
    encoder: Encoder, queries: Side, gallery: Side, settings: Settings, scratch: Scratch
) -> Ranked:
    """The gallery is described once and kept; queries are described, ranked and forgotten."""
    kept = scratch.descriptors(len(gallery.paths), encoder.descriptor_dim)
    for part in describe(encoder, gallery, workers=settings.workers):
        kept[part.rows] = part.descriptors[:, 0, 0]
    index = GalleryIndex(gallery.labels)
    found: dict[Key, list[Ranks]] = {key: [] for key in settings.keys}
    sides_px: set[int] = set()
    parts = describe(
        encoder,
        queries,
        settings.crops,
        settings.rotations,
        workers=settings.workers,
        images_at_once=_rows(index.size),
    )
    for part in parts:
        sides_px |= part.sides_px
        for crop, reading in settings.keys:
            turned = part.descriptors[:, settings.crops.index(crop)]  # N x rotations x D
            scores = _read(turned, kept, reading)
            found[crop, reading].append(_rank(scores, queries.labels[part.rows], index, settings))
    return {key: Ranks.join(ranks) for key, ranks in found.items()}, sides_px


def _rank_gallery_through_crops(
    encoder: Encoder, queries: Side, gallery: Side, settings: Settings, scratch: Scratch
) -> Ranked:
    """The drone side is the gallery: 41 galleries of descriptors would be too much, so the scores are kept."""
    turned = np.concatenate(
        [
            part.descriptors[:, 0]
            for part in describe(encoder, queries, rotations=settings.rotations, workers=settings.workers)
        ]
    )  # Q x rotations x D
    kept = scratch.scores(len(settings.keys), len(queries.paths), len(gallery.paths))
    sides_px: set[int] = set()
    for part in describe(encoder, gallery, settings.crops, workers=settings.workers):
        sides_px |= part.sides_px
        for scores, (crop, reading) in zip(kept, settings.keys, strict=True):
            entries = part.descriptors[:, settings.crops.index(crop), 0]
            scores[:, part.rows] = _read(turned, entries, reading)
    index = GalleryIndex(gallery.labels)
    return {
        key: Ranks.join(
            [
                _rank(scores[rows], queries.labels[rows], index, settings)
                for rows in _slices(len(queries.labels), _rows(index.size))
            ]
        )
        for key, scores in zip(settings.keys, kept, strict=True)
    }, sides_px


def _read(
    turned: NDArray[np.float32], gallery: NDArray[np.float32] | NDArray[np.float16], reading: Reading
) -> NDArray[np.float32]:
    """Scores Q x G of queries Q x rotations x D; a sum of similarities is the similarity to the sum."""
    if reading == ONE:
        return similarity(turned[:, 0], gallery)
    if reading == SUM:
        return similarity(turned.sum(axis=1), gallery)
    best = similarity(turned[:, 0], gallery)
    for rotation in range(1, turned.shape[1]):
        np.maximum(best, similarity(turned[:, rotation], gallery), out=best)
    return best


def _rank(
    scores: NDArray[np.float32], labels: Sequence[str], index: GalleryIndex, settings: Settings
) -> Ranks:
    return rank_scores(scores, labels, index, TIE_TOLERANCE * settings.rotations)


def _rows(gallery_size: int) -> int:
    """Queries whose scores are made at a time."""
    return max(1, _CHUNK_BYTES // (4 * gallery_size))


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
