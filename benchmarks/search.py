"""Looking a view up among 10,000 to 1,000,000 tiles: the index that `build_gallery --index auto` makes, beside exact search.

Contenders, a view at a time, one thread each (its processor time, so that a busy machine disturbs little):

- exact float32: `faiss.IndexFlatIP`. It holds at most 400 million numbers in memory; over more tiles its time is that of the
  tiles it holds times their share, since it reads all of them for every view.
- exact float16: `ExactIndex`, a gallery's own exhaustive search; likewise.
- ours: the 100 best tiles, as the localizer asks for them, from the index that `choose_spec` names for this size, built and
  tuned by `build_index` with views, thinned out by finer codes and ranked by full descriptors that lie in a mapped file (in
  the page cache, where they fit). Once in turns with exact search, which reads gigabytes and so empties the processor's
  caches, and once view after view.

Recall is against exact search, on views that neither trained nor tuned anything. `benchmarks.search_data` says what the
descriptors are and how like real ones they are. Besides:

- ours within a radius, as `Gallery.search(near=...)` finds the tiles there, beside the distances of all tiles.
- opening: a gallery of a million tiles, from its file (in the page cache) to the first answer.

    python -m benchmarks.search [--tiles 10000 100000 1000000] [--dims 2560 8192] [--work DIR]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from benchmarks.measuring import Row, in_turns, publish, ratios
from benchmarks.search_data import (
    LITE,
    Sample,
    grown_tiles,
    grown_views,
    likeness,
    positions_m,
    real_sample,
)
from benchmarks.search_opening import opening
from benchmarks.search_picture import VIEW_AFTER_VIEW, case_of, draw
from lkpan_model.whole_file import write_whole
from lkpan_ros.localization import index_tuning
from lkpan_ros.localization.gallery_index import EXACT, CompressedIndex, ExactIndex
from lkpan_ros.localization.gallery_info import IndexInfo
from lkpan_ros.localization.index_build import MEMORY_BYTES, build_index, choose_spec
from lkpan_ros.localization.tile_places import TilePlaces
from lkpan_ros.tools.trial_site import STRIDE_M

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery_index import TileIndex

PICTURE = Path(__file__).parents[1] / "docs" / "search.png"
CANDIDATES = 100
HELD_NUMBERS = 400_000_000
VIEWS, TUNED_WITH = 200, 256
RADII_M = (30.0, 300.0, 1000.0, 3000.0)
PLACES_BYTES = 32  # of a tile, in `TilePlaces` and the gallery's positions
BAR_TILES, BAR_BYTES, BAR_RECALL, BAR_RATIO, BAR_GROWTH = 1_000_000, 512, 0.99, 50.0, 3.0


def measure(
    sample: Sample, tiles: NDArray[np.float16], turns: int, folder: Path
) -> tuple[list[Row], dict[str, Any]]:
    """Build, try and time the index of some tiles."""
    index, info, blob, build_s = _built(tiles, grown_views(sample, tiles, TUNED_WITH, 1))
    views = grown_views(sample, tiles, VIEWS, 2)
    times, answers = [], []
    for view in views:
        began = time.thread_time()
        answers.append(index.search(view[None], CANDIDATES)[1][0])
        times.append((time.thread_time() - began) * 1e3)
    found = np.array(answers)
    best = index_tuning.exact_best(tiles, views, CANDIDATES)
    facts: dict[str, Any] = {
        "dim": tiles.shape[1],
        "tiles": len(tiles),
        "index": info.spec,
        "probes": info.probes,
        "refined": info.refined,
        "shortlist": info.shortlist,
        "recall_at_10_stated": info.recall_at_10,
        "build_s": build_s,
        "bytes_per_tile": info.bytes_per_tile + PLACES_BYTES,
        "views": VIEWS,
        "recall_at_1": _recall(best, found, 1),
        "recall_at_10": _recall(best, found, 10),
        "recall_at_100": _recall(best, found, CANDIDATES),
        "ms_p50": float(np.percentile(times, 50)),
        "ms_p99": float(np.percentile(times, 99)),
    }
    if blob is not None and tiles.shape == (BAR_TILES, LITE):
        facts["opening"] = opening(tiles, info, blob, views[0], folder / "opening.gallery", CANDIDATES)
    print({name: round(v, 4) if isinstance(v, float) else v for name, v in facts.items()}, flush=True)
    return [*_beside_exact(index, tiles, views, turns), *_near(index, tiles, views, turns)], facts


def _recall(best: NDArray[np.int64], found: NDArray[np.int64], depth: int) -> float:
    """Share of the best so many that are found among the first so many."""
    return float(index_tuning.found(found[:, :depth], best[:, :depth]).mean())


def _built(
    tiles: NDArray[np.float16], views: NDArray[np.float32]
) -> tuple[TileIndex, IndexInfo, NDArray[np.uint8] | None, float]:
    """The index that `auto` makes, and the seconds that it took."""
    count, dim = tiles.shape
    spec = choose_spec(count, dim, MEMORY_BYTES)
    began = time.perf_counter()
    if spec == EXACT:
        return (
            ExactIndex(tiles),
            IndexInfo(EXACT, bytes_per_tile=2.0 * dim),
            None,
            time.perf_counter() - began,
        )
    info, blob = build_index(tiles, spec, views, lambda step: print(f"  {step}", file=sys.stderr))
    return CompressedIndex(blob, info, tiles), info, blob, time.perf_counter() - began


def _beside_exact(
    index: TileIndex, tiles: NDArray[np.float16], views: NDArray[np.float32], turns: int
) -> list[Row]:
    """The three contenders in turns."""
    count, dim = tiles.shape
    held = min(count, HELD_NUMBERS // dim)
    half = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    exact = {"exact float32": faiss.IndexFlatIP(dim), "exact float16": half}
    for start in range(0, held, 16_384):
        piece = tiles[start : min(held, start + 16_384)].astype(np.float32)
        for one in exact.values():
            one.add(piece)
    view = itertools.cycle(views)
    contenders: dict[str, Callable[[], object]] = {
        name: partial(lambda one: one.search(next(view)[None], CANDIDATES), one)
        for name, one in exact.items()
    }
    contenders["ours"] = lambda: index.search(next(view)[None], CANDIDATES)
    faiss.omp_set_num_threads(1)
    ms = _milliseconds(contenders, turns)
    for name in exact:
        ms[name] = [value * count / held for value in ms[name]]
    case = case_of(dim, count)
    peer = ms["exact float32"]
    return [
        Row(case, "exact float32", peer, "ms"),
        Row(case, "exact float16", ms["exact float16"], "ms", ratios(peer, ms["exact float16"])),
        Row(case, "ours", ms["ours"], "ms", ratios(peer, ms["ours"])),
    ]


def _near(
    index: TileIndex, tiles: NDArray[np.float16], views: NDArray[np.float32], turns: int
) -> Iterator[Row]:
    """Search within a radius about the middle of the map."""
    count, dim = tiles.shape
    places_m = positions_m(count)
    places, middle_m = TilePlaces(places_m, STRIDE_M), np.median(places_m, axis=0)
    east_m, north_m = (float(value) for value in middle_m)
    for radius_m in RADII_M:

        def by_cells(radius_m: float = radius_m) -> None:
            among = places.within(east_m, north_m, radius_m)
            index.search(views[:1], min(CANDIDATES, len(among)), among)

        def by_distances(radius_m: float = radius_m) -> None:
            among = np.flatnonzero(np.hypot(*(places_m - middle_m).T) <= radius_m)
            index.search(views[:1], min(CANDIDATES, len(among)), among)

        ms = _milliseconds({"distances of all tiles": by_distances, "ours": by_cells}, turns)
        case = f"{dim} numbers, {count:,} tiles, {len(places.within(east_m, north_m, radius_m)):,} within {radius_m:g} m"
        peer = ms["distances of all tiles"]
        yield Row(case, "distances of all tiles", peer, "ms")
        yield Row(case, "ours", ms["ours"], "ms", ratios(peer, ms["ours"]))


def _milliseconds(contenders: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    seconds = in_turns(contenders, turns, time.thread_time)
    return {name: [value * 1e3 for value in values] for name, values in seconds.items()}


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tiles", type=int, nargs="+", default=[10_000, 100_000, BAR_TILES], help="ascending")
    add("--dims", type=int, nargs="+", default=[LITE, 8192])
    add("--worlds", type=int, default=4, help="real ones that the others are mixed of")
    add("--turns", type=int, default=7)
    add("--most-gb", type=float, default=10.0,
        help="larger files of descriptors are left out (1,000,000 tiles of 8192 numbers are 16.4 GB)")  # fmt: skip
    add("--work", type=Path, default=Path(tempfile.gettempdir()) / "lkpan_search",
        help="folder for descriptors (5 GB for 1,000,000 tiles of 2560 numbers, 16 GB of 8192) and for the findings of "
        "each size, with which a run that was stopped goes on; delete it to start anew")  # fmt: skip
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    sample = real_sample(options.work / "real", options.worlds)
    found = []
    for dim in options.dims:
        counts = [count for count in options.tiles if 2e-9 * dim * count <= options.most_gb]
        found += [_kept(options.work, sample, dim, count, max(counts), options.turns) for count in counts]
        for count in set(options.tiles) - set(counts):
            print(
                f"left out: {case_of(dim, count)}, more than --most-gb {options.most_gb:g}", file=sys.stderr
            )
    rows = [row for rows, _ in found for row in rows]
    facts = [fact for _, fact in found]
    rows += _bars(facts, rows)
    draw(facts, rows, PICTURE)
    settings = {name: value for name, value in vars(options).items() if name != "work"}
    return publish("search", rows, settings, {"sizes": facts, "likeness": _likeness(sample, options.work)})


def _kept(
    folder: Path, sample: Sample, dim: int, count: int, most: int, turns: int
) -> tuple[list[Row], dict[str, Any]]:
    """The findings of one size, from an earlier run if there are any; the first of the `most` tiles that are grown."""
    path, tiles = folder / f"found_{dim}_{count}.json", folder / f"tiles_{dim}.f16"
    if not path.exists():
        rows, fact = measure(sample, grown_tiles(sample, tiles, most, dim)[:count], turns, folder)
        content = json.dumps({"rows": [asdict(row) for row in rows], "fact": fact})
        write_whole(path, content.encode())
    if count == most:
        tiles.unlink(missing_ok=True)
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**row) for row in content["rows"]], content["fact"]


def _bars(facts: list[dict[str, Any]], rows: list[Row]) -> Iterator[Row]:
    """Ours view after view, and what is asked of a million tiles of `lite`."""
    at = {(fact["dim"], fact["tiles"]): fact for fact in facts}
    for (dim, count), fact in at.items():
        case, p50 = case_of(dim, count), fact["ms_p50"]
        exact = next(row.values for row in rows if (row.case, row.contender) == (case, "exact float32"))
        is_asked = (dim, count) == (LITE, BAR_TILES)
        faster = [value / p50 for value in exact]
        yield Row(case, VIEW_AFTER_VIEW, [p50], "ms", faster, at_least=BAR_RATIO if is_asked else None)
        if is_asked:
            yield Row(case, "memory", [fact["bytes_per_tile"]], "bytes a tile", at_most=BAR_BYTES)
            missed = 1.0 - fact["recall_at_10"]
            yield Row(case, "missed of the best ten", [missed], "share", at_most=1.0 - BAR_RECALL)
        if is_asked and (tenth := at.get((dim, count // 10))):
            growth = p50 / tenth["ms_p50"]
            yield Row(case, "time beside a tenth of the tiles", [growth], "times", at_most=BAR_GROWTH)


def _likeness(sample: Sample, folder: Path) -> dict[str, Any]:
    """Grown descriptors beside as many real ones."""
    real = sample.tiles.reshape(-1, sample.tiles.shape[-1])
    grown = grown_tiles(sample, folder / "likeness.f16", len(real), LITE)
    views = grown_views(sample, grown, len(sample.views), 5)
    figures = {"real": likeness(real, sample.views), "grown": likeness(grown, views)}
    (folder / "likeness.f16").unlink()
    return figures


if __name__ == "__main__":
    sys.exit(main())
