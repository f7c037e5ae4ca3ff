"""Pictures of a map opened by rasterio: only what is a picture, and only what unpacks in proportion to its file."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from lkpan_ros.errors import MapError

if TYPE_CHECKING:
    from pathlib import Path

MAX_IMAGE_PX = 500_000_000  # formats that cannot be read in part (WebP) must fit into memory
_OPEN_FILES = 16
_ALWAYS_UNPACKED, _MOST_RATIO = 64 * 1024 * 1024, 1100  # bytes; deflate makes at most 1032 bytes of one
# GDAL's drivers by how their files start: names lie, and other drivers (VRT, ...) follow links out of the file.
_MAGIC = {
    "GTiff": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "PNG": re.compile(rb"\x89PNG"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
}


@lru_cache(maxsize=_OPEN_FILES)
def _open_cached(path: Path, _modified_ns: int, _size: int) -> rasterio.DatasetReader:
    with path.open("rb") as file:
        start = file.read(12)
    driver = next((name for name, magic in _MAGIC.items() if magic.match(start)), None)
    if driver is None:
        raise MapError(f"{path}: is no TIFF, PNG, JPEG, WebP or BMP picture; convert it (gdal_translate)")
    try:
        with strict_gdal(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # world files and CSVs place those
            dataset = rasterio.open(path, driver=driver)
    except RasterioError as error:
        raise damaged(str(path), error) from error
    if driver != "GTiff" and dataset.width * dataset.height > MAX_IMAGE_PX:
        raise MapError(
            f"{path}: {dataset.width}x{dataset.height} is more than {MAX_IMAGE_PX} pixels; "
            "convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)"
        )
    _check_blocks(dataset, path)
    return dataset


def _check_blocks(dataset: rasterio.DatasetReader, path: Path) -> None:
    """What is unpacked at once, a block or a whole picture, must be in proportion to the file."""
    whole = dataset.driver in {"WEBP", "JPEG"}  # a progressive JPEG is unpacked as a whole
    sizes = dataset.block_shapes if not whole else [(dataset.height, dataset.width)]
    most = max(height * width for height, width in sizes)
    unpacked = most * sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    allowed = max(_ALWAYS_UNPACKED, path.stat().st_size * _MOST_RATIO)
    if unpacked > allowed:
        raise MapError(
            f"{path}: unpacks {unpacked / 1e6:.0f} MB at once, more than a file of {path.stat().st_size} bytes may; "
            "convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)"
        )


def open_dataset(path: Path) -> rasterio.DatasetReader:
    """The file opened by rasterio; the last few stay open, since PNG and JPEG are costly to enter in the middle.

    Raises:
        MapError: It is missing, damaged, no raster or too large for its format.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise MapError(f"{path}: cannot be read ({error.strerror}); give the path of a map") from error
    return _open_cached(path, status.st_mtime_ns, status.st_size)


def strict_gdal() -> rasterio.Env:
    """A truncated JPEG is an error, not a grey rest."""
    return rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True)


def damaged(name: str, error: Exception) -> MapError:
    """The error to raise for a picture that cannot be read."""
    reason = " ".join(str(error.__cause__ or error).split())
    return MapError(f"{name}: cannot be read as a picture ({reason}); make or download it again")
