"""Where a patch fits a window: against patches cut at known shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.correlation import (
    Correlator,
    KeptWindows,
    Peak,
    Window,
    gradient_field,
    peaks,
)
from lkpan_ros.localization.pyramid import Pyramid
from test.localization.patches import cut, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH_PX, REACH_PX = 64, 20
CORRELATOR = Correlator(PATCH_PX, REACH_PX)
SCENE = texture(3, 260)
MIDDLE = 130.0
shifts = st.floats(-REACH_PX + 1, REACH_PX - 1)


def whole(picture: NDArray[Any]) -> NDArray[np.bool_]:
    return np.ones(picture.shape, np.bool_)


def scores(
    patch: NDArray[np.uint8], window: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    templates = CORRELATOR.templates([gradient_field(patch, whole(patch) if mask is None else mask)])
    there = CORRELATOR.window(gradient_field(window, whole(window)))
    return np.asarray(CORRELATOR.scores(templates, there)[0], np.float32)


def best(patch: NDArray[np.uint8], window: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> Peak:
    return peaks(scores(patch, window, mask), 1)[0]


def window_of(scene: NDArray[np.uint8] = SCENE) -> NDArray[np.uint8]:
    return cut(scene, (MIDDLE, MIDDLE), CORRELATOR.window_px)


def patch_at(x_px: float, y_px: float, turn_deg: float = 0.0, scale: float = 1.0) -> NDArray[np.uint8]:
    return cut(SCENE, (MIDDLE + x_px, MIDDLE + y_px), PATCH_PX, turn_deg, scale)


@settings(max_examples=30)
@given(shifts, shifts)
def test_a_patch_is_found_at_its_shift(x_px: float, y_px: float) -> None:
    peak = best(patch_at(x_px, y_px), window_of())
    assert (peak.x_px, peak.y_px) == pytest.approx((x_px, y_px), abs=0.25)
    assert 0.8 < peak.quality <= 1.0 + 1e-5


@settings(max_examples=20)
@given(st.integers(-15, 15), st.integers(-15, 15), st.integers(0, 3))
def test_a_patch_half_of_which_was_not_seen_is_found(x_px: int, y_px: int, side: int) -> None:
    patch = patch_at(x_px, y_px)
    mask = np.rot90(np.arange(PATCH_PX)[None] < PATCH_PX // 2, side) & whole(patch)
    patch[~mask] = 0  # black, with an edge to what was seen
    peak = best(patch, window_of(), mask=mask)
    assert (peak.x_px, peak.y_px) == pytest.approx((x_px, y_px), abs=0.25)
    assert peak.quality > 0.95


@settings(max_examples=20)
@given(st.floats(-180, 180), st.floats(0.8, 1.25))
def test_a_patch_that_is_turned_back_and_magnified_fits(turn_deg: float, scale: float) -> None:
    patch = patch_at(5.0, -7.0, turn_deg, scale)
    peak = best(Pyramid(patch, whole(patch)).turned(PATCH_PX, turn_deg, scale)[0], window_of())
    assert (peak.x_px, peak.y_px) == pytest.approx((5.0, -7.0), abs=0.7)
    assert peak.quality > 0.5  # its corners are made up where it was turned


def test_turning_masks_what_the_patch_does_not_show() -> None:
    patch = patch_at(0.0, 0.0)
    _, straight = Pyramid(patch, whole(patch)).turned(PATCH_PX)
    _, oblique = Pyramid(patch, whole(patch)).turned(PATCH_PX, 45.0)
    assert straight.all()
    assert not oblique[0, 0]
    assert oblique[PATCH_PX // 2, PATCH_PX // 2]


@pytest.mark.parametrize("side_px", [96, 150, 448])
def test_patches_of_any_resolution_keep_their_middle(side_px: int) -> None:
    fine = cv2.resize(SCENE, None, fx=side_px / PATCH_PX, fy=side_px / PATCH_PX)
    centre = (MIDDLE + 0.5 + 4.0) * side_px / PATCH_PX - 0.5
    patch = cut(np.asarray(fine, np.uint8), (centre, centre), side_px)
    peak = best(Pyramid(patch, whole(patch)).turned(PATCH_PX)[0], window_of())
    assert (peak.x_px, peak.y_px) == pytest.approx((4.0, 4.0), abs=0.3)


@settings(max_examples=20)
@given(st.floats(0.4, 1.0), st.floats(0.0, 50.0))
def test_contrast_and_brightness_change_little(contrast: float, brightness: float) -> None:
    patch = patch_at(-6.0, 9.0)
    changed = (patch * contrast + brightness * (1.0 - contrast)).astype(np.uint8)
    peak = best(changed, window_of())
    assert (peak.x_px, peak.y_px) == pytest.approx((-6.0, 9.0), abs=0.3)
    assert peak.quality > 0.85


def test_a_place_that_is_there_twice_gives_two_equal_peaks() -> None:
    scene = np.full_like(SCENE, 128)
    scene[:, 100:130] = scene[:, 130:160] = texture(5, 260)[:, :30]
    patch = cut(scene, (MIDDLE - 15.0, MIDDLE), 30)
    padded, mask = np.full((PATCH_PX, PATCH_PX), 128, np.uint8), np.zeros((PATCH_PX, PATCH_PX), np.bool_)
    padded[17:47, 17:47], mask[17:47, 17:47] = patch, True
    first, second = peaks(scores(padded, window_of(scene), mask), 2)
    assert sorted((first.x_px, second.x_px)) == pytest.approx([-15.0, 15.0], abs=0.6)
    assert second.quality == pytest.approx(first.quality, abs=0.05)


@pytest.mark.parametrize("across", [0, 1])
def test_stripes_leave_the_place_open_along_them(across: int) -> None:
    wave = np.random.default_rng(0).uniform(0, 255, 260).astype(np.float32)
    wave = cv2.GaussianBlur(wave[None], (0, 0), 1.5)[0]
    stripes = np.broadcast_to(wave, (260, 260)).astype(np.uint8)
    scene = np.ascontiguousarray(stripes.T if across else stripes)  # constant in y; in x where across
    spread = best(cut(scene, (MIDDLE, MIDDLE), PATCH_PX), window_of(scene)).spread_px2
    along, beside = (spread[0, 0], spread[1, 1]) if across else (spread[1, 1], spread[0, 0])
    assert along > 10.0 * beside
    clear = best(patch_at(0.0, 0.0), window_of()).spread_px2
    assert along > 5.0 * np.trace(clear)


@given(st.sampled_from(["patch", "window", "both", "neither"]), st.integers(0, 255))
def test_flat_pictures_fit_nowhere(flat: str, grey: int) -> None:
    patch, window = patch_at(0.0, 0.0), window_of()
    if flat in {"patch", "both"}:
        patch = np.full_like(patch, grey)
    if flat in {"window", "both"}:
        window = np.full_like(window, grey)
    found = scores(patch, window)
    assert np.isfinite(found).all()
    assert found.max() <= 1.0 + 1e-4
    if flat != "neither":
        assert np.abs(found).max() < 0.05
    assert all(np.isfinite(peak.spread_px2).all() for peak in peaks(found, 3))


def test_nothing_known_of_the_patch_fits_nowhere() -> None:
    nothing = np.zeros((PATCH_PX, PATCH_PX), np.bool_)
    assert np.abs(scores(patch_at(0.0, 0.0), window_of(), nothing)).max() < 0.05


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_peaks_lie_apart_within_the_window_best_first(seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-1, 1, (41, 41)).astype(np.float32)
    found = peaks(noise, 5)
    quality = [peak.quality for peak in found]
    assert quality == sorted(quality, reverse=True)
    places = np.array([(peak.x_px, peak.y_px) for peak in found])
    assert np.abs(places).max() <= REACH_PX + 0.5
    apart = np.abs(places[:, None] - places[None]).max(-1)[~np.eye(len(places), dtype=bool)]
    assert apart.min() > 5.0
    assert all(np.linalg.eigvalsh(peak.spread_px2).min() >= 0.0 for peak in found)


def test_windows_are_made_once_and_the_oldest_forgotten() -> None:
    made: list[tuple[float, float]] = []
    window = CORRELATOR.window(gradient_field(window_of(), whole(window_of())))

    def make(east_m: float, north_m: float) -> Window:
        made.append((east_m, north_m))
        return window

    kept = KeptWindows(make)
    for east_m in (0.0, 1.0, 0.0, 1.0):
        kept.about(east_m, 5.0)
    assert made == [(0.0, 5.0), (1.0, 5.0)]
    for east_m in range(2, 300):
        kept.about(float(east_m), 5.0)
    kept.about(0.0, 5.0)
    assert made[-1] == (0.0, 5.0)
