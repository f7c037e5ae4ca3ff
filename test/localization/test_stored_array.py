"""Rows of a file: what is used of it is checked, and nothing else is read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.stored_array import BLOCK_BYTES, JoinedArray, StoredArray, block_digests

ROWS = np.random.default_rng(0).integers(0, 255, (300, 700), np.uint8)  # 6.4 blocks


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.integers(0, 299), max_size=20), first=st.integers(0, 299), length=st.integers(0, 300),
    altered=st.integers(0, ROWS.size - 1),
)  # fmt: skip
def test_rows_come_as_they_are_or_not_at_all(rows: list[int], first: int, length: int, altered: int) -> None:
    damaged = ROWS.copy()
    damaged.reshape(-1)[altered] ^= 1
    block = altered // BLOCK_BYTES
    array = StoredArray("a.gallery", damaged, block_digests(ROWS))
    for wanted in (np.array(rows, np.int64), np.arange(first, min(300, first + length))):
        touched = any(700 * row // BLOCK_BYTES <= block <= (700 * row + 699) // BLOCK_BYTES for row in wanted)
        key = slice(first, first + length) if wanted.tolist() != rows else wanted
        if touched:
            with pytest.raises(GalleryError, match=rf"a\.gallery: its content was altered \(block {block}\)"):
                array[key]
        else:
            assert (array[key] == ROWS[wanted]).all()


def test_checksums_of_another_array_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(6, 32\) checksums for 7 blocks"):
        StoredArray("a.gallery", ROWS, block_digests(ROWS)[:-1])


@settings(max_examples=200, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=4), rows=st.lists(st.integers(0, 299), max_size=20),
    first=st.integers(0, 310), end=st.integers(0, 310),
)  # fmt: skip
def test_joined_arrays_are_one(cuts: list[int], rows: list[int], first: int, end: int) -> None:
    borders = [0, *sorted(cuts), 300]
    array = JoinedArray([ROWS[low:high] for low, high in pairwise(borders)])
    assert array.shape == ROWS.shape
    assert len(array) == 300
    assert (array[np.array(rows, np.int64)] == ROWS[rows]).all()
    assert (array[first:end] == ROWS[first:end]).all()
    assert (block_digests(array) == block_digests(ROWS)).all()
