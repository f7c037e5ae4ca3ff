"""A small world made by code: a map, weights that nobody trained, the gallery of both, and pictures taken over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from lkpan_model.checkpoint import save
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.network import LKPAN
from lkpan_ros.localization.gallery_build import build
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

DATUM = LatLon(47.4, 8.5)
SIZE_M = 210.0
GSD_M = 0.5
TILE_M = 90.0
STRIDE_M = 30.0
HEIGHT_M = 100.0
CAMERA_PX = (480, 360)
FOCAL_PX = 400.0
TILE = 12  # in the middle
# Weights that nobody trained know a picture of the very map, and little else.
EASY = {"similarity.temperature": 0.01, "similarity.none_of_these": 0.0, "gate.min_probability": 0.6}


@dataclass(frozen=True)
class SmallWorld:
    """Where its files are, and the gallery itself."""

    map: Path
    weights: Path
    gallery_file: Path
    gallery: Gallery
    picture: NDArray[np.uint8]

    @property
    def parameters(self) -> dict[str, Any]:
        """What a localizer of this world is started with."""
        return EASY | {
            "gallery.path": self.gallery_file,
            "encoder.weights": self.weights,
            "encoder.precision": "fp32",
            "sync.max_wait_s": 1.0,
            "autostart": True,
        }

    def metres_off(self, lat_deg: float, lon_deg: float, tile: int) -> float:
        """How far a point is from a tile's centre."""
        here = self.gallery.frame.to_local(lat_deg, lon_deg)
        return float(np.linalg.norm(here - self.gallery.positions_m[tile]))

    def view(self, tile: int) -> NDArray[np.uint8]:
        """What a camera straight above a tile's centre sees, north up: H x W x 3 uint8."""
        east, north = self.gallery.positions_m[tile]
        width, height = CAMERA_PX
        point = self.gallery.frame.point(east, north)
        east, north = LocalFrame(DATUM).to_local(point.lat_deg, point.lon_deg)
        ground_px = FOCAL_PX / HEIGHT_M * GSD_M  # camera pixels a map pixel
        column = (east + SIZE_M / 2) / GSD_M - 0.5
        row = (SIZE_M / 2 - north) / GSD_M - 0.5
        turn = np.array(
            [
                [ground_px, 0.0, (width - 1) / 2 - ground_px * column],
                [0.0, ground_px, (height - 1) / 2 - ground_px * row],
            ]
        )
        return np.asarray(
            cv2.warpAffine(self.picture, turn, (width, height), flags=cv2.INTER_LINEAR), np.uint8
        )


def make_world(folder: Path) -> SmallWorld:
    """Write map, weights and gallery into a folder."""
    picture = _picture()
    map_file = folder / "map.tif"
    with rasterio.open(
        map_file,
        "w",
        driver="GTiff",
        width=picture.shape[1],
        height=picture.shape[0],
        count=3,
        dtype="uint8",
        crs=LocalFrame(DATUM).crs,
        transform=from_origin(-SIZE_M / 2, SIZE_M / 2, GSD_M, GSD_M),
    ) as raster:
        raster.write(np.moveaxis(picture, -1, 0))
    weights = folder / "random.safetensors"
    torch.manual_seed(0)
    config = variant("lite")
    save(weights, LKPAN(config).eval(), config)
    source, encoder = open_map(map_file), Encoder(weights, device="cpu", precision="fp32")
    gallery = build(source, encoder, plan(source, TILE_M, STRIDE_M))
    gallery_file = folder / "gallery.lkpan"
    gallery.save(gallery_file)
    return SmallWorld(map_file, weights, gallery_file, gallery, picture)


def _picture() -> NDArray[np.uint8]:
    """Patches of many sizes and colours, no two places alike."""
    rng = np.random.default_rng(7)
    side = int(SIZE_M / GSD_M)
    picture = np.zeros((side, side, 3), np.float32)
    for cells, weight in ((5, 1.0), (20, 0.8), (80, 0.5)):
        noise = rng.random((cells, cells, 3), np.float32)
        picture += weight * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    low, high = picture.min(), picture.max()
    return np.asarray((picture - low) / (high - low) * 255.0).astype(np.uint8)
