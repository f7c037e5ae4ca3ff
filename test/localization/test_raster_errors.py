"""A map that cannot be read is an error that names the file and says what to do."""

from __future__ import annotations

import sqlite3
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine, from_origin

from lkpan_ros.errors import MapError
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.raster import open_map
from test.localization import maps

if TYPE_CHECKING:
    from pathlib import Path

UTM = {"transform": from_origin(392_000, 5_820_000, 0.5, 0.5), "crs": "EPSG:32633"}


class TestErrors:
    """Each names the file and says what to do."""

    def check(self, path: Path, *words: str, crs: str | None = None) -> None:
        with pytest.raises(MapError) as caught:
            self.read(path, crs)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    def read(self, path: Path, crs: str | None) -> None:
        source = open_map(path, crs)
        source.read_local(LocalFrame(source.center), -40.0, 40.0, 160, 160, 0.5)

    def test_a_palette_of_16_bits(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        colours = {index: (index % 256, 0, 0, 255) for index in range(65536)}
        size = {"width": 200, "height": 200, "count": 1}
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint16", photometric="palette", **size, **UTM
        ) as file:
            file.write(np.full((1, 200, 200), 14_200, np.uint16))
            file.write_colormap(1, colours)
        self.check(path, "a.tif", "palette of uint16", "gdal_translate")

    def test_missing(self, tmp_path: Path) -> None:
        self.check(tmp_path / "no.tif", "no.tif", "give the path of a map")
        self.check(tmp_path / "no", "no such file or folder")

    def test_foreign(self, tmp_path: Path) -> None:
        (tmp_path / "map.txt").write_text("hello")
        self.check(tmp_path / "map.txt", "'.txt' are not read", "GeoTIFF")
        (tmp_path / "map.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
        self.check(tmp_path / "map.tif", "is no TIFF", "convert it")

    def test_geotiff_without_crs(self, tmp_path: Path) -> None:
        maps.write_geotiff(tmp_path / "map.tif", maps.marked(200, 200), UTM["transform"], None)
        self.check(tmp_path / "map.tif", "map.tif", "no coordinate reference system", "--crs")
        assert open_map(tmp_path / "map.tif", "EPSG:32633").crs == "EPSG:32633"

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_geotiff_without_position(self, tmp_path: Path) -> None:
        maps.write_geotiff(tmp_path / "map.tif", maps.marked(200, 200), Affine.identity(), "EPSG:32633")
        self.check(tmp_path / "map.tif", "no position on the ground", "georeference")

    def test_a_crs_that_contradicts_the_maps_own(self, tmp_path: Path) -> None:
        maps.write_geotiff(tmp_path / "map.tif", maps.marked(200, 200), **UTM)
        self.check(tmp_path / "map.tif", "EPSG:32633", "EPSG:3857", "leave --crs out", crs="EPSG:3857")
        self.check(tmp_path / "map.tif", "'moon'", "EPSG:", crs="moon")

    def test_heights_are_no_picture(self, tmp_path: Path) -> None:
        maps.write_geotiff(tmp_path / "map.tif", np.zeros((64, 64, 1), np.float32), **UTM)
        self.check(tmp_path / "map.tif", "float32", "uint8 or uint16")

    @pytest.mark.parametrize(
        ("name", "options"), [("map.png", {}), ("map.jpg", {}), ("map.tif", {"compress": "deflate"})]
    )
    def test_truncated(self, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
        path = tmp_path / name
        if name.endswith("tif"):
            maps.write_geotiff(path, noise, **UTM, **options)
        else:
            Image.fromarray(noise).save(path)
            maps.write_csv(tmp_path / "map.csv", [(name, 47.001, 8.0, 47.0, 8.0015)])
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.check(path if name.endswith("tif") else tmp_path / "map.csv", name, "cannot be read")

    def test_world_files(self, tmp_path: Path) -> None:
        Image.fromarray(maps.marked(200, 200)).save(tmp_path / "map.png")
        self.check(tmp_path / "map.png", "no world file", ".pgw", crs="EPSG:3857")
        (tmp_path / "map.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
        self.check(tmp_path / "map.png", "map.png", "--crs")
        for text in ("1\n0\n0\n-1\n0\n", "one\n0\n0\n-1\n0\n0\n"):
            (tmp_path / "map.pgw").write_text(text)
            self.check(tmp_path / "map.png", "map.pgw", "six lines", crs="EPSG:3857")
        for text in ("0\n0\n0\n0\n0\n0\n", "nan\n0\n0\n-1\n0\n0\n"):
            (tmp_path / "map.pgw").write_text(text)
            self.check(tmp_path / "map.png", "map.pgw", "no area", crs="EPSG:3857")

    @pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "link.png", ".", ""])
    def test_a_csv_reaches_no_file_outside_its_folder(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "maps"
        folder.mkdir()
        secret = tmp_path / "secret.png"
        Image.fromarray(maps.marked(200, 200)).save(secret)
        (folder / "link.png").symlink_to(secret)
        file = str(secret) if name.startswith("/") else name
        maps.write_csv(folder / "map.csv", [(file, 47.001, 8.0, 47.0, 8.0015)])
        self.check(folder / "map.csv", "map.csv line 2", "is not inside")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (("no.png", 47.001, 8.0, 47.0, 8.0015), ("no.png", "cannot be read")),
            (("a.png", 47.0, 8.0, 47.001, 8.0015), ("line 2", "south < north")),
            (("a.png", 47.001, 8.0015, 47.0, 8.0), ("line 2", "west < east")),
            (("a.png", 5_200_000.0, 8.0, 47.0, 8.0015), ("line 2", "not degrees")),
            (("a.png", "north", 8.0, 47.0, 8.0015), ("line 2", "'north'")),
            (("a.png", "nan", 8.0, 47.0, 8.0015), ("line 2", "nan")),
            (("a.png", 47.001, 8.0, 47.0), ("line 2", "east nan")),
        ],
    )
    def test_csv_rows(self, tmp_path: Path, row: tuple[object, ...], words: tuple[str, ...]) -> None:
        Image.fromarray(maps.marked(200, 200)).save(tmp_path / "a.png")
        maps.write_csv(tmp_path / "map.csv", [row])
        self.check(tmp_path / "map.csv", *words)

    def test_csv_files(self, tmp_path: Path) -> None:
        maps.write_csv(tmp_path / "map.csv", [], header="file,north,west,south")
        self.check(tmp_path / "map.csv", "lacks the columns east")
        maps.write_csv(tmp_path / "map.csv", [])
        self.check(tmp_path / "map.csv", "no rows")
        (tmp_path / "map.csv").write_bytes(b"\xff\xfe\x00file")
        self.check(tmp_path / "map.csv", "map.csv")
        self.check(tmp_path / "none.csv", "none.csv")

    def test_xyz_folders(self, tmp_path: Path) -> None:
        self.check(tmp_path, str(tmp_path), "has no tiles", "z")
        maps.write_xyz(tmp_path, maps.marked(256, 256), 18, 140_000, 86_000)
        (tmp_path / "18" / "140000" / "86001.png").write_bytes(maps.encoded(maps.marked(128, 128), "PNG"))
        self.check(tmp_path, "18/140000/86001", "128x128", "one size")
        (tmp_path / "18" / "140000" / "86001.png").write_bytes(
            maps.encoded(maps.marked(256, 256), "PNG")[:200]
        )
        self.check(tmp_path, "18/140000/86001", "cannot be read")
        (tmp_path / "18" / "140000" / "86001.png").write_bytes(b"")
        self.check(tmp_path, "18/140000/86001", "cannot be read")
        (tmp_path / "18" / "140000" / "300000.png").write_bytes(b"")
        self.check(tmp_path, "262143 of zoom 18")
        (tmp_path / "tilemapresource.xml").write_text("<TileMap/>")
        self.check(tmp_path, "TMS", "--xyz")

    def test_mbtiles(self, tmp_path: Path) -> None:
        (tmp_path / "map.mbtiles").write_text("hello")
        self.check(tmp_path / "map.mbtiles", "MBTiles")
        self.check(tmp_path / "none.mbtiles", "none.mbtiles")
        maps.write_mbtiles(tmp_path / "empty.mbtiles", np.zeros((0, 0, 3), np.uint8), 3, 0, 0)
        self.check(tmp_path / "empty.mbtiles", "no tiles")

    @pytest.mark.parametrize(
        ("view", "words"),
        [
            ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 3, i, 0, x'00' FROM n", "interrupted"),
            ("SELECT 3, 0, 0, zeroblob(900000000)", "too big"),
            ("SELECT 3, 0, 0, 900000000", "is no picture"),
            ("SELECT 3, 0, 0, 'text'", "is no picture"),
            ("SELECT 3, 'a', 0, x'00'", "not all whole numbers"),
            ("SELECT NULL, 0, 0, x'00'", "no tiles"),
            ("SELECT * FROM nowhere", "no such table"),
        ],
    )  # fmt: skip
    def test_mbtiles_whose_tiles_are_computed(self, tmp_path: Path, view: str, words: str) -> None:
        with sqlite3.connect(tmp_path / "map.mbtiles") as database:
            columns = "zoom_level, tile_column, tile_row, tile_data"
            database.execute(f"CREATE VIEW tiles ({columns}) AS {view}")
        self.check(tmp_path / "map.mbtiles", "map.mbtiles", words)

    def test_mbtiles_whose_tiles_are_joined(self, tmp_path: Path) -> None:
        """As many writers make them: equal pictures are kept once."""
        maps.write_mbtiles(tmp_path / "map.mbtiles", maps.marked(256, 256), 18, 140_000, 86_000)
        with sqlite3.connect(tmp_path / "map.mbtiles") as database:
            database.execute("ALTER TABLE tiles RENAME TO pictures")
            database.execute("CREATE VIEW tiles AS SELECT * FROM pictures")
        self.read(tmp_path / "map.mbtiles", None)

    def test_a_small_file_that_unpacks_to_much(self, tmp_path: Path) -> None:
        """One tile of 20000 x 20000 pixels that are not there: GDAL would take 1.2 GB for it."""
        maps.write_geotiff(
            tmp_path / "map.tif", maps.marked(64, 64), **UTM, tiled=True, blockxsize=64, blockysize=64
        )
        content = bytearray((tmp_path / "map.tif").read_bytes())
        for tag in (256, 257, 322, 323):  # sides of the picture, and of a tile
            place = content.find(struct.pack("<HHI", tag, 3, 1))
            content[place + 8 : place + 10] = struct.pack("<H", 20_000)
        (tmp_path / "map.tif").write_bytes(content)
        self.check(tmp_path / "map.tif", "unpacks 1200 MB at once", "tiled GeoTIFF")
