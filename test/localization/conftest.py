"""A small map made by code, the gallery of it, and frames that look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from lkpan_model.encoder import Encoder
from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.gallery_build import build
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from lkpan_ros.localization.types import Frame
from test.localization.thumbnails import Thumbnails

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

MAP_M, MAP_GSD_M = 390.0, 0.6  # tiles of 90 m every 30 m lie at multiples of 30 m about its middle


@dataclass(frozen=True)
class Ground:
    """A square map about a datum: its pixels, and what a camera without faults sees of it."""

    frame: LocalFrame
    image: NDArray[np.uint8]

    def photograph(
        self, east_m: float, north_m: float, height_m: float, attitude: Attitude, camera: Intrinsics
    ) -> NDArray[np.uint8]:
        """The picture from a place, by the homography between the ground plane and the camera."""
        camera_from_world = attitude.rotation().T
        # Map pixel (column, row, 1) to metres relative to the camera, to the camera, to the picture.
        metres = np.array(
            [
                [MAP_GSD_M, 0.0, -MAP_M / 2 + MAP_GSD_M / 2 - east_m],
                [0.0, -MAP_GSD_M, MAP_M / 2 - MAP_GSD_M / 2 - north_m],
                [0.0, 0.0, -height_m],
            ]
        )
        homography = camera.matrix @ camera_from_world @ metres
        size = (camera.width_px, camera.height_px)
        return np.asarray(cv2.warpPerspective(self.image, homography, size, flags=cv2.INTER_LINEAR), np.uint8)

    def look(
        self, east_m: float, north_m: float, attitude: Attitude, stamp_s: float = 1.0, **known: Any
    ) -> Frame:
        """The frame whose optical axis meets the ground at a place, from 100 m."""
        camera = Intrinsics.from_field_of_view(320, 240, 70.0)
        axis = attitude.rotation()[:, 2]
        offset = 100.0 * axis[:2] / -axis[2]
        image = self.photograph(east_m - offset[0], north_m - offset[1], 100.0, attitude, camera)
        facts = {"intrinsics": camera, "attitude": attitude, "height_m": 100.0, **known}
        return Frame(stamp_s, image, **facts)


@pytest.fixture(scope="session")
def ground() -> Ground:
    rng = np.random.default_rng(7)
    size = round(MAP_M / MAP_GSD_M)
    image = np.zeros((size, size, 3), np.float32)
    for scale in (6, 20, 60):
        noise = rng.uniform(0, 255, (scale, scale, 3)).astype(np.float32)
        image += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / 3
    for _ in range(120):  # roofs
        x, y = rng.integers(0, size, 2)
        colour = rng.integers(0, 255, 3).tolist()
        cv2.rectangle(
            image,
            (int(x), int(y)),
            (int(x + rng.integers(10, 50)), int(y + rng.integers(10, 50))),
            colour,
            -1,
        )
    return Ground(LocalFrame(LatLon(47.0, 8.0)), image.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def map_file(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.tif"
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": len(ground.image), "width": len(ground.image),
        "crs": ground.frame.crs, "transform": from_origin(-MAP_M / 2, MAP_M / 2, MAP_GSD_M, MAP_GSD_M),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.moveaxis(ground.image, 2, 0))
    return path


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The shipped weights, on one thread: other processes of the tests want to run, too."""
    return Encoder("lite", threads=1)


@pytest.fixture(scope="session")
def gallery(map_file: Path, encoder: Encoder) -> Gallery:
    source = open_map(map_file)
    return build(source, encoder, plan(source, tile_size_m=90.0, stride_m=30.0))


@pytest.fixture(scope="session")
def plain_gallery(map_file: Path) -> Gallery:
    """The same map, described without a network."""
    source = open_map(map_file)
    return build(source, Thumbnails(), plan(source, tile_size_m=90.0, stride_m=30.0))


@pytest.fixture(scope="session")
def twice(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Of a map of 480 x 180 m whose westernmost 150 m are there again 300 m further east, with a flat strip between."""
    rng = np.random.default_rng(11)
    image = np.asarray(cv2.resize(rng.integers(0, 255, (36, 96, 3), np.uint8), (800, 300)))
    for _ in range(150):
        x, y, width, height = (int(v) for v in rng.integers((0, 0, 8, 8), (800, 300, 50, 50)))
        cv2.rectangle(image, (x, y), (x + width, y + height), rng.integers(0, 255, 3).tolist(), -1)
    image[:, 500:750] = image[:, :250]
    image[:, 290:460] = 120  # 174 to 276 m from the western edge
    path = tmp_path_factory.mktemp("twice") / "map.tif"
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": 300, "width": 800,
        "crs": LocalFrame(LatLon(47.0, 8.0)).crs, "transform": from_origin(-240.0, 90.0, 0.6, 0.6),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.moveaxis(image, 2, 0))
    source = open_map(path)
    return build(source, encoder, plan(source, tile_size_m=90.0, stride_m=30.0))
