"""Look-up in a gallery, and where its tiles and pixels lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.geodesy import distance_m
from test.localization.galleries import grid_gallery, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from test.localization.conftest import Ground


def stored(gallery: Gallery) -> NDArray[np.float32]:
    """The descriptors as the gallery keeps them, by asking for their similarity to each axis."""
    axes = np.eye(gallery.descriptor_dim, dtype=np.float32)
    columns = [gallery.search(axis[None], len(gallery)) for axis in axes]
    return np.stack([c.similarity[np.argsort(c.tile)] for c in columns], axis=1)


class TestSearch:
    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**31),
        count=st.integers(1, 60),
        rotations=st.integers(1, 4),
        candidates=st.integers(1, 80),
        near=st.none() | st.tuples(st.floats(-50, 150), st.floats(-50, 150), st.floats(0, 150)),
    )
    def test_it_equals_brute_force(
        self, seed: int, count: int, rotations: int, candidates: int, near: tuple[float, float, float] | None
    ) -> None:
        gallery = grid_gallery(seed, count)
        queries = unit(np.random.default_rng(seed + 1), rotations, 8)
        matches = gallery.search(queries, candidates, near)

        similarity = stored(gallery) @ queries.T  # N x R
        allowed = np.ones(count, np.bool_)
        if near is not None:
            allowed = np.hypot(*(gallery.positions_m - near[:2]).T) <= near[2]
        best = np.sort(similarity.max(axis=1)[allowed])[::-1][:candidates]
        assert len(matches.tile) == len(best)
        assert np.allclose(matches.similarity, best, atol=1e-5)
        assert len(set(matches.tile.tolist())) == len(matches.tile), "a tile twice"
        assert allowed[matches.tile].all()
        assert np.allclose(similarity[matches.tile, matches.rotation], matches.similarity, atol=1e-5)
        assert (matches.position_m == gallery.positions_m[matches.tile]).all()

    def test_the_turn_that_matched_is_told(self) -> None:
        gallery = grid_gallery(0, 40, dim=64)
        queries = unit(np.random.default_rng(5), 4, 64)
        queries[2] = stored(gallery)[17]
        matches = gallery.search(queries, 5)
        assert matches.tile[0] == 17
        assert matches.rotation[0] == 2
        assert matches.similarity[0] == pytest.approx(1.0, abs=2e-3)

    def test_nothing_near_is_nothing_found(self) -> None:
        matches = grid_gallery(0, 40).search(unit(np.random.default_rng(1), 4, 8), 10, (5000.0, 0.0, 100.0))
        assert len(matches.tile) == len(matches.similarity) == len(matches.rotation) == 0
        assert matches.position_m.shape == (0, 2)

    def test_a_tile_on_the_radius_is_near(self) -> None:
        gallery = grid_gallery(0, 7)
        matches = gallery.search(unit(np.random.default_rng(1), 1, 8), 10, (0.0, 84.0, 16.0))
        assert matches.tile.tolist() == [0]

    @pytest.mark.parametrize(
        ("queries", "candidates", "words"),
        [
            (np.ones((1, 9), np.float32), 5, "length 8"),
            (np.ones(8, np.float32), 5, "length 8"),
            (np.empty((0, 8), np.float32), 5, "length 8"),
            (np.full((1, 8), np.nan, np.float32), 5, "not finite"),
            (np.ones((1, 8), np.float32), 0, "0 candidates"),
        ],
    )
    def test_bad_queries_are_refused(self, queries: NDArray[np.float32], candidates: int, words: str) -> None:
        with pytest.raises(GalleryError, match=words):
            grid_gallery(0, 10).search(queries, candidates)


class TestPlace:
    def test_footprints_are_north_up_squares_about_the_centre(self, gallery: Gallery) -> None:
        for tile in (0, len(gallery) - 1):
            nw, ne, se, sw = gallery.footprint(tile)
            east, north = gallery.positions_m[tile]
            assert distance_m(nw, se) == pytest.approx(gallery.tile_size_m * 2**0.5, abs=1e-3)
            assert distance_m(nw, ne) == pytest.approx(gallery.tile_size_m, abs=1e-3)
            assert nw.lat_deg > sw.lat_deg
            assert se.lon_deg > sw.lon_deg
            center = gallery.frame.point(east, north)
            assert distance_m(center, se) == pytest.approx(gallery.tile_size_m / 2**0.5, abs=1e-3)

    def test_tiles_and_windows_show_the_ground_at_their_place(self, gallery: Gallery, ground: Ground) -> None:
        """To a part of a pixel: a shift of one pixel must match the map worse than none."""
        gsd_m = gallery.gsd_m
        for tile in (0, 40, len(gallery) - 1):
            point = gallery.frame.point(*gallery.positions_m[tile])
            east, north = ground.frame.to_local(point.lat_deg, point.lon_deg)
            size = len(ground.image)
            column = (east - gallery.tile_size_m / 2) / gsd_m + size / 2
            row = size / 2 - (north + gallery.tile_size_m / 2) / gsd_m
            assert column == pytest.approx(round(column), abs=0.15)
            image = gallery.tile_image(tile)
            assert image.shape == (gallery.tile_px, gallery.tile_px, 3)
            best = min(
                (np.abs(_cut(ground.image, round(row) + j, round(column) + i, 150) - image).mean(), i, j)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            assert best[1:] == (0, 0)
            x, y = (float(v) for v in gallery.positions_m[tile])
            window, mask = gallery.window(x, y, gallery.tile_size_m, gallery.tile_px)
            assert mask.all()
            assert (window == image).all()

    def test_beyond_the_map_there_is_nothing(self, gallery: Gallery) -> None:
        rgb, mask = gallery.window(10_000.0, 0.0, 90.0, 50)
        assert not mask.any()
        assert not rgb.any()


def _cut(image: NDArray[np.uint8], row: int, column: int, side: int) -> NDArray[np.float64]:
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    return padded[row + 2 : row + 2 + side, column + 2 : column + 2 + side].astype(float)
