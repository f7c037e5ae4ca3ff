"""Maps of every kind of band: what is read is red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.raster import open_map
from test.localization import maps

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UTM = {"transform": from_origin(392_000, 5_820_000, 0.5, 0.5), "crs": "EPSG:32633"}


def _bands(*values: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.tile(np.array(values, dtype), (64, 64, 1))


RGB = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]


@pytest.mark.parametrize(
    ("image", "colours", "expected"),
    [
        (_bands(90), [ColorInterp.gray], (90, 90, 90)),
        (_bands(10, 20, 30), RGB, (10, 20, 30)),
        (_bands(10, 20, 30), RGB[::-1], (30, 20, 10)),
        (_bands(10, 20, 30, 200), [*RGB, ColorInterp.undefined], (10, 20, 30)),  # the fourth: near infrared
        (_bands(10, 20, 30, dtype=np.uint16), RGB, (10, 20, 30)),
    ],
)
def test_bands_become_red_green_blue(
    tmp_path: Path, image: NDArray[Any], colours: list[ColorInterp], expected: tuple[int, ...]
) -> None:
    maps.write_geotiff(tmp_path / "map.tif", image, **UTM, colorinterp=colours)
    source = open_map(tmp_path / "map.tif")
    rgb, mask = source.read_local(LocalFrame(source.center), -5.0, 5.0, 20, 20, 0.5)
    assert mask.all()
    assert (rgb == expected).all()


def test_16_bits_are_scaled_alike_everywhere_and_in_every_band(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(1000, 3000, (256, 256, 3)).astype(np.uint16)
    image[:20] = 0  # nodata must not count as dark ground
    image[100:140, 100:140] = (1200, 2000, 2800)
    maps.write_geotiff(tmp_path / "map.tif", image, **UTM, nodata=0)
    source = open_map(tmp_path / "map.tif")
    rgb, _ = source.read_local(LocalFrame(source.center), -3.0, 3.0, 6, 6, 1.0)
    expected = (np.array([1200, 2000, 2800]) - 1000) / 2000 * 255
    assert np.abs(rgb.mean(axis=(0, 1)) - expected).max() < 8


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    picture = Image.fromarray(np.tile(np.array([0, 1], np.uint8).repeat(32), (64, 1)), "P")
    picture.putpalette([200, 10, 20, 30, 40, 250])
    picture.save(tmp_path / "map.png")
    maps.write_csv(tmp_path / "map.csv", [("map.png", 47.001, 8.0, 47.0, 8.0015)])
    source = open_map(tmp_path / "map.csv")
    rgb, _ = source.read_local(LocalFrame(source.center), -40.0, 5.0, 8, 1, 10.0)
    assert (rgb[0, :3] == (200, 10, 20)).all()
    assert (rgb[0, 5:] == (30, 40, 250)).all()
