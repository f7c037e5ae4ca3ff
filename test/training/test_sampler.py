from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_model.errors import ConfigError
from training.sampler import UniquePlaceSampler, split_batch


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.data(), st.integers(0, 2**32))
def test_no_batch_holds_a_place_twice_and_all_come_equally_often(
    places: int, data: st.DataObject, seed: int
) -> None:
    batch_size = data.draw(st.integers(1, places))
    sampler = UniquePlaceSampler(places, batch_size, np.random.default_rng(seed))
    seen = np.zeros(places, int)
    for _ in range(12):
        batch = sampler.draw()
        assert len(batch) == len(set(batch.tolist())) == batch_size
        assert batch.min() >= 0
        assert batch.max() < places
        np.add.at(seen, batch, 1)
        assert seen.max() - seen.min() <= 2


def test_same_seed_same_batches() -> None:
    one, two = (UniquePlaceSampler(30, 8, np.random.default_rng(5)) for _ in range(2))
    assert [one.draw().tolist() for _ in range(9)] == [two.draw().tolist() for _ in range(9)]


def test_too_few_places_is_an_error_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"80 .* from 12"):
        UniquePlaceSampler(12, 80, np.random.default_rng(0))


@settings(deadline=None)
@given(st.integers(1, 200), st.lists(st.floats(0.01, 10), min_size=1, max_size=6))
def test_shares_fill_the_batch(batch_size: int, shares: list[float]) -> None:
    counts = split_batch(batch_size, shares)
    assert sum(counts) == batch_size
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - batch_size * share / sum(shares)) < 1
