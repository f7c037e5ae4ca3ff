"""Maps of every form, made by code: a dark ground with one bright mark at a known pixel."""

from __future__ import annotations

import csv
import io
import math
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.transform import Affine

MARK = (250, 240, 230)
GROUND = (60, 80, 40)
EARTH_RADIUS_M = 6_378_137.0  # of the Web Mercator sphere


def marked(width: int, height: int, column: int | None = None, row: int | None = None) -> NDArray[np.uint8]:
    """H x W x 3 uint8 with a mark of 5 x 5 pixels about the centre of pixel (column, row)."""
    image = np.full((height, width, 3), GROUND, np.uint8)
    if column is not None and row is not None:
        image[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = MARK
    return image


def find_mark(rgb: NDArray[np.uint8]) -> tuple[float, float]:
    """Column and row of the mark's centre, counted from the window's top-left corner, pixels."""
    weight = np.clip(rgb[..., 2].astype(float) - GROUND[2] - 20, 0, None)
    assert weight.max() > 60, "there is no mark"
    rows, columns = np.indices(weight.shape) + 0.5
    return float((columns * weight).sum() / weight.sum()), float((rows * weight).sum() / weight.sum())


def write_geotiff(
    path: Path, image: NDArray[Any], transform: Affine, crs: str | None, **profile: Any
) -> None:
    """image: H x W x B."""
    profile = {"driver": "GTiff", "dtype": image.dtype, "count": image.shape[2], **profile}
    mask = profile.pop("mask", None)
    colours = profile.pop("colorinterp", None)
    with rasterio.open(
        path, "w", width=image.shape[1], height=image.shape[0], transform=transform, crs=crs, **profile
    ) as dataset:
        if colours is not None:
            dataset.colorinterp = colours
        dataset.write(np.moveaxis(image, 2, 0))
        if mask is not None:
            dataset.write_mask(mask)


def web_mercator_to_degrees(x_m: float, y_m: float) -> tuple[float, float]:
    """Latitude and longitude (spherical formulas of EPSG:3857)."""
    return math.degrees(math.atan(math.sinh(y_m / EARTH_RADIUS_M))), math.degrees(x_m / EARTH_RADIUS_M)


def encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    data = io.BytesIO()
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(image).save(data, kind, **options)
    return data.getvalue()


def write_xyz(
    folder: Path, image: NDArray[np.uint8], zoom: int, x: int, y: int, suffix: str = "png", tile_px: int = 256
) -> None:
    """An image whose sides are multiples of the tile's, from tile (x, y) on."""
    kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]
    for j in range(image.shape[0] // tile_px):
        for i in range(image.shape[1] // tile_px):
            tile = image[j * tile_px : (j + 1) * tile_px, i * tile_px : (i + 1) * tile_px]
            path = folder / str(zoom) / str(x + i) / f"{y + j}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(tile, kind))


def xyz_to_degrees(zoom: int, column_px: float, row_px: float, tile_px: int = 256) -> tuple[float, float]:
    """Latitude and longitude of a pixel of the whole zoom (OpenStreetMap's slippy map formulas)."""
    n = 2**zoom * tile_px
    return (
        math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row_px / n)))),
        column_px / n * 360 - 180,
    )


def write_mbtiles(path: Path, image: NDArray[np.uint8], zoom: int, x: int, y: int) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)")
        for j in range(image.shape[0] // 256):
            for i in range(image.shape[1] // 256):
                tile = encoded(image[j * 256 : (j + 1) * 256, i * 256 : (i + 1) * 256], "PNG")
                row = (zoom, x + i, 2**zoom - 1 - (y + j), tile)
                database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", row)
    database.close()


def write_csv(
    path: Path, rows: Sequence[Sequence[object]], header: str = "file,north,west,south,east"
) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
