"""Maps of every form: GeoTIFF, image with a world file, CSV of images, XYZ folder, MBTiles."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from test.fuzz.decoder import Decoder, seeds, write
from test.fuzz.mutation import NUMBERS, WORDS, damaged, damaged_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

MERCATOR = "EPSG:3857"


def _read(path: Path, crs: str | None = None) -> Callable[[], object]:
    """As build_gallery does: open, plan the tiles, read a window."""

    def read() -> None:
        source = open_map(path, crs)
        frame = LocalFrame(source.center)
        plan(source, 32.0, 16.0, None)
        source.read_local(frame, -32.0, 32.0, 64, 64, 1.0)

    return read


def _geotiff(rng: Random, folder: Path) -> Callable[[], object]:
    maps = seeds("maps/*.tif")
    data = rng.choice(maps)
    data = _damaged_directory(rng, data) if rng.random() < 0.6 else damaged(rng, data, maps)
    return _read(write(folder, rng.choice(("a.tif", "a.tiff")), data))


def _damaged_directory(rng: Random, data: bytes) -> bytes:
    """One to three entries of the first directory with another number, count, type or tag."""
    changed = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for _ in range(rng.choice((1, 1, 2, 3))):
        entry = start + 2 + 12 * rng.randrange(count)
        place, code = rng.choice(((8, "<I"), (8, "<I"), (8, "<I"), (4, "<I"), (2, "<H"), (0, "<H")))
        size = struct.calcsize(code)
        number = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randrange(1, 400)
        struct.pack_into(code, changed, entry + place, number % 2 ** (8 * size))
    return bytes(changed)


def _world_file(rng: Random, folder: Path) -> Callable[[], object]:
    text, picture = seeds("maps/world.pgw")[0].decode(), rng.choice(seeds("pictures/*.png"))
    kind = rng.choice((".png", ".jpg", ".webp", ".bmp"))
    if rng.random() < 0.75:
        text = damaged_text(rng, text, "\n")
    else:
        picture = damaged(rng, rng.choice(seeds("pictures/*")), seeds("pictures/*"))
    write(folder, "a.wld", text)
    crs = MERCATOR if rng.random() < 0.7 else rng.choice(("EPSG:4326", "EPSG:32632", "EPSG:0", *WORDS))
    return _read(write(folder, f"a{kind}", picture), crs)


def _map_csv(rng: Random, folder: Path) -> Callable[[], object]:
    write(folder, "map/a.png", rng.choice(seeds("pictures/*.png")))
    write(folder, "map/b.png", damaged(rng, seeds("pictures/small.png")[0]))
    write(folder, "secret.png", seeds("pictures/small.png")[0])
    return _read(write(folder, "map/map.csv", damaged_text(rng, seeds("maps/map.csv")[0].decode())))


def _xyz(rng: Random, folder: Path) -> Callable[[], object]:
    tiles = [(18, 140_000 + i, 86_000 + j) for i in range(2) for j in range(2)]
    for tile in tiles:
        zoom, x, y = (str(number) for number in tile)
        fault = rng.randrange(6)
        if fault == 0:
            words = [word.replace("/", "_").replace("\0", "")[:50] or "a" for word in WORDS]
            words = [word for word in words if word.strip(".")]
            zoom, x, y = ((v if rng.random() < 0.6 else rng.choice(words)) for v in (zoom, x, y))
        if fault == 1:
            zoom, x, y = ((v if rng.random() < 0.6 else str(rng.choice(NUMBERS))) for v in (zoom, x, y))
        content = rng.choice(seeds("tiles/*"))
        content = damaged(rng, content, seeds("pictures/*")) if fault in {2, 3} else content
        write(folder, f"xyz/{zoom}/{x}/{y}{rng.choice(('.png', '.jpg', '.webp', '.PNG', ''))}", content)
    return _read(folder / "xyz", None if rng.random() < 0.9 else rng.choice(WORDS))


_VALUES = ("0", "-1", "2147483648", "1e999", "NULL", "'text'", "zeroblob(10000000)", "zeroblob(900000000)", "x''", "30", "31", "randomblob(100)", "hex(zeroblob(400000000))")  # fmt: skip


def _mbtiles(rng: Random, folder: Path) -> Callable[[], object]:
    path = write(folder, "a.mbtiles", seeds("maps/small.mbtiles")[0])
    if rng.random() < 0.6:
        path.write_bytes(damaged(rng, path.read_bytes()))
        return _read(path)
    columns = "zoom_level, tile_column, tile_row, tile_data"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        if rng.random() < 0.5:
            database.execute(
                f"UPDATE tiles SET {rng.choice(columns.split(', '))} = {rng.choice(_VALUES[:7])}"
            )
            return _read(path)
        database.execute("DROP TABLE tiles")
        values = ", ".join(
            rng.choice(_VALUES) if rng.random() < 0.3 else own for own in ("3", "i", "0", "x'00'")
        )
        numbers = rng.choice((*["SELECT 1 AS i"] * 9, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"))  # fmt: skip
        database.execute(f"CREATE VIEW tiles ({columns}) AS SELECT {values} FROM ({numbers})")
    return _read(path)


DECODERS = (
    Decoder("GeoTIFF", _geotiff),
    Decoder("world file", _world_file),
    Decoder("map CSV", _map_csv),
    Decoder("XYZ folder", _xyz),
    Decoder("MBTiles", _mbtiles),
)
