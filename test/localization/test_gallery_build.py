"""From a map to a gallery: which tiles there are, and that a run which was cut off goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from lkpan_ros.errors import ConfigError, GalleryError, LkpanError, MapError
from lkpan_ros.localization.gallery_build import build
from lkpan_ros.localization.gallery_pieces import KeptPieces
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.mosaic import BLOCK_PX
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from test.localization import maps
from test.localization.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from lkpan_model.identity import EncoderIdentity
    from lkpan_ros.localization.raster import MapSource

CRS = LocalFrame(LatLon(47.0, 8.0)).crs


class Counting:
    """The encoder, which counts what it encodes and can be interrupted."""

    def __init__(self, encoder: Encoder, stop_after: int | None = None) -> None:
        self._encoder, self._stop_after = encoder, stop_after
        self.images: list[NDArray[np.uint8]] = []

    @property
    def identity(self) -> EncoderIdentity:
        return self._encoder.identity

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if self._stop_after is not None and len(self.images) >= self._stop_after:
            raise KeyboardInterrupt
        self.images += images
        return self._encoder.encode(images)


class Broken:
    """An encoder whose numbers are no descriptors."""

    def __init__(self, encoder: Encoder, value: float) -> None:
        self.identity, self._value = encoder.identity, value

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.full((len(images), 8), self._value, np.float32)


def write_map(path: Path, width_m: float, height_m: float, gsd_m: float = 1.0, **options: Any) -> MapSource:
    shape = (round(height_m / gsd_m), round(width_m / gsd_m), 3)
    noise = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    place = from_origin(-width_m / 2, height_m / 2, gsd_m, gsd_m)
    maps.write_geotiff(path, noise, place, CRS, **options)
    return open_map(path)


class TestPlan:
    @settings(max_examples=40, deadline=None)
    @given(
        width_m=st.integers(100, 700),
        height_m=st.integers(100, 700),
        tile_size_m=st.floats(20, 150),
        stride_m=st.floats(5, 200),
    )
    def test_as_many_tiles_as_fit_and_none_beyond_the_map(
        self, maps_folder: Path, width_m: int, height_m: int, tile_size_m: float, stride_m: float
    ) -> None:
        source = write_map(maps_folder / "map.tif", width_m, height_m)
        assume(abs(tile_size_m - min(width_m, height_m)) > 0.02)  # a hundredth of a pixel is forgiven
        if tile_size_m > min(width_m, height_m):
            with pytest.raises(MapError, match="smaller than one tile"):
                plan(source, tile_size_m, stride_m)
            return
        grid = plan(source, tile_size_m, stride_m)
        gsd_m = grid.pixels.gsd_m
        assert grid.tile_px * gsd_m == pytest.approx(tile_size_m)
        assert grid.tile_px <= 256
        assert gsd_m == pytest.approx(1.0, rel=0.03)
        centers = np.array([grid.center_m(left, top) for left in grid.lefts for top in grid.tops])
        assert (np.abs(centers) + tile_size_m / 2 <= np.array([width_m, height_m]) / 2 + 0.01).all()
        for starts, length_m in ((grid.lefts, width_m), (grid.tops, height_m)):
            assert (np.abs(np.diff(starts) * gsd_m - stride_m) <= gsd_m * 1.001).all()
            room_m = length_m - tile_size_m
            assert len(starts) == pytest.approx(room_m / stride_m + 0.5, abs=0.5 + 2 * gsd_m / stride_m)

    def test_a_map_of_exactly_one_tile_has_one(self, tmp_path: Path) -> None:
        grid = plan(write_map(tmp_path / "map.tif", 100.0, 300.0), 100.0, 50.0)
        assert (len(grid.lefts), len(grid.tops)) == (1, 5)

    def test_the_gsd_follows_the_map_the_tile_and_the_wish(self, tmp_path: Path) -> None:
        fine = write_map(tmp_path / "map.tif", 100.0, 100.0, gsd_m=0.1)
        assert plan(fine, 64.0, 16.0).tile_px == 256  # not 640
        assert plan(fine, 64.0, 16.0, gsd_m=0.125).tile_px == 512
        grid = plan(fine, 64.0, 16.0, gsd_m=0.3)
        assert grid.tile_px == 213
        assert grid.pixels.gsd_m == 64.0 / 213

    @pytest.mark.parametrize(
        ("tile_size_m", "stride_m", "gsd_m", "words"),
        [
            (0.0, 30.0, None, "tile_size_m = 0.0"),
            (90.0, -1.0, None, "stride_m = -1.0"),
            (90.0, float("nan"), None, "stride_m = nan"),
            (90.0, 30.0, float("inf"), "gsd_m = inf"),
            (10.0, 30.0, None, "10 pixels a side"),
            (90.0, 30.0, 0.01, "9000 pixels a side"),
            (190.0, 30.0, None, "190.0 m, smaller than one tile|smaller than one tile of 190 m"),
            (90.0, 0.001, None, "tiles, more than"),
        ],
    )
    def test_impossible_wishes_are_refused(
        self, tmp_path: Path, tile_size_m: float, stride_m: float, gsd_m: float | None, words: str
    ) -> None:
        source = write_map(tmp_path / "map.tif", 200.0, 150.0)
        with pytest.raises((ConfigError, MapError), match=words):
            plan(source, tile_size_m, stride_m, gsd_m)


@pytest.fixture(scope="module")
def maps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


class TestBuild:
    def test_every_tile_is_encoded_from_its_own_pixels(self, tmp_path: Path, encoder: Encoder) -> None:
        """Over a map of several blocks, with tiles that cross them."""
        source = write_map(tmp_path / "map.tif", 420.0, 380.0)
        counting = Counting(encoder)
        seen: list[int] = []
        gallery = build(source, counting, plan(source, 90.0, 50.0), batch_size=7, progress=seen.append)
        assert len(gallery) == len(counting.images) == sum(seen) == 7 * 6
        for tile, image in enumerate(counting.images):
            assert image.shape == (gallery.tile_px, gallery.tile_px, 3)
            east, north = gallery.positions_m[tile]
            expected, _ = source.read_local(
                gallery.frame, east - 45.0, north + 45.0, gallery.tile_px, gallery.tile_px, gallery.gsd_m
            )
            assert np.abs(image.astype(int) - expected).mean() < 1
        found = gallery.search(encoder.encode([counting.images[20]]), 3)
        assert found.tile[0] == 20
        assert found.similarity[0] == pytest.approx(1.0, abs=5e-3)

    def test_it_does_not_matter_in_which_units_a_map_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mask = np.full((700, 800), 255, np.uint8)
        mask[300:420, :500] = 0
        source = write_map(tmp_path / "map.tif", 800.0, 700.0, mask=mask)
        grid = plan(source, 90.0, 50.0)
        whole = build(source, Thumbnails(), grid)
        monkeypatch.setattr("lkpan_ros.localization.map_units._ROWS", 1)
        monkeypatch.setattr("lkpan_ros.localization.map_units._COLUMNS", 2)
        parts = build(source, Thumbnails(), grid, kept=KeptPieces(tmp_path / "kept", Thumbnails().identity))
        order, other = (np.lexsort(gallery.positions_m.T) for gallery in (whole, parts))
        assert (whole.positions_m[order] == parts.positions_m[other]).all()
        assert (whole.descriptors(order) == parts.descriptors(other)).all()
        for window in ((0.0, 0.0, 700.0, 700), (-300.0, 0.0, 90.0, 90)):
            for one, same in zip(whole.window(*window), parts.window(*window), strict=True):
                assert (one == same).all()

    def test_tiles_of_nodata_are_left_out(self, tmp_path: Path, encoder: Encoder) -> None:
        mask = np.full((300, 300), 255, np.uint8)
        mask[:, :150] = 0
        source = write_map(tmp_path / "map.tif", 300.0, 300.0, mask=mask)
        gallery = build(source, encoder, plan(source, 60.0, 20.0))
        west_edges = gallery.positions_m[:, 0] - 30.0  # the first has 83 % on the map, the next to it 50 %
        assert np.unique(west_edges).tolist() == [-10.0, 10.0, 30.0, 50.0, 70.0, 90.0]
        _, valid = gallery.window(0.0, 0.0, 100.0, 100)
        assert valid[:, 51:].all()
        assert not valid[:, :49].any()

    def test_a_map_of_nodata_makes_no_gallery(self, tmp_path: Path, encoder: Encoder) -> None:
        source = write_map(tmp_path / "map.tif", 200.0, 200.0, mask=np.zeros((200, 200), np.uint8))
        with pytest.raises(MapError, match=r"map\.tif: none of 16 tiles .* less nodata"):
            build(source, encoder, plan(source, 90.0, 30.0))

    @pytest.mark.parametrize("value", [np.nan, 0.0, 5.0])
    def test_what_is_no_descriptor_is_refused(self, tmp_path: Path, encoder: Encoder, value: float) -> None:
        source = write_map(tmp_path / "map.tif", 200.0, 200.0)
        with pytest.raises(GalleryError, match="not of unit length"):
            build(source, Broken(encoder, value), plan(source, 90.0, 30.0))

    def test_a_sheet_that_breaks_off_is_an_error(self, tmp_path: Path, encoder: Encoder) -> None:
        source = write_map(tmp_path / "map.tif", 400.0, 400.0, compress="deflate")
        grid = plan(source, 90.0, 30.0)
        content = (tmp_path / "map.tif").read_bytes()
        (tmp_path / "map.tif").write_bytes(content[: len(content) // 2])
        with pytest.raises(LkpanError, match=r"map\.tif"):
            build(open_map(tmp_path / "map.tif"), encoder, grid)


class TestResume:
    def test_a_run_that_was_cut_off_goes_on(self, tmp_path: Path, encoder: Encoder) -> None:
        source = write_map(tmp_path / "map.tif", 300.0, 1100.0)  # three units of rows
        grid = plan(source, 90.0, 60.0)
        folder = tmp_path / "out.partial"
        first = Counting(encoder, stop_after=40)
        with pytest.raises(KeyboardInterrupt):
            build(source, first, grid, batch_size=8, kept=KeptPieces(folder, first.identity))
        second = Counting(encoder)
        kept = KeptPieces(folder, second.identity)
        resumed = build(source, second, grid, batch_size=8, kept=kept)
        whole_units = len(grid.lefts) * sum(top < 2 * BLOCK_PX for top in grid.tops)
        assert 0 < len(second.images) == len(resumed) - whole_units < len(resumed)
        assert resumed.content_hash == build(source, encoder, grid, batch_size=8).content_hash
        kept.remove()
        assert not folder.exists()

    def test_damaged_or_foreign_remains_are_not_used(self, tmp_path: Path, encoder: Encoder) -> None:
        source = write_map(tmp_path / "map.tif", 200.0, 200.0)
        grid = plan(source, 90.0, 30.0)
        folder = tmp_path / "out.partial"
        whole = build(source, encoder, grid, kept=KeptPieces(folder, encoder.identity)).content_hash
        (file,) = folder.iterdir()
        good = file.read_bytes()
        zeros = good[:128] + bytes(len(good) - 128)
        for content in (b"", b"hello", good[:-1], good[:100], zeros):
            file.write_bytes(content)
            again = Counting(encoder)
            assert build(source, again, grid, kept=KeptPieces(folder, again.identity)).content_hash == whole
            assert len(again.images) == 16

    def test_other_pixels_are_encoded_anew(self, tmp_path: Path, encoder: Encoder) -> None:
        folder = tmp_path / "out.partial"
        source = write_map(tmp_path / "map.tif", 200.0, 200.0)
        build(source, encoder, plan(source, 90.0, 30.0), kept=KeptPieces(folder, encoder.identity))
        again = Counting(encoder)
        build(source, again, plan(source, 91.0, 30.0), kept=KeptPieces(folder, again.identity))
        assert len(again.images) == 16

    def test_strangers_in_the_folder_stay(self, tmp_path: Path, encoder: Encoder) -> None:
        source = write_map(tmp_path / "map.tif", 200.0, 200.0)
        kept = KeptPieces(tmp_path / "out.partial", encoder.identity)
        build(source, encoder, plan(source, 90.0, 30.0), kept=kept)
        (tmp_path / "out.partial" / "notes.txt").write_text("mine")
        kept.remove()
        assert [file.name for file in (tmp_path / "out.partial").iterdir()] == ["notes.txt"]
