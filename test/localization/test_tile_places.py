"""Tiles near a place: the same as by comparing with all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.tile_places import TilePlaces

COORDINATES = st.floats(-400.0, 400.0)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 200),
    apart_m=st.sampled_from([1e-3, 16.0]),  # on a grid, tiles lie exactly on cell borders and circles
    cell_m=st.floats(1.0, 200.0),
    places=st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=5),
    radius_m=st.floats(0.0, 700.0) | st.sampled_from([16.0, 30.0]),
)
def test_it_equals_brute_force(
    seed: int, count: int, apart_m: float, cell_m: float, places: list[tuple[float, float]], radius_m: float
) -> None:
    rng = np.random.default_rng(seed)
    positions_m = np.rint(rng.uniform(-200.0, 200.0, (count, 2)) / apart_m) * apart_m
    places = [
        (float(np.rint(x / apart_m) * apart_m), float(np.rint(y / apart_m) * apart_m)) for x, y in places
    ]
    tiles = TilePlaces(positions_m, cell_m)
    near = np.array([np.hypot(*(positions_m - place).T) <= radius_m for place in places])
    for place, expected in zip(places, near, strict=True):
        assert tiles.within(*place, radius_m).tolist() == np.flatnonzero(expected).tolist()
    assert tiles.any_within(np.array(places), radius_m).tolist() == near.any(axis=1).tolist()


def test_nobody_asks_for_nothing() -> None:
    tiles = TilePlaces(np.array([[0.0, 0.0]]), 10.0)
    assert tiles.any_within(np.empty((0, 2)), 10.0).tolist() == []
    assert tiles.any_within(np.array([[1e12, -1e12], [-1e300, 1e300]]), 10.0).tolist() == [False, False]
