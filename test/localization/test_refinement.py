"""Registration to the map of a gallery, by both methods: views cut from the map come back to their place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.config import RefinementSettings
from lkpan_ros.localization.refinement import Expected, make_refiner, turns_within
from lkpan_ros.localization.windows import windows_of
from test.localization.patches import TILE_M, TILE_PX, as_view, matches_at, texture, view_of

if TYPE_CHECKING:
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.refinement import Refiner
    from lkpan_ros.localization.types import Registrations
    from test.localization.conftest import Ground

SETTINGS = RefinementSettings(reach_m=40.0)
COARSE_PX_M = TILE_M / 64
TURNS = turns_within(9.0, 9.0)


@pytest.fixture(scope="module", params=["correlation", "features"])
def refiner(request: pytest.FixtureRequest, plain_gallery: Gallery) -> Refiner:
    return make_refiner(plain_gallery, replace(SETTINGS, method=request.param))


def best(registrations: Registrations) -> int:
    return int(registrations.quality.argmax())


def error_m(found: Registrations, row: int, place_m: tuple[float, float]) -> float:
    return float(np.hypot(*(found.position_m[row] - place_m)))


# Other scales are tried under the middle turn alone.
as_sensed = st.tuples(st.floats(-11, 11), st.floats(0.93, 1.07), st.just(0.03))
off_scale = st.tuples(st.floats(-7, 7), st.floats(0.75, 1.4), st.just(0.05))


@settings(max_examples=24)
@given(
    st.floats(-35, 35), st.floats(-35, 35), st.sampled_from([(0.0, 0.0), (60.0, -30.0)]),
    st.one_of(as_sensed, off_scale),
)  # fmt: skip
def test_a_view_is_placed_turned_and_scaled_as_it_was_cut(
    ground: Ground, refiner: Refiner, east_m: float, north_m: float, centre_m: tuple[float, float],
    cut: tuple[float, float, float],
) -> None:  # fmt: skip
    turn_deg, scale, tolerance = cut
    place_m = (centre_m[0] + east_m, centre_m[1] + north_m)
    found = refiner.refine([view_of(ground, place_m, turn_deg, scale)], matches_at([centre_m]), TURNS, 5)
    row = best(found)
    assert found.fitted[row]
    assert error_m(found, row, place_m) < COARSE_PX_M
    assert found.turn_deg[row] == pytest.approx(turn_deg, abs=1.5)
    assert found.scale[row] == pytest.approx(scale, abs=tolerance)
    assert 0.3 < found.quality[row] <= 1.0 + 1e-5
    assert found.similarity[row] == np.float32(0.5)


def test_each_view_is_sought_where_its_own_matches_are(ground: Ground, refiner: Refiner) -> None:
    views = [view_of(ground, (20.0, 10.0), turn) for turn in (0.0, 40.0)]
    found = refiner.refine(views, matches_at([(0.0, 0.0), (30.0, 0.0)], views=[1, 0]), TURNS, 5)
    assert set(found.view[found.match == 0]) == {1}
    assert set(found.view[found.match == 1]) == {0}
    row = best(found)
    assert found.view[row] == 0  # the other is turned by more than was tried
    assert error_m(found, row, (20.0, 10.0)) < COARSE_PX_M


def test_a_view_that_is_elsewhere_fits_worse(ground: Ground, refiner: Refiner) -> None:
    view = view_of(ground, (-100.0, -100.0))
    wrong = refiner.refine([view], matches_at([(100.0, 100.0)]), TURNS, 5)
    right = refiner.refine([view], matches_at([(-90.0, -90.0)]), TURNS, 5)
    assert right.quality.max() > 2.0 * max(wrong.quality.max(), 0.1)


@pytest.mark.parametrize("windows", [1, 3, 200])
def test_no_more_windows_than_allowed_and_few_places_in_each(
    ground: Ground, refiner: Refiner, windows: int
) -> None:
    places = [(east, north) for east in (-120.0, -40.0, 40.0, 120.0) for north in (-60.0, 0.0, 60.0)]
    found = refiner.refine([view_of(ground, (0.0, 0.0))], matches_at(places), (0.0,), windows)
    assert len(set(found.match)) == min(windows, len(places))
    assert np.bincount(found.match).max() <= SETTINGS.peaks
    lengths = {len(getattr(found, name)) for name in vars(found)}
    assert lengths == {len(found.quality)}


def test_neighbours_share_a_window_but_not_with_another_view() -> None:
    places = [(0.0, 0.0), (10.0, 0.0), (0.0, 29.0), (10.0, 0.0), (50.0, 0.0)]
    chosen = windows_of(matches_at(places, views=[0, 0, 0, 1, 0]), 30.0, 10)
    assert chosen.tolist() == [0, 3, 4]


@pytest.mark.parametrize("method", ["correlation", "features"])
def test_a_view_without_texture_fits_nowhere(plain_gallery: Gallery, method: str) -> None:
    refiner = make_refiner(plain_gallery, replace(SETTINGS, method=method))
    flat = as_view(np.full((TILE_PX, TILE_PX, 3), 90, np.uint8))
    found = refiner.refine([flat], matches_at([(0.0, 0.0), (100.0, 0.0)]), TURNS, 5)
    assert len(found.quality) >= 2
    assert np.isfinite(found.position_m).all()
    assert np.isfinite(found.spread_m2).all()
    assert found.quality.max() == pytest.approx(0.0, abs=0.05 if method == "correlation" else 0.0)


def test_features_of_foreign_ground_or_too_great_a_turn_prove_nothing(
    ground: Ground, plain_gallery: Gallery
) -> None:
    refiner = make_refiner(plain_gallery, replace(SETTINGS, method="features"))
    foreign = as_view(np.repeat(texture(99, TILE_PX)[..., None], 3, axis=2))
    turned = view_of(ground, (0.0, 0.0), turn_deg=60.0)
    matches = matches_at([(0.0, 0.0), (5.0, 0.0)], views=[0, 1])
    found = refiner.refine([foreign, turned], matches, TURNS, 5)
    assert found.quality[1] == 0.0
    assert not found.fitted[1]
    assert found.quality[0] < 0.25


def test_windows_beyond_the_map_are_looked_at_without_harm(ground: Ground, refiner: Refiner) -> None:
    found = refiner.refine([view_of(ground, (0.0, 0.0))], matches_at([(900.0, 900.0)]), TURNS, 5)
    assert found.quality.max() < 0.1
    assert np.isfinite(found.position_m).all()


@given(st.floats(0, 90), st.floats(1, 90), st.floats(-180, 180), st.floats(-1, 1))
def test_no_turn_within_reach_is_further_than_half_a_step_from_one_that_is_tried(
    reach_deg: float, step_deg: float, centre_deg: float, share: float
) -> None:
    turns = np.array(turns_within(reach_deg, step_deg, centre_deg))
    assert np.abs(turns - (centre_deg + share * reach_deg)).min() <= step_deg / 2 + 1e-6
    assert centre_deg in turns


@pytest.mark.parametrize(
    "patch_px",
    [
        100,
        192,
        364,
        500,
    ],
)
def test_features_of_patches_of_any_resolution(ground: Ground, plain_gallery: Gallery, patch_px: int) -> None:
    refiner = make_refiner(plain_gallery, replace(SETTINGS, method="features"))
    patch = cv2.resize(
        view_of(ground, (12.0, -7.0)).patch, (patch_px, patch_px), interpolation=cv2.INTER_AREA
    )
    found = refiner.refine([as_view(np.asarray(patch, np.uint8))], matches_at([(0.0, 0.0)]), TURNS, 5)
    assert error_m(found, 0, (12.0, -7.0)) < COARSE_PX_M
    assert found.scale[0] == pytest.approx(1.0, abs=0.03)


# What is sought where a track expects the view


@pytest.fixture(scope="module")
def correlation(plain_gallery: Gallery) -> Refiner:
    return make_refiner(plain_gallery, SETTINGS)


@settings(max_examples=12)
@given(st.floats(0, 6.28), st.floats(20, 34), st.floats(6, 15))
def test_a_view_is_found_where_it_is_expected_though_its_window_fits_better_elsewhere(
    ground: Ground, plain_gallery: Gallery, azimuth: float, apart_m: float, radius_m: float
) -> None:
    """A view that shows a little of its own place through what is in the middle of the window."""
    refiner = make_refiner(plain_gallery, replace(SETTINGS, peaks=1))
    there_m = (apart_m * np.sin(azimuth), apart_m * np.cos(azimuth))
    both = [view_of(ground, place_m).patch for place_m in ((0.0, 0.0), there_m)]
    view = as_view(np.asarray(cv2.addWeighted(both[0], 0.7, both[1], 0.3, 0.0), np.uint8))
    expected = Expected(there_m[0] + 0.3 * radius_m, there_m[1] - 0.3 * radius_m, radius_m)
    plain = refiner.refine([view], matches_at([(0.0, 0.0)]), (0.0,), 5)
    found = refiner.refine([view], matches_at([(0.0, 0.0)]), (0.0,), 5, [expected])
    assert found.sought.tolist() == [False, True]
    assert np.array_equal(found.position_m[:1], plain.position_m)  # what is best stays
    assert error_m(found, 0, (0.0, 0.0)) < COARSE_PX_M
    assert error_m(found, 1, there_m) < 2.0 * COARSE_PX_M
    assert found.quality[1] < found.quality[0]


def test_what_is_best_anyway_is_not_said_to_have_been_sought(ground: Ground, correlation: Refiner) -> None:
    view, matches = view_of(ground, (8.0, -5.0)), matches_at([(0.0, 0.0)])
    found = correlation.refine([view], matches, TURNS, 5, [Expected(10.0, -6.0, 12.0)])
    assert not found.sought[best(found)]
    plain = correlation.refine([view], matches, TURNS, 5)
    assert len(found.quality) == len(plain.quality)


def test_a_place_that_is_expected_twice_is_sought_once(ground: Ground, correlation: Refiner) -> None:
    """By two hypotheses, and within the reach of two windows."""
    view, matches = view_of(ground, (0.0, 0.0)), matches_at([(0.0, 0.0), (29.0, 0.0)])
    once = correlation.refine([view], matches, TURNS, 5, [Expected(20.0, 20.0, 10.0)])
    twice = correlation.refine([view], matches, TURNS, 5, [Expected(20.0, 20.0, 10.0)] * 2)
    assert twice.sought.sum() == once.sought.sum() <= 1
    assert np.array_equal(twice.position_m, once.position_m)


def test_what_is_expected_beyond_every_window_is_not_sought(ground: Ground, refiner: Refiner) -> None:
    view, matches = view_of(ground, (0.0, 0.0)), matches_at([(0.0, 0.0)])
    found = refiner.refine([view], matches, TURNS, 5, [Expected(120.0, 0.0, 10.0)])
    assert not found.sought.any()
    assert not refiner.refine([view], matches_at([]), TURNS, 5, [Expected(0.0, 0.0, 10.0)]).sought.any()
