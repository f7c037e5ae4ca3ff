from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from lkpan_ros.errors import MapError
from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.geodesy import LatLon, distance_m
from lkpan_ros.localization.mosaic import Mosaic, MosaicWriter, PixelGrid
from lkpan_ros.localization.raster import open_map
from lkpan_ros.simulation.appearance import MAP_APPEARANCE, Appearance
from lkpan_ros.simulation.camera import CameraPose, SimulatedCamera
from lkpan_ros.simulation.geotiff import write_geotiff
from lkpan_ros.simulation.ground import Ground
from test.simulation.conftest import FRAME, plain_ground

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.simulation.world import World


@pytest.fixture(scope="module")
def map_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.tif"
    write_geotiff(path, world.texture(MAP_APPEARANCE), world.frame, world.west_m, world.north_m, world.gsd_m)
    return path


def test_the_geotiff_holds_the_world_to_the_pixel_and_the_centimetre(world: World, map_file: Path) -> None:
    with rasterio.open(map_file) as sheet:
        assert np.array_equal(sheet.read().transpose(1, 2, 0), world.texture(MAP_APPEARANCE))
        to_degrees = Transformer.from_crs(sheet.crs, "EPSG:4326", always_xy=True)
        for column, row in ((0, 0), (sheet.width, 0), (sheet.width, sheet.height), (17, 211)):
            lon, lat = to_degrees.transform(*(sheet.transform @ (column, row)))
            east = world.west_m + column * world.gsd_m
            north = world.north_m - row * world.gsd_m
            assert distance_m(LatLon(lat, lon), world.frame.point(east, north)) < 0.01


def test_a_geotiff_that_cannot_be_written_leaves_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    image = world.texture(MAP_APPEARANCE)
    with pytest.raises(MapError, match="cannot be written"):
        write_geotiff(tmp_path / "file" / "map.tif", image, world.frame, 0.0, 50.0, 0.6)
    with pytest.raises(MapError, match="cannot be written"):
        write_geotiff(tmp_path, image, world.frame, 0.0, 50.0, 0.6)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_users_map_is_flown_over_where_it_is(world: World, map_file: Path) -> None:
    ground = Ground.from_map(open_map(map_file))
    known = Ground.from_world(world, MAP_APPEARANCE)
    place = world.frame.point(31.0, -54.0)
    column, row = ground.pixel(*ground.frame.to_local(place.lat_deg, place.lon_deg))
    truth_column, truth_row = known.pixel(31.0, -54.0)
    assert ground.height is None

    def likeness(dx: int, dy: int) -> float:
        """Of the map about the place to the world about the same place, moved by some pixels."""
        one = _about(ground.levels[0], column + dx, row + dy)
        return float(np.corrcoef(one, _about(known.levels[0], truth_column, truth_row))[0, 1])

    scores = {(dx, dy): likeness(dx, dy) for dx in range(-3, 4) for dy in range(-3, 4)}
    best = max(scores, key=lambda shift: scores[shift])
    assert max(abs(best[0]), abs(best[1])) <= 1
    assert scores[best] > 0.93


def _about(image: NDArray[np.uint8], column: float, row: float) -> NDArray[np.uint8]:
    x, y = round(column), round(row)
    return image[y - 20 : y + 20, x - 20 : x + 20].ravel()


def test_the_light_over_a_users_map_can_be_another(map_file: Path) -> None:
    bright, dark = (
        Ground.from_map(open_map(map_file), Appearance(brightness=b, visibility_m=1e6)) for b in (1.2, 0.8)
    )
    assert float(bright.levels[0].mean()) > float(dark.levels[0].mean()) + 20.0


