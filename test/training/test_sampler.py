from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from lkpan_model.errors import ConfigError, InputError
from training.sampler import SimilaritySampler, UniquePlaceSampler, nearest_places, split_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def clusters_of(places: int, size: int) -> NDArray[np.int64]:
    """Neighbours when places stand in clusters: of each place the others of its cluster, nearest id first."""
    rows = [
        sorted(
            (q for q in range(p - p % size, min(places, p - p % size + size)) if q != p),
            key=lambda q, p=p: abs(q - p),  # type: ignore[misc]
        )
        for p in range(places)
    ]
    return np.array(rows, np.int64)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.data(), st.integers(0, 2**32))
def test_similar_places_come_without_repeats_and_all_once_a_pass(
    places: int, data: st.DataObject, seed: int
) -> None:
    batch_size = data.draw(st.integers(1, places))
    # Anything may come in as neighbours: doubles and the place itself too.
    neighbours = np.random.default_rng(seed).integers(0, places, (places, data.draw(st.integers(0, 9))))
    sampler = SimilaritySampler(
        places, batch_size, np.random.default_rng(seed), neighbours if seed % 5 else None,
        per_seed=data.draw(st.one_of(st.none(), st.integers(0, 20))), nearest_share=data.draw(st.floats(0, 1)),
    )  # fmt: skip
    seen = np.zeros(places, int)
    for drawn in range(1, 13):
        batch = sampler.draw()
        assert batch.dtype == np.int64
        assert len(batch) == len(set(batch.tolist())) == batch_size
        np.add.at(seen, batch, 1)
        if drawn * batch_size % places == 0:  # whole passes
            assert seen.min() == seen.max() == drawn * batch_size // places
    assert seen.max() - seen.min() <= 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([4, 8, 16]))
def test_neighbours_share_batches(seed: int, size: int) -> None:
    places, batch_size = 256, 32
    neighbours = clusters_of(places, size)

    def share(sampler: SimilaritySampler) -> float:
        """Part of a place's cluster that lies in its batch, over one pass."""
        together = [
            np.isin(neighbours[p], batch).mean()
            for batch in (sampler.draw() for _ in range(places // batch_size))
            for p in batch
        ]
        return float(np.mean(together))

    rng = np.random.default_rng
    similar = share(SimilaritySampler(places, batch_size, rng(seed), neighbours))
    random = share(SimilaritySampler(places, batch_size, rng(seed)))
    assert random < 0.25  # 31 of 255 are expected
    assert similar > 0.75


def test_half_of_the_companions_are_the_nearest_and_half_come_from_the_pool() -> None:
    places = 1000
    neighbours = (np.arange(places)[:, None] + np.arange(1, 101)) % places  # the 100 that follow each
    nearest, farther = [], []
    for seed in range(30):
        batch = SimilaritySampler(
            places, 21, np.random.default_rng(seed), neighbours, per_seed=20, nearest_share=0.5
        ).draw()
        ahead = (batch - batch[0]) % places
        nearest.append(set(range(1, 11)) <= set(ahead.tolist()))
        farther.append(ahead[(ahead > 10)])
        assert ahead.max() <= 100
    assert all(nearest)
    assert all(len(rest) == 10 for rest in farther)
    assert len({tuple(rest) for rest in farther}) == 30  # others in every batch


def test_a_resumed_sampler_draws_what_the_first_would_have() -> None:
    neighbours = clusters_of(60, 6)
    whole = SimilaritySampler(60, 8, np.random.default_rng(3), neighbours)
    expected = [whole.draw().tolist() for _ in range(12)]
    again = SimilaritySampler(60, 8, np.random.default_rng(3), neighbours.copy())
    assert [again.draw().tolist() for _ in range(12)] == expected
    updated = SimilaritySampler(60, 8, np.random.default_rng(3))
    updated.update(neighbours)
    assert updated.draw().tolist() == expected[0]


def test_wrong_neighbours_and_options_are_errors_that_name_them() -> None:
    sampler = SimilaritySampler(10, 4, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"int64 10 x K, got int64 \(9, 3\)"):
        sampler.update(np.zeros((9, 3), np.int64))
    with pytest.raises(InputError, match="float64"):
        sampler.update(np.zeros((10, 3)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="below 10, got 10"):
        sampler.update(np.full((10, 3), 10))
    with pytest.raises(InputError, match="got -1"):
        sampler.update(np.full((10, 3), -1))
    with pytest.raises(ConfigError, match=r"nearest_share .* 1.5"):
        SimilaritySampler(10, 4, np.random.default_rng(0), nearest_share=1.5)
    with pytest.raises(ConfigError, match=r"12 .* from 10"):
        SimilaritySampler(10, 12, np.random.default_rng(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 17), st.integers(0, 2**32))
def test_nearest_places_are_those_of_the_whole_matrix(places: int, count: int, chunk: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    drone, satellite = normalize(torch.randn(2, places, 5, generator=generator), dim=2).double()
    found = nearest_places(drone, satellite, count, chunk=chunk)
    both = (drone @ satellite.T + satellite @ drone.T).numpy()
    np.fill_diagonal(both, -np.inf)
    expected = np.argsort(-both, axis=1)[:, : min(count, places - 1)]
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_descriptors_of_other_shapes_are_an_error() -> None:
    with pytest.raises(InputError, match=r"\(4, 3\) and \(5, 3\)"):
        nearest_places(torch.zeros(4, 3), torch.zeros(5, 3), 2)
