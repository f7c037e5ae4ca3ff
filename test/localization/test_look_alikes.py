"""Which tiles look alike, and what a frame needs to tell them apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization import look_alikes
from lkpan_ros.localization.config import GateSettings
from lkpan_ros.localization.look_alikes import (
    block_pairs,
    find_look_alikes,
    foreign_distance_m,
    least_lead,
    retention,
)
from test.localization.galleries import grid_gallery, make_gallery, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery


class TestSearch:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 2**31),
        count=st.integers(1, 60),
        foreign_m=st.floats(1, 150),
        block=st.integers(1, 70),
    )
    def test_it_equals_brute_force_whatever_the_blocks(
        self, seed: int, count: int, foreign_m: float, block: int
    ) -> None:
        gallery = grid_gallery(seed, count)
        steps: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(look_alikes, "_BLOCK", block)
            alike = find_look_alikes(gallery, foreign_m, steps.append)
            assert sum(steps) == block_pairs(count)

        descriptors = gallery.descriptors(np.arange(count))
        apart_m = np.linalg.norm(gallery.positions_m[:, None] - gallery.positions_m[None], axis=-1)
        similarity = np.where(apart_m > foreign_m + 1e-6, descriptors @ descriptors.T, -np.inf)
        best = similarity.max(axis=1)
        assert np.allclose(alike.similarity, best, atol=1e-5)
        assert ((alike.tile < 0) == np.isinf(best)).all()
        for tile in np.flatnonzero(alike.tile >= 0):
            other = alike.tile[tile]
            assert similarity[tile, other] == pytest.approx(best[tile], abs=1e-5)
            assert alike.distance_m[tile] == pytest.approx(apart_m[tile, other])

    def test_a_gallery_of_one_place_has_none(self) -> None:
        alike = find_look_alikes(grid_gallery(0, 20), foreign_m=1e4)
        assert (alike.tile == -1).all()
        assert not alike.within(0.5).any()

    def test_a_place_that_is_there_twice_is_found_from_both_ends(self, twice: Gallery) -> None:
        gate = GateSettings()
        alike = find_look_alikes(twice, foreign_distance_m(twice, gate))
        ambiguous = alike.within(least_lead(0.8, 0.0641, gate))
        west, east = twin_tiles(twice)
        assert alike.tile[west].tolist() == east.tolist()
        assert alike.tile[east].tolist() == west.tolist()
        assert alike.distance_m[west] == pytest.approx(300.0, abs=0.6)
        assert ambiguous[west].all()
        assert ambiguous[east].all()
        others = np.delete(np.arange(len(twice)), np.concatenate([west, east]))
        assert ambiguous[others].mean() < 0.5


def twin_tiles(gallery: Gallery) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tiles wholly within the western and, in the same order, the eastern copy of `twice`."""
    east_m = gallery.positions_m[:, 0] + 240.0  # from the map's left edge
    half_m = gallery.tile_size_m / 2
    west = np.flatnonzero((east_m - half_m >= -1.0) & (east_m + half_m <= 151.0))
    east = np.flatnonzero((east_m - half_m >= 299.0) & (east_m + half_m <= 451.0))
    assert len(west) == len(east) > 3
    return west, east


class TestMargin:
    def test_foreign_is_beyond_the_tile_and_beyond_what_is_right_for_both(self) -> None:
        gallery = grid_gallery(0, 4)  # of 32 m tiles
        assert foreign_distance_m(gallery, GateSettings(radius_m=10.0)) == 32.0
        assert foreign_distance_m(gallery, GateSettings(radius_m=30.0)) == 60.0

    @given(
        retained=st.floats(0.05, 1.0), temperature=st.floats(0.005, 0.2), probability=st.floats(0.01, 0.99)
    )
    def test_the_least_lead_gives_the_probability_asked_for(
        self, retained: float, temperature: float, probability: float
    ) -> None:
        lead = least_lead(retained, temperature, GateSettings(min_probability=probability))
        odds = math.exp(retained * lead / temperature)
        assert odds / (1.0 + odds) == pytest.approx(probability, rel=1e-6)

    def test_certainty_is_out_of_reach_and_no_demand_is_always_met(self) -> None:
        assert least_lead(0.5, 0.05, GateSettings(min_probability=1.0)) == math.inf
        assert least_lead(0.0, 0.05, GateSettings()) == math.inf
        assert least_lead(0.5, 0.05, GateSettings(min_probability=0.0)) == -math.inf

    def test_retention_is_the_share_of_the_lead_that_frames_keep(self) -> None:
        rng = np.random.default_rng(3)
        dim, count = 2048, 20  # long random descriptors are nearly at right angles
        positions = np.stack([np.arange(count) * 100.0, np.zeros(count)], axis=1)
        gallery = make_gallery(unit(rng, count, dim), positions)
        alike = find_look_alikes(gallery, 60.0)
        frames = 0.6 * gallery.descriptors(np.arange(count)) + 0.8 * unit(rng, count, dim)
        assert retention(frames, positions + 3.0, gallery, alike) == pytest.approx(0.6, abs=0.03)

    def test_retention_without_a_foreign_tile_is_unknown(self) -> None:
        gallery = grid_gallery(0, 4)
        alike = find_look_alikes(gallery, 1e4)
        assert retention(gallery.descriptors(np.arange(4)), gallery.positions_m, gallery, alike) is None