def test_a_hole_in_a_users_map_is_no_data_and_nowhere_to_look_at(world: World, tmp_path: Path) -> None:
    profile = {
        "driver": "GTiff", "width": 400, "height": 400, "count": 4, "dtype": "uint8", "crs": world.frame.crs,
        "transform": rasterio.transform.from_origin(-100.0, 100.0, 0.5, 0.5), "photometric": "RGB", "alpha": "YES",
    }  # fmt: skip
    pixels = np.full((4, 400, 400), 180, np.uint8)
    pixels[3] = 255
    pixels[3, :, :200] = 0  # the western half
    with rasterio.open(tmp_path / "half.tif", "w", **profile) as sheet:
        sheet.write(pixels)
    ground = Ground.from_map(open_map(tmp_path / "half.tif"))
    assert ground.contains(50.0, 0.0)
    assert not ground.contains(-50.0, 0.0)
    assert not ground.contains(150.0, 0.0)
    camera = SimulatedCamera(Intrinsics.from_field_of_view(200, 100, 60.0), no_data=(9, 99, 9))
    picture = camera.render(ground, CameraPose(0.0, 0.0, 60.0, Attitude(0.0, 0.0)))
    assert tuple(picture[50, 20]) == (9, 99, 9)
    assert tuple(picture[50, 180]) == (180, 180, 180)


@cache
def mosaic(rows: int = 2, columns: int = 3) -> tuple[Mosaic, NDArray[np.uint8]]:
    """Smooth pixels of 0.4 m, which JPEG keeps well, the north-west corner at (-30, 80); one block is not known."""
    east, south = np.meshgrid(np.arange(columns * 256), np.arange(rows * 256))
    waves = [120 + 60 * np.sin(east / 17 + k) + 60 * np.cos(south / 23 - k) for k in (0, 1, 2)]
    pixels = np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)
    writer = MosaicWriter(PixelGrid(-30.0, 80.0, 0.4, columns, rows))
    mask = np.ones(pixels.shape[:2], np.bool_)
    mask[256:, 512:] = False
    for top in range(0, rows * 256, 256):
        writer.add_row(pixels[top : top + 256], mask[top : top + 256])
    return writer.finish(), pixels


@settings(max_examples=25)
@given(east_m=st.floats(30.0, 200.0), north_m=st.floats(-60.0, 20.0), size_m=st.floats(10.0, 60.0))
def test_a_gallerys_map_is_flown_over_where_it_is(east_m: float, north_m: float, size_m: float) -> None:
    kept, pixels = mosaic()
    ground = Ground.from_mosaic(kept, FRAME, (east_m, north_m), size_m)
    assert ground.size_m == pytest.approx((size_m, size_m), abs=0.4)
    column, row = (round(v) for v in ground.pixel(east_m, north_m))
    assert abs(column - len(ground.levels[0]) / 2) <= 1.5
    left, top = round((ground.west_m + 30.0) / 0.4), round((80.0 - ground.north_m) / 0.4)
    known = top + row < 256 or left + column < 512
    expected = pixels[top + row, left + column].astype(float) * known
    assert ground.contains(east_m, north_m) == known
    assert np.abs(ground.levels[0][row, column] - expected).max() < 12
    assert ground.frame is FRAME


def test_what_a_gallery_does_not_know_is_no_ground() -> None:
    ground = Ground.from_mosaic(mosaic()[0], FRAME, (174.8, -22.4), 60.0)  # the corner of four blocks
    assert ground.contains(160.0, -10.0)
    assert not ground.contains(190.0, -40.0)


def test_a_large_piece_of_a_gallerys_map_is_read_at_a_lower_resolution() -> None:
    ground = Ground.from_mosaic(mosaic()[0], FRAME, (100.0, 0.0), 200.0, max_px=100)
    assert ground.levels[0].shape == (100, 100, 3)
    assert ground.gsd_m == pytest.approx(2.0)
    assert ground.size_m == pytest.approx((200.0, 200.0))


def test_change_is_as_strong_as_asked_for_and_of_the_seed() -> None:
    ground = plain_ground(200.0, 0.5, grey=100)
    image = ground.changed(0.2, seed=3).levels[0]
    assert np.log(image / 100.0).std() == pytest.approx(0.2, rel=0.1)
    assert np.log(image.mean() / 100.0) == pytest.approx(0.0, abs=0.1)
    assert np.array_equal(image, ground.changed(0.2, seed=3).levels[0])
    assert not np.array_equal(image, ground.changed(0.2, seed=4).levels[0])
    assert np.array_equal(ground.changed(0.0, seed=3).levels[0], ground.levels[0])
    assert ground.changed(0.2, seed=3).levels[1].shape == ground.levels[1].shape


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((1, 9, 3), np.uint8)]
)
def test_a_picture_that_is_no_ground_is_refused(world: World, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="a ground needs"):
        Ground.from_image(image, world.frame, 0.0, 0.0, 1.0)
