"""Georeferenced maps of any form, read as north-up windows in a local metric frame.

A map is one or more sheets in one CRS. A window is read piece by piece, so a map never has to fit into memory:
the part of each sheet that it needs is read (averaged down by whole factors where the window is much coarser)
and warped into the local frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from rasterio.warp import reproject

from lkpan_ros.errors import MapError
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.map_formats import WGS84, read_sheets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.map_sheets import Sheet

_PIECE_PX = 1024  # side of the pieces that a window is read in
_SOURCE_PX = 4096  # side of what a sheet may have to read at full size for one piece
_OUTLINE = 9  # points along each side from which the sheet's part under a piece is found
_MARGIN_PX = 2  # for bilinear sampling at its edges


@dataclass(frozen=True)
class Bounds:
    """A rectangle with its sides along the axes, in degrees, metres or the units of a CRS as its owner says."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True)
class MapSource:
    """A map. Not to be read from several threads at once.

    Attributes:
        name: The file or folder, for people.
        sheets: Its pieces, all in one CRS; where they overlap the first one counts.
    """

    name: str
    sheets: tuple[Sheet, ...]

    @property
    def crs(self) -> str:
        """The coordinate reference system, as rasterio reads it (EPSG:… or WKT)."""
        return self.sheets[0].crs

    @property
    def bounds(self) -> Bounds:
        """The rectangle around all sheets, in the units of `crs`."""
        xs, ys = np.concatenate(
            [_apply(s.transform, _outline(0, 0, s.width, s.height, 2)) for s in self.sheets], axis=1
        )
        return Bounds(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))

    @property
    def center(self) -> LatLon:
        """The middle of `bounds`.

        Raises:
            MapError: The CRS cannot be related to WGS-84 there.
        """
        bounds = self.bounds
        x, y = (bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2
        lon, lat = _transform(self.crs, WGS84, np.array([[x], [y]]))[:, 0]
        try:
            return LatLon(float(lat), float(lon))
        except ValueError as error:
            raise MapError(
                f"{self.name}: its centre {x}, {y} of {self.crs} is nowhere on Earth ({error})"
            ) from error

    @property
    def gsd_m(self) -> float:
        """Ground sample distance in true metres: the side of a square as large as a pixel, of the finest sheet."""
        return min(math.sqrt(width * height) for width, height in self._pixels_m)

    @cached_property
    def _pixels_m(self) -> list[tuple[float, float]]:
        """Width and height of each sheet's pixels on the ground, metres."""
        return [_pixel_m(sheet) for sheet in self.sheets]

    def local_bounds(self, frame: LocalFrame) -> Bounds:
        """The rectangle around all sheets, east and north in metres in a local frame."""
        outlines = [_apply(s.transform, _outline(0, 0, s.width, s.height)) for s in self.sheets]
        east, north = _transform(self.crs, frame.crs, np.concatenate(outlines, axis=1))
        return Bounds(float(east.min()), float(north.min()), float(east.max()), float(north.max()))

    def read_local(
        self, frame: LocalFrame, west_m: float, north_m: float, width_px: int, height_px: int, gsd_m: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A north-up window: bilinear where the map is coarser than it, averaged where it is finer.

        Args:
            frame: The local frame.
            west_m: East coordinate of the window's left edge, metres.
            north_m: North coordinate of its top edge, metres.
            width_px: Columns.
            height_px: Rows.
            gsd_m: Side of its pixels, metres.

        Returns:
            H x W x 3 uint8 RGB, black where there is no map, and H x W bool, True where there is.

        Raises:
            MapError: A file of the map is damaged.
        """
        rgb = np.zeros((height_px, width_px, 3), np.uint8)
        mask = np.zeros((height_px, width_px), np.bool_)
        step = max(8, min(_PIECE_PX, int(_SOURCE_PX * self.gsd_m / gsd_m)))
        for top in range(0, height_px, step):
            for left in range(0, width_px, step):
                place = from_origin(west_m + left * gsd_m, north_m - top * gsd_m, gsd_m, gsd_m)
                here = np.s_[top : top + step, left : left + step]
                self._read_piece(frame, place, rgb[here], mask[here])
        return rgb, mask

    def _read_piece(
        self, frame: LocalFrame, place: Affine, rgb: NDArray[np.uint8], mask: NDArray[np.bool_]
    ) -> None:
        """Fill what the mask does not have yet."""
        height, width = mask.shape
        outline = _apply(place, _outline(0, 0, width, height))
        under = _transform(frame.crs, self.crs, outline)
        for sheet, pixel_m in zip(self.sheets, self._pixels_m, strict=True):
            if mask.all():
                return
            rgba = _warped(sheet, pixel_m, frame, place, under, mask.shape)
            if rgba is None:
                continue
            new = (rgba[3] >= 128) & ~mask
            rgb[new] = rgba[:3].transpose(1, 2, 0)[new]
            mask |= new


def open_map(path: str | Path, crs: str | None = None) -> MapSource:
    """Open a map; its pixels are read when asked for.

    Args:
        path: A GeoTIFF of any CRS (1, 3 or 4 bands of uint8 or uint16; nodata, alpha and mask bands respected);
            a folder of Web Mercator tiles z/x/y.png|jpg|webp, of which the highest zoom is used; an .mbtiles file;
            a PNG, JPEG, WebP or BMP with a world file beside it; or a CSV with the columns
            file,north,west,south,east whose images, named relative to it, form one map (outer edges, degrees WGS-84).
        crs: The CRS of a map that does not name its own, e.g. "EPSG:3857".

    Raises:
        MapError: It is missing, damaged or of another form, has no CRS or one other than `crs`, or names files
            outside its folder.
    """
    path = Path(path)
    return MapSource(path.name or str(path), read_sheets(path, crs))


def _outline(left: int, top: int, width: int, height: int, points: int = _OUTLINE) -> NDArray[np.float64]:
    """2 x points² columns and rows spread evenly over a window, its corners included."""
    columns, rows = np.meshgrid(
        np.linspace(left, left + width, points), np.linspace(top, top + height, points)
    )
    return np.stack([columns.ravel(), rows.ravel()])


def _apply(affine: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 x N points through an affine map."""
    a, b, c, d, e, f = tuple(affine)[:6]
    return np.stack([a * points[0] + b * points[1] + c, d * points[0] + e * points[1] + f])


@lru_cache(maxsize=64)
def _transformer(crs: str, to_crs: str) -> Transformer:
    return Transformer.from_crs(crs, to_crs, always_xy=True)


def _transform(crs: str, to_crs: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 x N x and y of one CRS to another; infinite where there is no such point.

    Raises:
        MapError: The two cannot be related.
    """
    try:
        return np.array(_transformer(crs, to_crs).transform(points[0], points[1]))
    except ProjError as error:
        raise MapError(
            f"{crs} cannot be related to {to_crs} ({error}); give the map in another CRS"
        ) from error


def _pixel_m(sheet: Sheet) -> tuple[float, float]:
    """Width and height on the ground of the pixel in the middle of a sheet, metres."""
    column, row = sheet.width / 2, sheet.height / 2
    corners = np.array([[column, column + 1, column], [row, row, row + 1]])
    lon, lat = _transform(sheet.crs, WGS84, _apply(sheet.transform, corners))
    try:
        corner, right, below = LocalFrame(LatLon(float(lat[0]), float(lon[0]))).to_local(lat, lon)
    except ValueError as error:
        raise MapError(f"{sheet.name}: its centre is nowhere on Earth ({error}); check its CRS") from error
    width_m, height_m = float(np.hypot(*(right - corner))), float(np.hypot(*(below - corner)))
    if not (0 < width_m < math.inf and 0 < height_m < math.inf):
        raise MapError(f"{sheet.name}: pixels of {width_m} x {height_m} m; check its CRS and position")
    return width_m, height_m


def _warped(
    sheet: Sheet,
    pixel_m: tuple[float, float],
    frame: LocalFrame,
    place: Affine,
    under: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.uint8] | None:
    """4 x H x W RGBA of one sheet at `place`; None where it has nothing there.

    Args:
        sheet: The sheet.
        pixel_m: Width and height of its pixels on the ground.
        frame: The local frame.
        place: From the result's columns and rows to the frame.
        under: 2 x N points of the sheet's CRS, spread over the result.
        shape: Height and width of the result.
    """
    part = _part_under(sheet, under)
    if part is None:
        return None
    left, top, width, height = part
    gsd_m = place.a
    shrink = max(1, int(gsd_m / math.sqrt(pixel_m[0] * pixel_m[1])))
    rgba = sheet.read(left, top, width, height, shrink)
    if not rgba[3].any():
        return None
    shrunk = (width / rgba.shape[2], height / rgba.shape[1])
    result = np.zeros((4, *shape), np.uint8)
    reproject(
        rgba,
        result,
        src_transform=sheet.transform * Affine.translation(left, top) * Affine.scale(*shrunk),
        src_crs=sheet.crs,
        src_alpha=4,
        dst_transform=place,
        dst_crs=frame.crs,
        dst_alpha=4,
        resampling=Resampling.bilinear,
        # GDAL widens its kernel by these, so it averages what whole factors of `shrink` leave over. Its own guess
        # counts the margin and blurs small windows.
        XSCALE=min(1.0, pixel_m[0] * shrunk[0] / gsd_m),
        YSCALE=min(1.0, pixel_m[1] * shrunk[1] / gsd_m),
    )
    return result


def _part_under(sheet: Sheet, under: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of the pixels about 2 x N points of a sheet's CRS; None where there are none."""
    pixels = _apply(~sheet.transform, under)
    pixels = pixels[:, np.isfinite(pixels).all(axis=0)]
    if pixels.size == 0:
        return None
    left, top = (int(v) for v in np.maximum(np.floor(pixels.min(axis=1)) - _MARGIN_PX, 0))
    size = (sheet.width, sheet.height)
    right, bottom = (int(v) for v in np.minimum(np.ceil(pixels.max(axis=1)) + _MARGIN_PX, size))
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
