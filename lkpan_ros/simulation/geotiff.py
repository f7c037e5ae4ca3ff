"""A picture and its place on Earth as a GeoTIFF."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio
from rasterio.transform import from_origin

from lkpan_ros.errors import MapError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lkpan_ros.localization.geodesy import LocalFrame

_FORMAT = {
    "driver": "GTiff", "dtype": "uint8", "photometric": "RGB", "interleave": "pixel", "tiled": True,
    "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1, "predictor": 2, "num_threads": 2,
}  # fmt: skip


def write_geotiff(
    path: Path, image: NDArray[np.uint8], frame: LocalFrame, west_m: float, north_m: float, gsd_m: float
) -> None:
    """Write a north-up picture in the CRS of a local frame, lossless. The file appears when it is complete.

    Args:
        path: The file; one that exists is replaced.
        image: H x W x 3 uint8, RGB.
        frame: Whose east and north the picture is laid out in.
        west_m: East coordinate of its left edge, metres.
        north_m: North coordinate of its upper edge, metres.
        gsd_m: Size of a pixel, metres.

    Raises:
        MapError: It cannot be written.
    """
    rows, columns, bands = image.shape
    place = {"width": columns, "height": rows, "count": bands, "crs": frame.crs,
             "transform": from_origin(west_m, north_m, gsd_m, gsd_m)}  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tif")
        os.close(handle)
    except OSError as error:
        raise MapError(f"{path}: cannot be written ({error.strerror}); give another folder") from error
    partial = Path(name)
    try:
        with rasterio.open(partial, "w", **_FORMAT, **place) as sheet:
            sheet.write(image.transpose(2, 0, 1))
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise MapError(f"{path}: cannot be written ({error}); is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)
