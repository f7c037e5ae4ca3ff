"""The pieces of a map: one georeferenced grid of pixels each, read window by window as RGBA."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from lkpan_ros.errors import MapError
from lkpan_ros.localization.map_pictures import damaged, open_dataset, strict_gdal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import rasterio
    from numpy.typing import NDArray

WEB_MERCATOR = "EPSG:3857"
MAX_TILE_PX = 4096  # a server's tiles have 256 or 512
_WORLD_M = 2 * math.pi * 6_378_137.0  # circumference of the Web Mercator sphere
_STATISTICS_PX = 1024  # side of the overview that 16-bit maps take their range from


class Sheet(Protocol):
    """One grid of pixels on the ground.

    Attributes:
        name: For messages.
        crs: Its coordinate reference system, as rasterio reads it.
        transform: From (column, row), counted from the top-left corner of the top-left pixel, to the CRS.
        width: Columns.
        height: Rows.
    """

    name: str
    crs: str
    transform: Affine
    width: int
    height: int

    def read(self, column: int, row: int, width: int, height: int, shrink: int) -> NDArray[np.uint8]:
        """A window inside the sheet, about `shrink` times smaller: 4 x H x W uint8, RGBA, alpha 0 or 255.

        Raises:
            MapError: The file is damaged.
        """


class RasterSheet:
    """A file that rasterio reads. See `Sheet`."""

    def __init__(self, path: Path, crs: str, transform: Affine) -> None:
        dataset = open_dataset(path)
        self.name, self.crs, self.transform = str(path), crs, transform
        self.width, self.height = dataset.width, dataset.height
        self._path = path
        self._bands = _colour_bands(dataset, self.name)
        self._palette = _palette(dataset, self.name)
        self._range = _value_range(dataset, self._bands, self.name)

    def read(self, column: int, row: int, width: int, height: int, shrink: int) -> NDArray[np.uint8]:
        """See `Sheet.read`."""
        window = Window(column, row, width, height)
        shape = (math.ceil(height / shrink), math.ceil(width / shrink))
        average = shrink > 1 and self._palette is None  # numbers of colours have no mean
        try:
            with strict_gdal():
                dataset = open_dataset(self._path)
                bands = dataset.read(
                    self._bands,
                    window=window,
                    out_shape=(len(self._bands), *shape),
                    resampling=Resampling.average if average else Resampling.nearest,
                )
                valid = dataset.dataset_mask(window=window, out_shape=shape) >= 128
        except RasterioError as error:
            raise damaged(self.name, error) from error
        rgba = np.empty((4, *shape), np.uint8)
        rgba[:3] = (
            self._palette[bands[0]].transpose(2, 0, 1) if self._palette is not None else self._to_8_bit(bands)
        )
        rgba[3] = valid * np.uint8(255)
        return rgba

    def _to_8_bit(self, bands: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
        if self._range is None:
            return bands.astype(np.uint8, copy=False)
        low, high = self._range
        scaled = (bands.astype(np.float32) - low) * (255.0 / (high - low))
        levels: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return levels


class TileSheet:
    """The tiles of one zoom of a Web Mercator pyramid. See `Sheet`; a tile that is not there is nodata.

    Args:
        name: For messages.
        zoom: The zoom.
        x: First and last column of tiles.
        y: First and last row of tiles, counted from the north.
        fetch: Encoded bytes of tile (x, y), or None where there is none.
        first: Some (x, y) that is there; it tells the tiles' size.
    """

    crs = WEB_MERCATOR

    def __init__(
        self,
        name: str,
        zoom: int,
        x: tuple[int, int],
        y: tuple[int, int],
        fetch: Callable[[int, int], bytes | None],
        first: tuple[int, int],
    ) -> None:
        self.name, self._zoom, self._fetch = name, zoom, fetch
        self._x0, self._y0 = x[0], y[0]
        self._tile_px = self._size_of(*first)
        self.width, self.height = (x[1] - x[0] + 1) * self._tile_px, (y[1] - y[0] + 1) * self._tile_px
        pixel_m = _WORLD_M / 2**zoom / self._tile_px
        west, north = (
            x[0] * self._tile_px * pixel_m - _WORLD_M / 2,
            _WORLD_M / 2 - y[0] * self._tile_px * pixel_m,
        )
        self.transform = Affine(pixel_m, 0.0, west, 0.0, -pixel_m, north)
        self._tile = lru_cache(maxsize=256)(self._decode)

    def read(self, column: int, row: int, width: int, height: int, shrink: int) -> NDArray[np.uint8]:
        """See `Sheet.read`; at full size always, `shrink` is only the caller's wish."""
        del shrink
        side = self._tile_px
        rgba = np.zeros((4, height, width), np.uint8)
        for j in range(row // side, (row + height - 1) // side + 1):
            for i in range(column // side, (column + width - 1) // side + 1):
                tile = self._tile(self._x0 + i, self._y0 + j)
                if tile is None:
                    continue
                left, top = i * side - column, j * side - row
                inside = tile[:, max(0, -top) : height - top, max(0, -left) : width - left]
                rgba[:, max(0, top) : top + side, max(0, left) : left + side] = inside
        return rgba

    def _name_of(self, x: int, y: int) -> str:
        return f"{self.name}: tile {self._zoom}/{x}/{y}"

    def _size_of(self, x: int, y: int) -> int:
        name = self._name_of(x, y)
        with _picture(self._fetch(x, y) or b"", name) as picture:
            width, height = picture.size
        if width != height or width > MAX_TILE_PX:
            raise MapError(f"{name} has {width}x{height} pixels; give square tiles of up to {MAX_TILE_PX}")
        return width

    def _decode(self, x: int, y: int) -> NDArray[np.uint8] | None:
        data = self._fetch(x, y)
        if data is None:
            return None
        name = self._name_of(x, y)
        with _picture(data, name) as picture:
            if picture.size != (self._tile_px, self._tile_px):
                raise MapError(
                    f"{name} has {picture.width}x{picture.height} pixels where other tiles have "
                    f"{self._tile_px}x{self._tile_px}; give tiles of one size"
                )
            try:
                rgba = np.array(picture.convert("RGBA")).transpose(2, 0, 1)
            except (OSError, ValueError, SyntaxError) as error:
                raise damaged(name, error) from error
        rgba[3] = (rgba[3] >= 128) * np.uint8(255)
        return rgba


def _picture(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise damaged(name, error) from error


def _colour_bands(dataset: rasterio.DatasetReader, name: str) -> list[int]:
    """The bands (from 1) of red, green and blue: as declared, else the first three, else one grey band."""
    colours = list(dataset.colorinterp)
    wanted = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    bands = [colours.index(c) + 1 for c in wanted if c in colours]
    if len(bands) < 3:
        plain = [i + 1 for i, colour in enumerate(colours) if colour != ColorInterp.alpha]
        bands = plain[:3] if len(plain) >= 3 else plain[:1]
    kinds = {dataset.dtypes[band - 1] for band in bands}
    if not bands or kinds not in ({"uint8"}, {"uint16"}):
        raise MapError(
            f"{name}: bands of type {', '.join(sorted(kinds)) or 'none'}; give a picture of uint8 or uint16 "
            "(gdal_translate -ot Byte -scale)"
        )
    return bands


def _palette(dataset: rasterio.DatasetReader, name: str) -> NDArray[np.uint8] | None:
    """256 x 3 colours of a paletted file, or None."""
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    if dataset.dtypes[0] != "uint8":
        raise MapError(
            f"{name}: has a palette of {dataset.dtypes[0]}; convert it (gdal_translate -expand rgb)"
        )
    palette = np.zeros((256, 3), np.uint8)
    for index, colour in dataset.colormap(1).items():
        palette[index % 256] = colour[:3]
    return palette


def _value_range(dataset: rasterio.DatasetReader, bands: list[int], name: str) -> tuple[float, float] | None:
    """The values of a 16-bit file that become 0 and 255; None: it has 8 bits, kept as they are.

    One range for the whole file and all bands, so that neither tiles nor colours drift apart: percentiles 1 and 99
    of the valid pixels of an overview.
    """
    if dataset.dtypes[bands[0] - 1] == "uint8":
        return None
    shrink = max(1.0, max(dataset.width, dataset.height) / _STATISTICS_PX)
    shape = (max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink)))
    try:
        with strict_gdal():
            values = dataset.read(bands, out_shape=(len(bands), *shape))
            valid = dataset.dataset_mask(out_shape=shape) >= 128
    except RasterioError as error:
        raise damaged(name, error) from error
    if not valid.any():
        return 0.0, 255.0
    values = values[:, valid]
    if values.max() <= 255:
        return 0.0, 255.0  # 8-bit values in 16-bit clothes
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    return low, max(high, low + 1.0)
