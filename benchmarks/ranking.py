"""Time to rank a gallery of 51,355 x 8192 (University-1652, satellite->drone): counting beside a per-query argsort.

What is timed, per query, one thread each (its processor time, so that a busy machine disturbs little), given the same
float32 scores:

- argsort: `np.argsort` of the query's scores and nothing else. The ratio that counts is to this.
- baseline: that argsort plus what the University-1652 baseline does with it (find the true matches in the order, add up
  the average precision and the recall curve).
- counting: `training.metrics.rank_scores`, from the scores to the rank and average precision of each query.

The index of the gallery's places, which counting makes once for all queries, is timed on its own. The metrics of
baseline and counting are compared in the same run. The matrix product that makes the scores is timed on its own: the baseline multiplies one query at a time, ours a
chunk of them, so that figures with the product included can be given too.

Cases: 54 true matches a query (a place has 54 drone images) with descriptors as of a trained encoder; the same with
descriptors that know nothing, where true matches lie all over the gallery; and one true match.

    python -m benchmarks.ranking [--queries 701] [--repeats 5] [--gallery 51355] [--dim 8192]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Row, in_turns, publish, ratios
from training.metrics import GalleryIndex, RetrievalMetrics, rank_scores, similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAR = 10.0
IMAGES_PER_PLACE = 54
PRODUCT_QUERIES = 16  # the product takes far longer than the ranking, so fewer queries tell


@dataclass(frozen=True)
class Case:
    """A ranking task: scores Q x G, and the place of each query and entry."""

    name: str
    descriptors: NDArray[np.float32]  # Q x D
    scores: NDArray[np.float32]  # Q x G
    query_places: NDArray[np.int64]
    gallery_places: NDArray[np.int64]
    index: GalleryIndex


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1, in place."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_gallery(rng: np.random.Generator, places: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """`size` x D: the descriptor of a place, and as much again that belongs to the image alone."""
    gallery = rng.standard_normal((size, places.shape[1]), np.float32)
    for start in range(0, size, IMAGES_PER_PLACE):
        gallery[start : start + IMAGES_PER_PLACE] += places[start // IMAGES_PER_PLACE]
    return unit(gallery)


def make_cases(
    rng: np.random.Generator, gallery: NDArray[np.float32], places: NDArray[np.float32], count: int
) -> list[Case]:
    """The cases of the module's docstring."""
    place_of = np.arange(len(gallery)) // IMAGES_PER_PLACE
    asked = rng.permutation(len(places))[:count]
    entries = rng.permutation(len(gallery))[:count]

    def noisy(rows: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
        return unit(rows + amount * rng.standard_normal(rows.shape, np.float32))

    trained = noisy(places[asked], 14.0)
    knows_nothing = noisy(np.zeros_like(trained), 1.0)
    single = noisy(gallery[entries], 0.18)
    everywhere = np.arange(len(gallery))
    return [
        Case(name, queries, similarity(queries, gallery), asked_places, there, GalleryIndex(there.tolist()))
        for name, queries, asked_places, there in (
            ("54 matches, trained", trained, asked, place_of),
            ("54 matches, untrained", knows_nothing, asked, place_of),
            ("1 match", single, entries, everywhere),
        )
    ]


def argsort_alone(case: Case) -> None:
    """The sort by itself."""
    for row in case.scores:
        np.argsort(row)


def baseline(case: Case) -> RetrievalMetrics:
    """Sort, look up the true matches in the order, sum up."""
    curve, precision_sum = np.zeros(len(case.gallery_places)), 0.0
    for row, place in zip(case.scores, case.query_places, strict=True):
        order = np.argsort(row)[::-1]
        good = np.flatnonzero(case.gallery_places == place)
        ranks = np.flatnonzero(np.isin(order, good))
        curve[ranks[0] :] += 1
        for i, rank in enumerate(ranks.tolist()):
            old = i / rank if rank else 1.0
            precision_sum += (old + (i + 1) / (rank + 1)) / 2 / len(ranks)
    curve /= len(case.scores)
    r1, r5, r10, percent = (float(curve[depth]) for depth in (0, 4, 9, round(len(curve) * 0.01)))
    return RetrievalMetrics(r1, r5, r10, percent, precision_sum / len(case.scores))


def counting(case: Case) -> RetrievalMetrics:
    """Ours."""
    return rank_scores(case.scores, case.query_places.tolist(), case.index).metrics()


def product_times(case: Case, gallery: NDArray[np.float32]) -> dict[str, float]:
    """Microseconds per query of making the scores: one query at a time, and a chunk at once."""
    queries = case.descriptors[:PRODUCT_QUERIES]
    began = time.thread_time()
    for query in queries:
        gallery @ query
    single = time.thread_time()
    similarity(queries, gallery)
    chunk = time.thread_time()
    return {
        "one_at_a_time_us": (single - began) / len(queries) * 1e6,
        "chunk_us": (chunk - single) / len(queries) * 1e6,
    }


def measure(case: Case, gallery: NDArray[np.float32], repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Times of a case, and what they belong to."""
    found, expected = counting(case), baseline(case)
    difference = float(np.abs(np.subtract(astuple(found), astuple(expected))).max())
    if difference > 1e-6:  # the baseline orders equal scores by chance; ours puts the wrong one first
        raise SystemExit(f"{case.name}: the metrics differ: {found} and {expected}")
    tasks = {
        "argsort": lambda: argsort_alone(case),
        "baseline": lambda: baseline(case),
        "counting": lambda: counting(case),
        "index": lambda: GalleryIndex(case.gallery_places.tolist()),
    }
    seconds = in_turns(tasks, repeats, time.thread_time)
    times = {name: [value / len(case.scores) * 1e6 for value in values] for name, values in seconds.items()}
    unit = "us a query"
    rows = [
        Row(case.name, "argsort alone", times["argsort"], unit),
        Row(case.name, "counting", times["counting"], unit, ratios(times["argsort"], times["counting"]), BAR),
        Row(case.name, "baseline", times["baseline"], unit),
        Row(case.name, "counting", times["counting"], unit, ratios(times["baseline"], times["counting"])),
    ]
    product = product_times(case, gallery)
    median = {name: float(np.median(values)) for name, values in times.items()}
    with_product = (median["baseline"] + product["one_at_a_time_us"]) / (
        median["counting"] + product["chunk_us"]
    )
    return rows, {
        "case": case.name,
        "metrics": found.to_dict(),
        "largest_difference": difference,
        "index_once_ms": float(np.median(seconds["index"])) * 1e3,
        "product": product,
        "ratio_with_product": with_product,
    }


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=701)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gallery", type=int, default=51_355)
    parser.add_argument("--dim", type=int, default=8192)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    places = rng.standard_normal((-(-options.gallery // IMAGES_PER_PLACE), options.dim), np.float32)
    print(f"making descriptors, {options.gallery:,} x {options.dim} ...", flush=True)
    gallery = make_gallery(rng, places, options.gallery)
    cases = make_cases(rng, gallery, places, options.queries)
    results = [measure(case, gallery, options.repeats) for case in cases]
    rows = [row for found, _ in results for row in found]
    return publish("ranking", rows, vars(options), {"cases": [details for _, details in results]})


if __name__ == "__main__":
    sys.exit(main())
