"""Maps of every form: what lies at a latitude and longitude appears at the right metre, or there is a clear error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.raster import open_map
from test.localization import maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.raster import MapSource

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


def assert_mark_at(
    source: MapSource, lat: float, lon: float, gsd_m: float, tolerance_px: float = 0.5
) -> None:
    """The mark of the map lies at these degrees, by a window whose middle lies 7 m east and 4 m south of it."""
    frame = LocalFrame(source.center)
    east, north = frame.to_local(lat, lon)
    side = 2 * math.ceil(25 / gsd_m)
    west_m, north_m = east + 7 - side / 2 * gsd_m, north - 4 + side / 2 * gsd_m
    rgb, _ = source.read_local(frame, west_m, north_m, side, side, gsd_m)
    column, row = maps.find_mark(rgb)
    assert column == pytest.approx(side / 2 - 7 / gsd_m, abs=tolerance_px)
    assert row == pytest.approx(side / 2 - 4 / gsd_m, abs=tolerance_px)


@pytest.mark.parametrize("gsd_m", [0.3, 0.5, 1.3])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", from_origin(392_000, 5_820_000, 0.5, 0.5)),
        (
            "EPSG:32633",
            Affine.translation(392_000, 5_820_000) * Affine.rotation(-25) * Affine.scale(0.5, -0.5),
        ),
        ("EPSG:32633", Affine(0.5, 0, 392_000, 0, 0.5, 5_820_000)),  # south up
        ("EPSG:3857", from_origin(1_500_000, 8_400_000, 1.0, 1.0)),  # 60 degrees north: 0.5 m on the ground
        ("EPSG:4326", from_origin(13.4, 52.5, 7.37e-6, 4.49e-6)),
        (
            "EPSG:27700",
            from_origin(530_000, 180_000, 0.5, 0.5),
        ),  # another datum: 120 m if the shift were forgotten
    ],
)
def test_a_geotiff_of_any_crs_is_read_in_its_place(
    tmp_path: Path, crs: str, transform: Affine, gsd_m: float
) -> None:
    maps.write_geotiff(tmp_path / "map.tif", maps.marked(400, 300, 260, 90), transform, crs)
    source = open_map(tmp_path / "map.tif")
    x, y = transform * (260.5, 90.5)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    assert source.crs == crs
    assert source.gsd_m == pytest.approx(0.5, rel=0.02)
    assert_mark_at(source, lat, lon, gsd_m)


@pytest.mark.parametrize(("suffix", "tile_px"), [("png", 256), ("jpg", 256), ("webp", 256), ("png", 512)])
def test_an_xyz_folder_is_read_across_its_tiles_at_its_highest_zoom(
    tmp_path: Path, suffix: str, tile_px: int
) -> None:
    image = maps.marked(3 * tile_px, 2 * tile_px, tile_px, tile_px + 40)  # the mark lies on two tiles
    maps.write_xyz(tmp_path, image, 18, 140_000, 86_000, suffix, tile_px)
    maps.write_xyz(tmp_path, maps.marked(tile_px, tile_px), 17, 70_000, 43_000, suffix, tile_px)
    source = open_map(tmp_path)
    lat, lon = maps.xyz_to_degrees(
        18, 140_000 * tile_px + tile_px + 0.5, 86_000 * tile_px + tile_px + 40.5, tile_px
    )
    ground_m = 2 * math.pi * maps.EARTH_RADIUS_M / 2**18 / tile_px * math.cos(math.radians(lat))
    assert source.gsd_m == pytest.approx(ground_m, rel=0.005)
    assert_mark_at(source, lat, lon, ground_m)


def test_mbtiles_count_their_rows_from_the_south(tmp_path: Path) -> None:
    maps.write_mbtiles(tmp_path / "map.mbtiles", maps.marked(512, 512, 300, 100), 18, 140_000, 86_000)
    lat, lon = maps.xyz_to_degrees(18, 140_000 * 256 + 300.5, 86_000 * 256 + 100.5)
    assert_mark_at(open_map(tmp_path / "map.mbtiles"), lat, lon, 0.5)


@pytest.mark.parametrize("world_suffix", [".pgw", ".PGW", ".pngw", ".wld"])
def test_a_world_file_speaks_of_pixel_centres(tmp_path: Path, world_suffix: str) -> None:
    Image.fromarray(maps.marked(300, 200, 200, 50)).save(tmp_path / "map.png")
    # The centre of the first pixel lies at these coordinates (ESRI).
    (tmp_path / f"map{world_suffix}").write_text("0.8\n0\n0\n-0.8\n1500000.4\n6000000.6\n")
    lat, lon = maps.web_mercator_to_degrees(1_500_000.4 + 200 * 0.8, 6_000_000.6 - 50 * 0.8)
    assert_mark_at(open_map(tmp_path / "map.png", "EPSG:3857"), lat, lon, 0.5, tolerance_px=0.3)


def test_the_images_of_a_csv_form_one_map(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(maps.marked(200, 200)).save(tmp_path / "west.png")
    Image.fromarray(maps.marked(200, 200, 60, 150)).save(tmp_path / "pictures" / "east.jpg", quality=95)
    maps.write_csv(
        tmp_path / "map.csv",
        [("west.png", 47.001, 8.0, 47.0, 8.0015), ("pictures/east.jpg", 47.001, 8.0015, 47.0, 8.003)],
    )
    source = open_map(tmp_path / "map.csv")
    assert source.center == LatLon(47.0005, 8.0015)
    lat, lon = 47.001 - 150.5 / 200 * 0.001, 8.0015 + 60.5 / 200 * 0.0015
    assert_mark_at(source, lat, lon, 0.5)
    _, mask = source.read_local(LocalFrame(source.center), -50.0, 40.0, 200, 160, 0.5)
    assert mask.all(), "a gap between neighbouring images"


def test_a_coarse_window_averages_and_a_fine_one_interpolates(tmp_path: Path) -> None:
    checker = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    maps.write_geotiff(tmp_path / "map.tif", checker, from_origin(392_000, 5_820_000, 0.5, 0.5), "EPSG:32633")
    source = open_map(tmp_path / "map.tif")
    for gsd_m in (1.0, 1.5, 2.0, 3.7):
        coarse, _ = source.read_local(
            LocalFrame(source.center), -50.0, 50.0, round(100 / gsd_m), round(100 / gsd_m), gsd_m
        )
        assert np.abs(coarse.astype(float) - 127.5).max() < 40, "aliases of the pattern"
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(256, axis=0).repeat(3, axis=2)
    maps.write_geotiff(tmp_path / "ramp.tif", ramp, from_origin(500_000, 5_820_000, 1.0, 1.0), "EPSG:32633")
    source = open_map(tmp_path / "ramp.tif")
    fine, _ = source.read_local(LocalFrame(source.center), -10.0, 10.0, 80, 80, 0.25)
    assert len(np.unique(np.diff(fine[40, :, 0].astype(int)))) <= 2, "steps of whole pixels"
    assert fine[40, -1, 0] - fine[40, 0, 0] == pytest.approx(20, abs=1)


@dataclass(frozen=True, eq=False)
class Whole:
    """A smooth map, read in one window of several pieces."""

    source: MapSource
    frame: LocalFrame
    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    path = tmp_path_factory.mktemp("whole") / "map.tif"
    rows, columns = np.indices((1100, 1400))
    waves = np.stack([np.sin(columns / 9), np.sin(rows / 9), np.cos((columns + rows) / 14)], axis=2)
    place = from_origin(392_000, 5_820_000, 0.45, 0.45)
    maps.write_geotiff(path, (127 + 90 * waves).astype(np.uint8), place, "EPSG:32633", tiled=True)
    source = open_map(path)
    frame = LocalFrame(source.center)
    return Whole(source, frame, *source.read_local(frame, -320.0, 260.0, 1300, 1000, 0.5))


@settings(max_examples=25, deadline=None)
@given(
    left=st.integers(0, 1000), top=st.integers(0, 700), width=st.integers(1, 300), height=st.integers(1, 300)
)
def test_a_part_of_a_window_shows_what_the_whole_shows(
    whole: Whole, left: int, top: int, width: int, height: int
) -> None:
    part, mask = whole.source.read_local(
        whole.frame, -320.0 + left * 0.5, 260.0 - top * 0.5, width, height, 0.5
    )
    here = np.s_[top : top + height, left : left + width]
    both = whole.mask[here] & mask
    # GDAL places pixels within 1/8 pixel, on which the waves rise by 2 and at the edge of the map a pixel more or
    # less is inside.
    assert np.abs(whole.rgb[here].astype(int) - part)[both].max(initial=0) <= 3
    assert (whole.mask[here] != mask).sum() <= 2 * (width + height)


UTM = {"transform": from_origin(392_000, 5_820_000, 0.5, 0.5), "crs": "EPSG:32633"}
HALF = np.s_[:, :100]  # the western half of 200 columns is nodata


def _nodata_map(kind: str) -> dict[str, Any]:
    image = maps.marked(200, 200)
    valid = np.full((200, 200), 255, np.uint8)
    valid[HALF] = 0
    if kind == "nodata value":
        image[HALF] = 0
        return {"image": image, "nodata": 0}
    if kind == "alpha band":
        return {
            "image": np.dstack([image, valid]),
            "colorinterp": [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha],
        }
    if kind == "mask band":
        return {"image": image, "mask": valid}
    return {"image": np.dstack([image[..., :1], valid]), "colorinterp": [ColorInterp.gray, ColorInterp.alpha]}


@pytest.mark.parametrize("gsd_m", [0.5, 1.7])
@pytest.mark.parametrize("kind", ["nodata value", "alpha band", "mask band", "grey and alpha"])
def test_nodata_is_masked_and_does_not_bleed(tmp_path: Path, kind: str, gsd_m: float) -> None:
    maps.write_geotiff(tmp_path / "map.tif", **_nodata_map(kind), **UTM)
    source = open_map(tmp_path / "map.tif")
    side = round(60 / gsd_m)
    rgb, mask = source.read_local(
        LocalFrame(source.center), -side / 2 * gsd_m, side / 2 * gsd_m, side, side, gsd_m
    )
    assert mask[:, side // 2 + 2 :].all()
    assert not mask[:, : side // 2 - 2].any()
    assert (rgb[~mask] == 0).all()
    colour = maps.GROUND if kind != "grey and alpha" else (maps.GROUND[0],) * 3
    assert np.abs(rgb[mask].astype(int) - colour).max() <= 2


def test_missing_tiles_are_nodata(tmp_path: Path) -> None:
    maps.write_xyz(tmp_path, maps.marked(512, 512), 18, 140_000, 86_000)
    (tmp_path / "18" / "140001" / "86001.png").unlink()
    source = open_map(tmp_path)
    _, mask = source.read_local(LocalFrame(source.center), -50.0, 50.0, 200, 200, 0.5)
    assert mask[:98].all()
    assert mask[:, :98].all()
    assert not mask[102:, 102:].any()


def test_bounds_hold_all_sheets(tmp_path: Path) -> None:
    maps.write_geotiff(tmp_path / "map.tif", maps.marked(400, 300), **UTM)
    source = open_map(tmp_path / "map.tif")
    assert source.bounds.west == 392_000
    assert source.bounds.south == 5_820_000 - 150
    local = source.local_bounds(LocalFrame(source.center))
    # Grid north of UTM is turned by 1.2 degrees here, so the rectangle is a little larger than the map.
    assert 200 < local.east - local.west < 207
    assert 150 < local.north - local.south < 157


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the shared imagery is not here")
@pytest.mark.parametrize(
    ("path", "crs", "center", "gsd_m"),
    [
        ("ariel/tiles", None, LatLon(32.10468, 35.20775), 0.506),
        ("wildnav/map.csv", None, LatLon(60.40474, 22.46587), 0.135),
        ("himachal/map.png", "EPSG:3857", LatLon(31.78143, 76.99932), 1.12),
    ],
)
def test_real_maps_open(path: str, crs: str | None, center: LatLon, gsd_m: float) -> None:
    source = open_map(SHARED_DATA / path, crs)
    assert source.center.lat_deg == pytest.approx(center.lat_deg, abs=1e-4)
    assert source.center.lon_deg == pytest.approx(center.lon_deg, abs=1e-4)
    assert source.gsd_m == pytest.approx(gsd_m, rel=0.01)
    rgb, mask = source.read_local(LocalFrame(source.center), 100.0, -200.0, 64, 64, 1.0)
    assert mask.all()
    assert rgb.std() > 5
