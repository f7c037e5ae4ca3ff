from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.metrics import (
    TIE_TOLERANCE,
    GalleryIndex,
    Ranks,
    RetrievalMetrics,
    average_precision,
    percent_depth,
    rank_queries,
    rank_scores,
    recall_at,
)

Scores = NDArray[np.float32]


def ranked(scores: Scores, queries: list[int], gallery: list[int], tolerance: float = 0.0) -> Ranks:
    return rank_scores(scores, queries, GalleryIndex(gallery), tolerance)


def brute_force(scores: Scores, queries: list[int], gallery: list[int]) -> RetrievalMetrics:
    """The University-1652 baseline's way, with wrong entries put first where scores are equal."""
    curve, precisions = np.zeros(len(gallery)), []
    for row, label in zip(scores, queries, strict=True):
        is_true = np.array([other == label for other in gallery])
        order = np.lexsort((is_true, -row))  # by score, then wrong before right
        places = np.flatnonzero(is_true[order])
        precision = 0.0
        for i, place in enumerate(places):
            old = i / place if place else 1.0
            precision += (old + (i + 1) / (place + 1)) / 2 / len(places)
        precisions.append(precision)
        if len(places):
            curve[places[0] :] += 1
    curve /= len(queries)
    last = len(gallery) - 1
    r1, r5, r10, percent = (float(curve[min(k, last)]) for k in (0, 4, 9, round(len(gallery) * 0.01)))
    return RetrievalMetrics(r1, r5, r10, percent, float(np.mean(precisions)))


def assert_alike(found: RetrievalMetrics, expected: RetrievalMetrics) -> None:
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected), abs=1e-12)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([0], 1.0),  # (1 + 1) / 2
        ([1], 0.25),  # (0 + 1/2) / 2
        ([4], 0.1),  # (0 + 1/5) / 2
        ([0, 1], 1.0),
        ([0, 2], (1 + (1 / 2 + 2 / 3) / 2) / 2),
        ([1, 2], ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2),
    ],
)
def test_average_precision_by_hand(ranks: list[int], expected: float) -> None:
    assert average_precision([np.array(ranks)])[0] == pytest.approx(expected, abs=1e-15)


def test_metrics_by_hand() -> None:
    gallery = [7, 7, 8, 9]
    scores = np.array([[0.9, 0.1, 0.5, 0.2], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]], np.float32)
    found = ranked(scores, [7, 8, 5], gallery)  # true matches at ranks 0 and 3, at 1, and none
    assert found.first.tolist() == [0, 1, -1]
    assert found.unmatched == 1
    first = (1 + (1 / 3 + 2 / 4) / 2) / 2
    assert_alike(found.metrics(), RetrievalMetrics(1 / 3, 2 / 3, 2 / 3, 1 / 3, (first + 0.25 + 0) / 3))


def test_depths() -> None:
    scores = -np.arange(1000, dtype=np.float32)[None].repeat(5, 0)
    found = ranked(scores, [0, 4, 9, 10, 11], list(range(1000))).metrics()  # the label is the rank
    assert (found.r1, found.r5, found.r10, found.r1_percent) == (0.2, 0.4, 0.6, 0.8)


@pytest.mark.parametrize(("size", "depth"), [(1, 1), (49, 1), (100, 2), (701, 8), (951, 11), (51355, 515)])
def test_one_percent_is_the_baselines(size: int, depth: int) -> None:
    assert percent_depth(size) == depth


def test_a_tie_does_not_flatter() -> None:
    same = np.ones((2, 6), np.float32)
    found = ranked(same, [0, 1], [0, 0, 1, 1, 2, 2])
    assert found.first.tolist() == [4, 4]  # behind the four wrong ones, wherever they stand
    assert found.metrics().r1 == 0


def test_a_tie_among_true_matches_costs_nothing() -> None:
    scores = np.array([[0.9, 0.9, 0.5]], np.float32)
    assert ranked(scores, [0], [0, 0, 1]).metrics() == RetrievalMetrics(1.0, 1.0, 1.0, 1.0, 1.0)


