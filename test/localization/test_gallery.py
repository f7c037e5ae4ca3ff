"""Look-up, pixels and the file of a gallery."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lkpan_model.config import variant
from lkpan_model.encoder import EncoderIdentity
from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_info import GalleryInfo
from lkpan_ros.localization.geodesy import LatLon, LocalFrame, distance_m
from lkpan_ros.localization.mosaic import BLOCK_PX, MosaicWriter, PixelGrid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from test.localization.conftest import Ground

IDENTITY = EncoderIdentity(variant("lite"), "0123abcd" * 8, "rgb 128x128")


def make_gallery(descriptors: NDArray[np.floating[Any]], positions_m: NDArray[np.float64]) -> Gallery:
    """With one block of pixels."""
    grid = PixelGrid(west_m=-64.0, north_m=64.0, gsd_m=0.5, columns=1, rows=1)
    writer = MosaicWriter(grid)
    pixels = np.random.default_rng(0).integers(0, 255, (BLOCK_PX, BLOCK_PX, 3), np.uint8)
    mask = np.ones((BLOCK_PX, BLOCK_PX), np.bool_)
    mask[:9] = False
    writer.add_row(pixels, mask)
    info = GalleryInfo(
        datum=LatLon(47.0, 8.0),
        tile_size_m=32.0,
        stride_m=16.0,
        tile_px=64,
        grid=grid,
        source_name="map.tif",
        source_crs="EPSG:4326",
        source_bounds=(7.9, 46.9, 8.1, 47.1),
        encoder=IDENTITY.to_dict(),
        created_by="a test",
    )
    return Gallery(info, descriptors, positions_m, writer.finish())


def unit(rng: np.random.Generator, count: int, dim: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=(count, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def grid_gallery(seed: int, count: int, dim: int = 8) -> Gallery:
    rng = np.random.default_rng(seed)
    positions = np.stack([np.arange(count) % 7 * 16.0, 100.0 - np.arange(count) // 7 * 16.0], axis=1)
    return make_gallery(unit(rng, count, dim), positions)


def stored(gallery: Gallery) -> NDArray[np.float32]:
    """The descriptors as the gallery keeps them, by asking for their similarity to each axis."""
    axes = np.eye(gallery.descriptor_dim, dtype=np.float32)
    columns = [gallery.search(axis[None], len(gallery)) for axis in axes]
    return np.stack([c.similarity[np.argsort(c.tile)] for c in columns], axis=1)


class TestSearch:
    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**31),
        count=st.integers(1, 60),
        rotations=st.integers(1, 4),
        candidates=st.integers(1, 80),
        near=st.none() | st.tuples(st.floats(-50, 150), st.floats(-50, 150), st.floats(0, 150)),
    )
    def test_it_equals_brute_force(
        self, seed: int, count: int, rotations: int, candidates: int, near: tuple[float, float, float] | None
    ) -> None:
        gallery = grid_gallery(seed, count)
        queries = unit(np.random.default_rng(seed + 1), rotations, 8)
        matches = gallery.search(queries, candidates, near)

        similarity = stored(gallery) @ queries.T  # N x R
        allowed = np.ones(count, np.bool_)
        if near is not None:
            allowed = np.hypot(*(gallery.positions_m - near[:2]).T) <= near[2]
        best = np.sort(similarity.max(axis=1)[allowed])[::-1][:candidates]
        assert len(matches.tile) == len(best)
        assert np.allclose(matches.similarity, best, atol=1e-5)
        assert len(set(matches.tile.tolist())) == len(matches.tile), "a tile twice"
        assert allowed[matches.tile].all()
        assert np.allclose(similarity[matches.tile, matches.rotation], matches.similarity, atol=1e-5)
        assert (matches.position_m == gallery.positions_m[matches.tile]).all()

    def test_the_turn_that_matched_is_told(self) -> None:
        gallery = grid_gallery(0, 40, dim=64)
        queries = unit(np.random.default_rng(5), 4, 64)
        queries[2] = stored(gallery)[17]
        matches = gallery.search(queries, 5)
        assert matches.tile[0] == 17
        assert matches.rotation[0] == 2
        assert matches.similarity[0] == pytest.approx(1.0, abs=2e-3)

    def test_nothing_near_is_nothing_found(self) -> None:
        matches = grid_gallery(0, 40).search(unit(np.random.default_rng(1), 4, 8), 10, (5000.0, 0.0, 100.0))
        assert len(matches.tile) == len(matches.similarity) == len(matches.rotation) == 0
        assert matches.position_m.shape == (0, 2)

    def test_a_tile_on_the_radius_is_near(self) -> None:
        gallery = grid_gallery(0, 7)
        matches = gallery.search(unit(np.random.default_rng(1), 1, 8), 10, (0.0, 84.0, 16.0))
        assert matches.tile.tolist() == [0]

    @pytest.mark.parametrize(
        ("queries", "candidates", "words"),
        [
            (np.ones((1, 9), np.float32), 5, "length 8"),
            (np.ones(8, np.float32), 5, "length 8"),
            (np.empty((0, 8), np.float32), 5, "length 8"),
            (np.full((1, 8), np.nan, np.float32), 5, "not finite"),
            (np.ones((1, 8), np.float32), 0, "0 candidates"),
        ],
    )
    def test_bad_queries_are_refused(self, queries: NDArray[np.float32], candidates: int, words: str) -> None:
        with pytest.raises(GalleryError, match=words):
            grid_gallery(0, 10).search(queries, candidates)


class TestPlace:
    def test_footprints_are_north_up_squares_about_the_centre(self, gallery: Gallery) -> None:
        for tile in (0, len(gallery) - 1):
            nw, ne, se, sw = gallery.footprint(tile)
            east, north = gallery.positions_m[tile]
            assert distance_m(nw, se) == pytest.approx(gallery.tile_size_m * 2**0.5, abs=1e-3)
            assert distance_m(nw, ne) == pytest.approx(gallery.tile_size_m, abs=1e-3)
            assert nw.lat_deg > sw.lat_deg
            assert se.lon_deg > sw.lon_deg
            center = gallery.frame.point(east, north)
            assert distance_m(center, se) == pytest.approx(gallery.tile_size_m / 2**0.5, abs=1e-3)

    def test_tiles_and_windows_show_the_ground_at_their_place(self, gallery: Gallery, ground: Ground) -> None:
        """To a part of a pixel: a shift of one pixel must match the map worse than none."""
        gsd_m = gallery.gsd_m
        for tile in (0, 40, len(gallery) - 1):
            point = gallery.frame.point(*gallery.positions_m[tile])
            east, north = ground.frame.to_local(point.lat_deg, point.lon_deg)
            size = len(ground.image)
            column = (east - gallery.tile_size_m / 2) / gsd_m + size / 2
            row = size / 2 - (north + gallery.tile_size_m / 2) / gsd_m
            assert column == pytest.approx(round(column), abs=0.15)
            image = gallery.tile_image(tile)
            assert image.shape == (gallery.tile_px, gallery.tile_px, 3)
            best = min(
                (np.abs(_cut(ground.image, round(row) + j, round(column) + i, 150) - image).mean(), i, j)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            assert best[1:] == (0, 0)
            x, y = (float(v) for v in gallery.positions_m[tile])
            window, mask = gallery.window(x, y, gallery.tile_size_m, gallery.tile_px)
            assert mask.all()
            assert (window == image).all()

    def test_beyond_the_map_there_is_nothing(self, gallery: Gallery) -> None:
        rgb, mask = gallery.window(10_000.0, 0.0, 90.0, 50)
        assert not mask.any()
        assert not rgb.any()


def _cut(image: NDArray[np.uint8], row: int, column: int, side: int) -> NDArray[np.float64]:
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    return padded[row + 2 : row + 2 + side, column + 2 : column + 2 + side].astype(float)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "whole.gallery"
    grid_gallery(0, 5).save(path)
    return path


class TestFile:
    def test_a_gallery_comes_back_as_it_was(self, gallery: Gallery, encoder: Encoder, tmp_path: Path) -> None:
        gallery.save(tmp_path / "a.gallery")
        loaded = Gallery.load(tmp_path / "a.gallery", encoder.identity)
        assert loaded.info == gallery.info
        assert loaded.encoder_identity == encoder.identity
        assert loaded.content_hash == gallery.content_hash
        assert (loaded.positions_m == gallery.positions_m).all()
        assert (loaded.tile_image(3) == gallery.tile_image(3)).all()
        queries = encoder.encode([gallery.tile_image(3)])
        assert (loaded.search(queries, 9).tile == gallery.search(queries, 9).tile).all()
        assert loaded.search(queries, 9).tile[0] == 3
        assert [file.name for file in tmp_path.iterdir()] == ["a.gallery"]

    def test_it_names_the_differing_encoder(self, gallery: Gallery, tmp_path: Path) -> None:
        gallery.save(tmp_path / "a.gallery")
        made_with = gallery.encoder_identity
        for other, words in (
            (replace(made_with, weights_hash="f" * 64), "weights_hash.*ffff"),
            (replace(made_with, config=variant("base")), "config.variant: gallery lite, encoder base"),
            (replace(made_with, preprocessing="bgr"), "preprocessing.*encoder bgr"),
        ):
            with pytest.raises(GalleryError, match=f"a.gallery.*another encoder.*{words}.*--weights"):
                Gallery.load(tmp_path / "a.gallery", other)

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def test_any_altered_byte_is_noticed(self, whole: Path, data: st.DataObject) -> None:
        content = bytearray(whole.read_bytes())
        header = 8 + struct.unpack("<Q", content[:8])[0]
        index = data.draw(st.integers(0, len(content) - 1) | st.integers(0, header))
        content[index] ^= data.draw(st.integers(1, 255))
        altered = whole.with_name("altered.gallery")
        altered.write_bytes(content)
        try:
            loaded = Gallery.load(altered)
        except GalleryError as error:
            assert str(altered) in str(error)  # noqa: PT017 - both outcomes are looked at
        else:  # white space between the parts of the header
            assert loaded.content_hash == Gallery.load(whole).content_hash

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_any_cut_is_noticed(self, whole: Path, data: st.DataObject) -> None:
        content = whole.read_bytes()
        cut = whole.with_name("cut.gallery")
        cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(GalleryError, match="truncated, damaged or no gallery"):
            Gallery.load(cut)

    def test_missing_and_foreign_files(self, tmp_path: Path) -> None:
        with pytest.raises(
            GalleryError, match=r"no\.gallery: there is no such file; make it with build_gallery"
        ):
            Gallery.load(tmp_path / "no.gallery")
        with pytest.raises(GalleryError, match="no such file"):
            Gallery.load(tmp_path)
        for content in (b"", b"hello", b"\x80\x02}q\x00." * 50, bytes(5000)):
            (tmp_path / "foreign").write_bytes(content)
            with pytest.raises(GalleryError, match="foreign: is truncated, damaged or no gallery"):
                Gallery.load(tmp_path / "foreign")
        save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors", {"format": "lkpan-encoder"})
        with pytest.raises(GalleryError, match=r"is no gallery.*lkpan-encoder"):
            Gallery.load(tmp_path / "weights.safetensors")

    def test_a_header_that_claims_more_than_the_file_holds_costs_nothing(self, tmp_path: Path) -> None:
        header = json.dumps(
            {"descriptors": {"dtype": "F16", "shape": [2**40, 2560], "data_offsets": [0, 2**53]}}
        ).encode()
        (tmp_path / "huge").write_bytes(struct.pack("<Q", len(header)) + header)
        with pytest.raises(GalleryError, match="huge"):
            Gallery.load(tmp_path / "huge")

    def test_a_future_version_is_told_from_damage(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gallery_file, "VERSION", 7)
        grid_gallery(0, 5).save(tmp_path / "new.gallery")
        monkeypatch.undo()
        with pytest.raises(GalleryError, match=r"version '7'.*reads version 1; update lkpan_ros"):
            Gallery.load(tmp_path / "new.gallery")

    @pytest.mark.parametrize("name", ["descriptors", "positions_m", "offsets"])
    def test_parts_that_do_not_belong_together(self, tmp_path: Path, name: str) -> None:
        gallery = grid_gallery(0, 5)
        arrays = gallery._arrays()
        gallery_file.write(tmp_path / "a", gallery.info.to_json(), {**arrays, name: arrays[name][:-1]})
        with pytest.raises(GalleryError, match="rebuild"):
            Gallery.load(tmp_path / "a")
        gallery_file.write(
            tmp_path / "a", gallery.info.to_json(), {k: v for k, v in arrays.items() if k != name}
        )
        with pytest.raises(GalleryError, match=f"a: .*{name}.*rebuild"):
            Gallery.load(tmp_path / "a")

    def test_a_failed_save_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.gallery"
        grid_gallery(0, 5).save(path)
        before = path.read_bytes()

        def full(_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            grid_gallery(1, 6).save(path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["a.gallery"]

    def test_the_frame_is_about_the_datum(self, gallery: Gallery) -> None:
        assert gallery.frame == LocalFrame(gallery.info.datum)
        assert gallery.frame.point(0.0, 0.0).lat_deg == pytest.approx(gallery.info.datum.lat_deg)
