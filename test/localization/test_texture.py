"""How much there is to see on a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.config import ViewSettings
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.mosaic import BLOCK_PX, MosaicWriter
from lkpan_ros.localization.texture import LEAST_GRADIENT, measure_texture
from test.localization.galleries import grid_gallery, make_gallery

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CONTRAST = ViewSettings().min_contrast


def over(picture: NDArray[np.uint8], positions_m: NDArray[np.float64]) -> Gallery:
    """A gallery of 32 m tiles over a picture of 256 x 256 pixels of half a metre, its middle at (0, 0)."""
    plain = make_gallery(np.eye(len(positions_m), dtype=np.float32), positions_m)
    writer = MosaicWriter(plain.info.grid)
    writer.add_row(picture, np.ones((BLOCK_PX, BLOCK_PX), np.bool_))
    return Gallery(plain.info, plain.descriptors(np.arange(len(plain))), positions_m, writer.finish())


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 192), st.integers(0, 192)), min_size=1, max_size=30, unique=True))
def test_contrast_is_that_of_the_view(corners: list[tuple[int, int]]) -> None:
    left, top = np.array(corners, np.float64).T
    positions_m = np.stack([-64.0 + left / 2 + 16.0, 64.0 - top / 2 - 16.0], axis=1)
    gallery = make_gallery(np.eye(len(corners), dtype=np.float32), positions_m)
    texture = measure_texture(gallery)
    for tile, (east, north) in enumerate(positions_m):
        rgb, mask = gallery.window(east, north, gallery.tile_size_m, gallery.tile_px)
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        assert texture.contrast[tile] == pytest.approx(float(grey[mask].std()), rel=1e-6)


def test_the_gradient_is_the_slope_of_the_grey_values() -> None:
    ramp = np.repeat(np.arange(BLOCK_PX, dtype=np.uint8)[None, :, None], BLOCK_PX, axis=0).repeat(3, axis=2)
    texture = measure_texture(over(ramp // 2, np.array([[0.0, 0.0]])))
    assert texture.gradient[0] == pytest.approx(0.5, abs=0.1)
    assert texture.contrast[0] > MIN_CONTRAST, "a slow change of light has contrast"
    assert texture.lacking(MIN_CONTRAST).all(), "and no edges to register by"


def test_even_ground_and_grain_are_textureless_and_a_pattern_is_not() -> None:
    rng = np.random.default_rng(0)
    picture = np.full((BLOCK_PX, BLOCK_PX, 3), 110, np.uint8)
    picture[:, 128:] = (110 + rng.normal(0, 2.0, (BLOCK_PX, 128, 1))).astype(np.uint8)
    picture[128:, :128] = 40 + 150 * ((np.indices((128, 128)).sum(axis=0) // 9) % 2)[..., None]
    positions_m = np.array([[-32.0, 32.0], [32.0, 32.0], [-32.0, -32.0]])
    texture = measure_texture(over(picture, positions_m))
    assert texture.lacking(MIN_CONTRAST).tolist() == [True, True, False]
    assert texture.gradient[2] > 4 * LEAST_GRADIENT


def test_the_edge_of_the_map_is_no_texture() -> None:
    gallery = grid_gallery(0, 1)
    picture = np.full((BLOCK_PX, BLOCK_PX, 3), 200, np.uint8)
    mask = np.ones((BLOCK_PX, BLOCK_PX), np.bool_)
    mask[:, :130] = False
    writer = MosaicWriter(gallery.info.grid)
    writer.add_row(picture, mask)
    half = Gallery(gallery.info, gallery.descriptors(np.arange(1)), np.array([[0.0, 0.0]]), writer.finish())
    assert measure_texture(half).lacking(MIN_CONTRAST).all()


def test_every_tile_is_told_of_once() -> None:
    done: list[int] = []
    measure_texture(grid_gallery(0, 45), done.append)
    assert sum(done) == 45
