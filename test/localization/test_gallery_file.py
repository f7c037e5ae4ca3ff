"""The file of a gallery: it comes back as it was, or there is a clear error."""

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
from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.geodesy import LocalFrame
from test.localization.galleries import grid_gallery

if TYPE_CHECKING:
    from pathlib import Path

    from lkpan_model.encoder import Encoder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "whole.gallery"
    grid_gallery(0, 5).save(path)
    return path


def test_a_gallery_comes_back_as_it_was(gallery: Gallery, encoder: Encoder, tmp_path: Path) -> None:
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


def test_it_names_the_differing_encoder(gallery: Gallery, tmp_path: Path) -> None:
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
def test_any_altered_byte_is_noticed(whole: Path, data: st.DataObject) -> None:
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
def test_any_cut_is_noticed(whole: Path, data: st.DataObject) -> None:
    content = whole.read_bytes()
    cut = whole.with_name("cut.gallery")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(GalleryError, match="truncated, damaged or no gallery"):
        Gallery.load(cut)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"no\.gallery: there is no such file; make it with build_gallery"):
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


def test_a_header_that_claims_more_than_the_file_holds_costs_nothing(tmp_path: Path) -> None:
    header = json.dumps(
        {"descriptors": {"dtype": "F16", "shape": [2**40, 2560], "data_offsets": [0, 2**53]}}
    ).encode()
    (tmp_path / "huge").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(GalleryError, match="huge"):
        Gallery.load(tmp_path / "huge")


def test_a_future_version_is_told_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_file, "VERSION", 7)
    grid_gallery(0, 5).save(tmp_path / "new.gallery")
    monkeypatch.undo()
    with pytest.raises(GalleryError, match=r"version '7'.*reads version 2; update lkpan_ros"):
        Gallery.load(tmp_path / "new.gallery")


@pytest.mark.parametrize("name", ["descriptors", "positions_m", "offsets"])
def test_parts_that_do_not_belong_together(tmp_path: Path, name: str) -> None:
    gallery = grid_gallery(0, 5)
    arrays = gallery._arrays()
    gallery_file.write(tmp_path / "a", gallery.info.to_json(), {**arrays, name: arrays[name][:-1]})
    with pytest.raises(GalleryError, match="rebuild"):
        Gallery.load(tmp_path / "a")
    gallery_file.write(tmp_path / "a", gallery.info.to_json(), {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(GalleryError, match=f"a: .*{name}.*rebuild"):
        Gallery.load(tmp_path / "a")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_frame_is_about_the_datum(gallery: Gallery) -> None:
    assert gallery.frame == LocalFrame(gallery.info.datum)
    assert gallery.frame.point(0.0, 0.0).lat_deg == pytest.approx(gallery.info.datum.lat_deg)


def test_information_whose_checksum_holds_and_whose_kinds_lie(tmp_path: Path) -> None:
    """Somebody who knows how has written it: each would be a crash in flight."""
    gallery = grid_gallery(0, 5)
    info, arrays = json.loads(gallery.info.to_json()), gallery._arrays()
    lies: list[dict[str, Any]] = [
        {**info, "tile_px": 10**400},
        {**info, "tile_px": 2**30, "tile_size_m": 2**30 * info["grid"]["gsd_m"]},  # a tile of 3 EB
        {**info, "tile_px": float(info["tile_px"])},
        {**info, "source_name": ["map.tif"]},
        {**info, "grid": {**info["grid"], "west_m": []}},
        {**info, "grid": {**info["grid"], "north_m": 1e300}},
        {**info, "grid": {**info["grid"], "columns": True}},
        {**info, "index": {**info["index"], "recall_at_10": "all"}},
    ]
    for lie in lies:
        gallery_file.write(tmp_path / "a", json.dumps(lie), arrays)
        with pytest.raises(GalleryError, match="its parts are not those of a gallery"):
            Gallery.load(tmp_path / "a")
    for text in ("[" * 100_000, "{", "[]", "3"):
        gallery_file.write(tmp_path / "a", text, arrays)
        with pytest.raises(GalleryError, match="its information"):
            Gallery.load(tmp_path / "a")


def test_arrays_of_other_kinds_and_tiles_on_another_planet(tmp_path: Path) -> None:
    gallery = grid_gallery(0, 5)
    arrays = gallery._arrays()
    for name, values in (
        ("offsets", np.asarray(arrays["offsets"], np.float64)),
        ("mask_row", np.asarray(arrays["mask_row"], np.int64)),
        ("positions_m", np.full((5, 2), 1e300)),
    ):
        gallery_file.write(tmp_path / "a", gallery.info.to_json(), {**arrays, name: values})
        with pytest.raises(GalleryError, match="rebuild"):
            Gallery.load(tmp_path / "a")
