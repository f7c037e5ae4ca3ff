"""The forms in which maps come: GeoTIFF, image with a world file, CSV of images, XYZ folder, MBTiles."""

from __future__ import annotations

import csv
import math
import re
import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine, from_bounds

from lkpan_ros.errors import MapError
from lkpan_ros.localization.map_pictures import open_dataset
from lkpan_ros.localization.map_sheets import WEB_MERCATOR, RasterSheet, TileSheet
from lkpan_ros.localization.paths import inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lkpan_ros.localization.map_sheets import Sheet

WGS84 = "EPSG:4326"
_TIFF = (".tif", ".tiff")
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_TILES = (".png", ".jpg", ".jpeg", ".webp")
_CSV_COLUMNS = ("file", "north", "west", "south", "east")
_MAX_ZOOM = 30
_MOST_TILE_BYTES = 64 * 1024 * 1024
# What a query over an MBTiles file may take, of the processor's time; looked at after so many steps of SQLite.
_QUERY_S, _BYTES_PER_S, _STEPS = 0.5, 1e7, 1000


def read_sheets(path: Path, crs: str | None) -> tuple[Sheet, ...]:
    """The sheets of a map, all in one CRS; their pixels are read later. See `raster.open_map`."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return (_xyz_folder(path, crs),)
    if suffix == ".csv":
        return tuple(_csv_sheets(path, crs))
    if suffix == ".mbtiles":
        return (_mbtiles(path, crs),)
    if suffix in _TIFF:
        return (_geotiff(path, crs),)
    if suffix in _IMAGES:
        return (_image_with_world_file(path, crs),)
    what = f"files of type {suffix!r} are not read" if path.exists() else "there is no such file or folder"
    raise MapError(
        f"{path}: {what}; give a GeoTIFF (.tif), an image with a world file, a CSV "
        f"({','.join(_CSV_COLUMNS)}), an .mbtiles file or a folder of tiles z/x/y.png"
    )


def _geotiff(path: Path, crs: str | None) -> Sheet:
    dataset = open_dataset(path)
    own = dataset.crs.to_string() if dataset.crs else None
    if own is None and crs is None:
        hint = " (it has ground control points only: rectify it with gdalwarp)" if dataset.gcps[0] else ""
        raise MapError(f"{path}: has no coordinate reference system{hint}; name it with --crs EPSG:…")
    if dataset.transform == Affine.identity():
        raise MapError(f"{path}: has no position on the ground; georeference it (gdal_translate -a_ullr …)")
    return RasterSheet(path, _one_crs(path, own, crs), _checked(dataset.transform, path))


def _image_with_world_file(path: Path, crs: str | None) -> Sheet:
    open_dataset(path)
    suffix = path.suffix[1:]
    names = (f".{suffix[0]}{suffix[-1]}w", f".{suffix}w", ".wld")
    candidates = [path.with_suffix(n) for name in names for n in (name, name.upper())]
    world_file = next((c for c in candidates if c.is_file()), None)
    if world_file is None:
        raise MapError(
            f"{path}: has no world file beside it ({', '.join(names)}); write one, or give the bounds in a CSV "
            f"({','.join(_CSV_COLUMNS)})"
        )
    if crs is None:
        raise MapError(
            f"{path}: a world file does not name its coordinate reference system; name it with --crs EPSG:…"
        )
    return RasterSheet(path, _one_crs(path, None, crs), _checked(_read_world_file(world_file), world_file))


def _read_world_file(path: Path) -> Affine:
    """Six lines A D B E C F: x = A column + B row + C, y = D column + E row + F at pixel centres (ESRI)."""
    try:
        words = path.read_text(encoding="utf-8-sig").split()
        a, d, b, e, c, f = (float(word.replace(",", ".")) for word in words)
    except (OSError, ValueError) as error:
        raise MapError(f"{path}: {error}; a world file has six lines with one number each") from error
    return Affine(a, b, c, d, e, f) * Affine.translation(-0.5, -0.5)


def _csv_sheets(path: Path, crs: str | None) -> Iterator[Sheet]:
    _one_crs(path, WGS84, crs)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MapError(f"{path}: cannot be read ({error}); give a CSV ({','.join(_CSV_COLUMNS)})") from error
    if missing := [name for name in _CSV_COLUMNS if name not in columns]:
        raise MapError(
            f"{path}: lacks the columns {', '.join(missing)}; the first line must be {','.join(_CSV_COLUMNS)}"
        )
    if not rows:
        raise MapError(f"{path}: has no rows; give one image a row ({','.join(_CSV_COLUMNS)})")
    for number, row in enumerate(rows, start=2):
        yield _csv_sheet(path, f"{path} line {number}", row)


def _csv_sheet(path: Path, where: str, row: Mapping[str, str | None]) -> Sheet:
    image = inside(path.parent, row["file"] or "")
    if image is None:
        raise MapError(
            f"{where}: file {row['file']!r} is not inside {path.parent}; put it there and name it relatively"
        )
    try:
        north, west, south, east = (float(row[name] or "nan") for name in _CSV_COLUMNS[1:])
    except ValueError as error:
        raise MapError(f"{where}: {error}; north, west, south, east are degrees") from error
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):  # false for NaN as well
        raise MapError(
            f"{where}: bounds north {north}, west {west}, south {south}, east {east} are not degrees with "
            "south < north and west < east"
        )
    dataset = open_dataset(image)
    return RasterSheet(image, WGS84, from_bounds(west, south, east, north, dataset.width, dataset.height))


def _xyz_folder(path: Path, crs: str | None) -> Sheet:
    _one_crs(path, WEB_MERCATOR, crs)
    if (path / "tilemapresource.xml").exists():
        raise MapError(
            f"{path}: tilemapresource.xml says that rows are counted from the south (TMS); make it with "
            "gdal2tiles --xyz"
        )
    zooms = [int(d.name) for d in path.iterdir() if re.fullmatch(r"\d{1,2}", d.name) and d.is_dir()]
    zoom = max((z for z in zooms if z <= _MAX_ZOOM), default=0)
    tiles = {
        (int(column.name), int(file.stem)): file
        for column in (path / str(zoom)).glob("*")
        if re.fullmatch(r"\d{1,10}", column.name)
        for file in column.iterdir()
        if re.fullmatch(r"\d{1,10}", file.stem) and file.suffix.lower() in _TILES
    }
    if not tiles:
        raise MapError(
            f"{path}: has no tiles {zoom}/x/y.png (.jpg, .webp); give the folder that holds the zooms"
        )
    return _tile_sheet(str(path), zoom, list(tiles), partial(_file_bytes, tiles))


def _file_bytes(tiles: Mapping[tuple[int, int], Path], x: int, y: int) -> bytes | None:
    file = tiles.get((x, y))
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise MapError(f"{file}: cannot be read ({error.strerror}); make it readable") from error


def _mbtiles(path: Path, crs: str | None) -> Sheet:
    """MBTiles 1.3: SQLite with the table tiles, rows counted from the south."""
    _one_crs(path, WEB_MERCATOR, crs)
    tiles = "SELECT zoom_level, tile_column, tile_row FROM tiles WHERE zoom_level = (SELECT MAX(zoom_level) FROM tiles)"
    keys = _query(path, tiles)
    if not all(isinstance(number, int) for key in keys for number in key):
        raise MapError(f"{path}: the numbers of its tiles are not all whole numbers; make it again")
    if not keys or not 0 <= keys[0][0] <= _MAX_ZOOM:
        raise MapError(f"{path}: has no tiles of a zoom from 0 to {_MAX_ZOOM}; make it again")
    zoom = keys[0][0]
    last_row = 2**zoom - 1
    return _tile_sheet(
        str(path), zoom, [(x, last_row - row) for _, x, row in keys], partial(_mbtiles_bytes, path, zoom)
    )


def _mbtiles_bytes(path: Path, zoom: int, x: int, y: int) -> bytes | None:
    one = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
    found = _query(path, one, zoom, x, 2**zoom - 1 - y)
    if found and not isinstance(found[0][0], bytes):
        raise MapError(f"{path}: tile {zoom}/{x}/{y} is no picture; make it again")
    return found[0][0] if found else None


def _query(path: Path, sql: str, *values: int) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            _bound(database, path.stat().st_size)
            return database.execute(sql, values).fetchall()
    except (sqlite3.Error, OSError, ValueError, MemoryError, OverflowError) as error:
        raise MapError(f"{path}: is no readable MBTiles file ({error}); make it again") from error


def _bound(database: sqlite3.Connection, size: int) -> None:
    """A table may be a view, which computes: without end, or a value as long as SQLite can have, unless it is bounded."""
    end_s = time.thread_time() + _QUERY_S + size / _BYTES_PER_S
    database.set_progress_handler(lambda: time.thread_time() > end_s, _STEPS)
    database.execute("PRAGMA trusted_schema = OFF")
    if sys.version_info >= (3, 11):
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_TILE_BYTES)


def _tile_sheet(name: str, zoom: int, keys: list[tuple[int, int]], fetch: partial[bytes | None]) -> Sheet:
    xs, ys = [x for x, _ in keys], [y for _, y in keys]
    if min(*xs, *ys, 0) < 0 or max(*xs, *ys) >= 2**zoom:
        raise MapError(
            f"{name}: columns {min(xs)}..{max(xs)} and rows {min(ys)}..{max(ys)} are not all within "
            f"0..{2**zoom - 1} of zoom {zoom}; give tiles in the XYZ layout"
        )
    return TileSheet(name, zoom, (min(xs), max(xs)), (min(ys), max(ys)), fetch, keys[0])


def _one_crs(path: Path, own: str | None, given: str | None) -> str:
    """The map's own CRS, or the given one where it has none; never two that differ."""
    try:
        parsed = CRS.from_user_input(given) if given is not None else None
    except CRSError as error:
        raise MapError(
            f"--crs {given!r} is no coordinate reference system; give one such as EPSG:3857"
        ) from error
    if own is None:
        assert parsed is not None
        return str(parsed.to_string())
    if parsed is not None and parsed != CRS.from_user_input(own):
        raise MapError(f"{path}: is in {own}, not in --crs {given}; leave --crs out")
    return own


def _checked(transform: Affine, path: Path) -> Affine:
    if not all(math.isfinite(v) for v in transform) or transform.determinant == 0:
        raise MapError(
            f"{path}: its pixels have no area on the ground ({tuple(transform)[:6]}); georeference it again"
        )
    return transform
