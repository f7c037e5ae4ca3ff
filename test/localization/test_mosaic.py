"""The map's pixels in blocks: every pixel comes back in its place, at any scale."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.mosaic import BLOCK_PX, Mosaic, MosaicWriter, PixelGrid

GRID = PixelGrid(west_m=-100.0, north_m=200.0, gsd_m=0.5, columns=3, rows=2)
WIDTH, HEIGHT = 3 * BLOCK_PX, 2 * BLOCK_PX


def _image() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    noise = np.random.default_rng(3).uniform(0, 255, (20, 30, 3)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def _mask() -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """One block without any pixel, one with some, the rest whole."""
    mask = np.ones((HEIGHT, WIDTH), np.bool_)
    mask[BLOCK_PX:, :BLOCK_PX] = False
    mask[:100, -130:] = False
    return mask


IMAGE, MASK = _image(), _mask()


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    writer = MosaicWriter(GRID)
    for top in range(0, HEIGHT, BLOCK_PX):
        rows = slice(top, top + BLOCK_PX)
        writer.add_row(IMAGE[rows] * MASK[rows][:, :, None], MASK[rows])
    return writer.finish()


@settings(max_examples=40, deadline=None)
@given(
    left=st.integers(-300, WIDTH + 50),
    top=st.integers(-300, HEIGHT + 50),
    width=st.integers(1, 700),
    height=st.integers(1, 700),
)
def test_a_crop_is_what_was_written(mosaic: Mosaic, left: int, top: int, width: int, height: int) -> None:
    rgb, mask = mosaic.crop(left, top, width, height)
    room = 1000
    image = np.pad(IMAGE * MASK[:, :, None], ((room, room), (room, room), (0, 0)))
    here = np.s_[room + top : room + top + height, room + left : room + left + width]
    assert (mask == np.pad(MASK, room)[here]).all()
    assert (rgb[~mask] == 0).all()
    error = np.abs(rgb.astype(int) - image[here])[mask]
    assert np.mean(error) < 8 if error.size else True  # JPEG


@settings(max_examples=20, deadline=None)
@given(dx=st.floats(-20, 20), dy=st.floats(-20, 20), gsd_m=st.floats(0.1, 3.0))
def test_a_window_of_any_scale_lies_where_it_is_asked_for(
    mosaic: Mosaic, dx: float, dy: float, gsd_m: float
) -> None:
    west_m, north_m = 60.0 + dx, 110.0 + dy
    side = max(4, round(30 / gsd_m))
    rgb, mask = mosaic.read_local(west_m, north_m, side, side, gsd_m)
    # The same by OpenCV from the whole image, smoothed where the window is coarser.
    scale = gsd_m / GRID.gsd_m
    smooth = cv2.blur(IMAGE, (round(scale), round(scale))) if scale > 1.5 else IMAGE
    x = (west_m - GRID.west_m) / GRID.gsd_m + scale / 2 - 0.5
    y = (GRID.north_m - north_m) / GRID.gsd_m + scale / 2 - 0.5
    affine = np.array([[scale, 0, x], [0, scale, y]])
    expected = cv2.warpAffine(smooth, affine, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert mask.all()
    assert np.abs(rgb.astype(int) - expected).mean() < 8


def test_means_leave_nodata_out(mosaic: Mosaic) -> None:
    # At the edge of the half empty block: bright and dark must come from the map alone.
    west_m = GRID.west_m + (WIDTH - 130 - 6) * 0.5
    rgb, mask = mosaic.read_local(west_m, 199.0, 4, 2, 2.0)
    assert mask.tolist() == [[True, True, False, False]] * 2  # the second: half of it, and half is enough
    expected = IMAGE[2:6, WIDTH - 136 + 4 : WIDTH - 130].mean(axis=(0, 1))
    assert np.abs(rgb[0, 1] - expected).max() < 25  # with the black beyond it would be 90


def test_a_damaged_block_is_an_error_that_says_so(mosaic: Mosaic) -> None:
    data = np.array(mosaic.data[:])
    data[: 2 * BLOCK_PX] = 0
    with pytest.raises(GalleryError, match=r"block 0 .* rebuild it with build_gallery"):
        replace(mosaic, data=data).crop(0, 0, 10, 10)


def test_an_index_that_contradicts_the_data_is_refused(mosaic: Mosaic) -> None:
    for change in (
        {"data": mosaic.data[:-1]},
        {"offsets": mosaic.offsets[:-1]},
        {"offsets": mosaic.offsets[::-1].copy()},
        {"mask_row": np.full_like(mosaic.mask_row, 9)},
        {"mask_row": mosaic.mask_row[:-1]},
        {"masks": mosaic.masks[:, :-1]},
    ):
        with pytest.raises(GalleryError, match="contradict"):
            replace(mosaic, **change)
