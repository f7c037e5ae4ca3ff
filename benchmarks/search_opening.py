"""How a gallery of a million tiles opens: from its file (in the page cache) to the first answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.search_data import positions_m
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_info import GalleryInfo, IndexInfo
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.mosaic import BLOCK_PX, MosaicWriter, PixelGrid
from lkpan_ros.tools.trial_site import STRIDE_M

if TYPE_CHECKING:
    from numpy.typing import NDArray


def opening(
    tiles: NDArray[np.float16],
    info: IndexInfo,
    blob: NDArray[np.uint8],
    view: NDArray[np.float32],
    path: Path,
    candidates: int,
) -> dict[str, float]:
    """A gallery of these tiles: bytes, seconds until it is open, seconds of the first search, memory taken."""
    writer = MosaicWriter(PixelGrid(0.0, 0.0, 0.5, 1, 1))
    writer.add_row(np.zeros((BLOCK_PX, BLOCK_PX, 3), np.uint8), np.ones((BLOCK_PX, BLOCK_PX), np.bool_))
    mosaic = writer.finish()
    words = GalleryInfo(
        LatLon(47.0, 8.0), 90.0, STRIDE_M, 180, mosaic.grid, "grown", "EPSG:4326", (8.0, 47.0, 8.0, 47.0), {}, "", info,
    )  # fmt: skip
    pixels = {name: getattr(mosaic, name) for name in ("data", "offsets", "mask_row", "masks")}
    arrays = {"descriptors": tiles, "positions_m": positions_m(len(tiles)), "index": blob, **pixels}
    gallery_file.write(path, words.to_json(), arrays)
    anonymous = _anonymous_bytes()
    began = time.perf_counter()
    gallery = Gallery.load(path)
    opened = time.perf_counter()
    gallery.search(view[None], candidates)
    done = time.perf_counter()
    figures = {
        "bytes": float(path.stat().st_size),
        "open_s": opened - began,
        "first_search_s": done - opened,
        "anonymous_bytes_per_tile": (_anonymous_bytes() - anonymous) / len(tiles),
    }
    path.unlink()
    return figures


def _anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