def test_an_encoder_that_says_the_same_of_everything_scores_nothing() -> None:
    """A matrix product may round equal descriptors differently from column to column."""
    one = np.random.default_rng(0).normal(size=2560).astype(np.float32)
    one /= np.linalg.norm(one)
    labels = list(range(203))
    found = rank_queries(np.tile(one, (203, 1)), np.tile(one, (203, 1)), labels, labels)
    assert (found.first == 202).all()


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Scores, list[int], list[int]]:
    """Scores with many ties or none, galleries with few or many matches, queries without any."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, places = draw(st.integers(1, 400)), draw(st.integers(1, 30))
    shape = (draw(st.integers(1, 6)), size)
    kind = draw(st.sampled_from(["smooth", "ties", "outlier", "huge"]))
    scores = rng.normal(size=shape).astype(np.float32)
    if kind == "ties":
        scores = scores.round(draw(st.integers(0, 1)))
    elif kind == "outlier":
        scores[:, rng.integers(size)] = 1e9  # all others share a cell of the counting
    elif kind == "huge":
        scores = (3e38 * np.tanh(scores.astype(np.float64))).astype(np.float32)  # their spread overflows
    gallery = rng.integers(0, places, size).tolist()
    return scores, rng.integers(0, places + 1, shape[0]).tolist(), gallery


@given(tasks())
@settings(max_examples=200, deadline=None)
def test_counting_agrees_with_sorting(task: tuple[Scores, list[int], list[int]]) -> None:
    assert_alike(ranked(*task).metrics(), brute_force(*task))


@given(tasks(), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_gallery_does_not_matter(
    task: tuple[Scores, list[int], list[int]], seed: int
) -> None:
    scores, queries, gallery = task
    order = np.random.default_rng(seed).permutation(len(gallery))
    assert_alike(
        ranked(scores[:, order], queries, [gallery[i] for i in order]).metrics(), ranked(*task).metrics()
    )


@pytest.mark.parametrize("matches", [1, 20, 54])
def test_a_large_gallery_agrees_with_sorting(matches: int) -> None:
    rng = np.random.default_rng(matches)
    gallery = np.arange(20_000) // matches
    scores = rng.normal(size=(3, len(gallery))).astype(np.float32)
    queries = [0, 5, 17]
    for row, label in zip(scores, queries, strict=True):
        row[gallery == label] += 2
    assert_alike(
        ranked(scores, queries, gallery.tolist()).metrics(), brute_force(scores, queries, gallery.tolist())
    )


@pytest.mark.parametrize("matches", [1, 40])
def test_a_wrong_entry_within_the_tolerance_stands_ahead(matches: int) -> None:
    scores = np.full((1, matches + 2), 0.5, np.float32)
    scores[0, -2:] = 0.5 - 4e-7, 0.5 - 4e-6
    gallery = [0] * matches + [1, 2]
    assert ranked(scores, [0], gallery).first.tolist() == [0]
    assert ranked(scores, [0], gallery, TIE_TOLERANCE).first.tolist() == [1]


@pytest.fixture
def descriptors() -> tuple[Scores, Scores, list[int], list[int]]:
    rng = np.random.default_rng(3)
    places = rng.normal(size=(40, 64))
    gallery_labels = rng.integers(0, 38, 300).tolist()
    query_labels = list(range(40))
    queries, gallery = (
        (places[labels] + rng.normal(size=(len(labels), 64))).astype(np.float32)
        for labels in (query_labels, gallery_labels)
    )
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    return queries, gallery, query_labels, gallery_labels


def test_chunks_do_not_matter(descriptors: tuple[Scores, Scores, list[int], list[int]]) -> None:
    queries, gallery, query_labels, gallery_labels = descriptors
    whole = rank_queries(*descriptors)
    assert 0.2 < whole.metrics().r1 < 1
    assert_alike(whole.metrics(), brute_force(queries @ gallery.T, query_labels, gallery_labels))
    for chunk_bytes in (1, 5000, 10_000):
        part = rank_queries(*descriptors, chunk_bytes=chunk_bytes)
        assert part.first.tolist() == whole.first.tolist()
        assert part.average_precision.tolist() == whole.average_precision.tolist()


def test_a_gallery_in_half_precision_is_ranked_alike(
    descriptors: tuple[Scores, Scores, list[int], list[int]],
) -> None:
    queries, gallery, *labels = descriptors
    half = rank_queries(queries, gallery.astype(np.float16), *labels).metrics()
    assert half.ap == pytest.approx(rank_queries(queries, gallery, *labels).metrics().ap, abs=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    scores = np.zeros((2, 4), np.float32)
    scores[1, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        ranked(scores, [0, 1], [0, 1, 2, 3])


def test_recall_by_hand() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.2, 0.8, 0.3], [0.7, 0.6, 0.1]], np.float32)
    positive = np.eye(3, dtype=np.bool_)
    assert recall_at(similarity, positive, (1, 2, 3, 10)) == pytest.approx({1: 2 / 3, 2: 2 / 3, 3: 1, 10: 1})


def test_recall_counts_a_query_without_a_match_as_a_miss() -> None:
    positive = np.array([[True, False], [False, False]])
    assert recall_at(np.ones((2, 2), np.float32), positive, (1, 2)) == {1: 0.5, 2: 0.5}


def test_recall_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        recall_at(np.ones((2, 3), np.float32), np.ones((2, 2), np.bool_))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        ranked(np.zeros((2, 3), np.float32), [0, 1], [0, 1])
    with pytest.raises(ValueError, match="0 entries"):
        rank_queries(np.zeros((1, 2), np.float32), np.zeros((0, 2), np.float32), [0], [])
    with pytest.raises(ValueError, match="no query"):
        Ranks(np.empty(0, np.int64), np.empty(0), 3).metrics()
