"""Small galleries made by code, without a map and without an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_model.config import variant
from lkpan_model.identity import EncoderIdentity
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_info import GalleryInfo
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.mosaic import BLOCK_PX, MosaicWriter, PixelGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDENTITY = EncoderIdentity(variant("lite"), "0123abcd" * 8, "rgb 128x128")


def make_gallery(descriptors: NDArray[np.floating[Any]], positions_m: NDArray[np.float64]) -> Gallery:
    """With one block of pixels."""
    grid = PixelGrid(west_m=-64.0, north_m=64.0, gsd_m=0.5, columns=1, rows=1)
    writer = MosaicWriter(grid)
    pixels = np.random.default_rng(0).integers(0, 255, (BLOCK_PX, BLOCK_PX, 3), np.uint8)
    mask = np.ones((BLOCK_PX, BLOCK_PX), np.bool_)
    mask[:9] = False
    writer.add_row(pixels, mask)
    info = GalleryInfo(
        datum=LatLon(47.0, 8.0),
        tile_size_m=32.0,
        stride_m=16.0,
        tile_px=64,
        grid=grid,
        source_name="map.tif",
        source_crs="EPSG:4326",
        source_bounds=(7.9, 46.9, 8.1, 47.1),
        encoder=IDENTITY.to_dict(),
        created_by="a test",
    )
    return Gallery(info, descriptors, positions_m, writer.finish())


def unit(rng: np.random.Generator, count: int, dim: int) -> NDArray[np.float32]:
    return scaled(rng.normal(size=(count, dim)))


def scaled(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """To unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def grid_gallery(seed: int, count: int, dim: int = 8) -> Gallery:
    rng = np.random.default_rng(seed)
    positions = np.stack([np.arange(count) % 7 * 16.0, 100.0 - np.arange(count) // 7 * 16.0], axis=1)
    return make_gallery(unit(rng, count, dim), positions)
