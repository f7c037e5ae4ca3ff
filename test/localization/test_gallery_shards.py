"""A gallery in several files is the same gallery, or an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery import Gallery
from test.localization.galleries import grid_gallery, unit

if TYPE_CHECKING:
    from pathlib import Path


def shards(path: Path) -> list[Path]:
    return sorted(path.with_name(f"{path.name}.shards").glob("*"))


def test_it_is_read_as_one(tmp_path: Path) -> None:
    gallery, path = grid_gallery(0, 500, dim=64), tmp_path / "a.gallery"
    gallery.save(path, shard_bytes=20_000)
    assert len(shards(path)) > 4
    assert max(file.stat().st_size for file in shards(path)) < 25_000
    loaded = Gallery.load(path)
    assert (loaded.descriptors(np.arange(500)) == gallery.descriptors(np.arange(500))).all()
    assert (loaded.positions_m == gallery.positions_m).all()
    assert (loaded.tile_image(3) == gallery.tile_image(3)).all()
    queries = unit(np.random.default_rng(1), 2, 64)
    for near in (None, (50.0, 0.0, 60.0)):
        found, expected = loaded.search(queries, 20, near), gallery.search(queries, 20, near)
        assert found.tile.tolist() == expected.tile.tolist()
    loaded.save(tmp_path / "b.gallery")  # one file again
    assert not shards(tmp_path / "b.gallery")
    assert Gallery.load(tmp_path / "b.gallery").content_hash == grid_gallery(0, 500, dim=64).content_hash


def test_another_gallery_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.gallery"
    grid_gallery(0, 500, dim=64).save(path, shard_bytes=20_000)
    before = shards(path)
    grid_gallery(1, 500, dim=64).save(path, shard_bytes=30_000)
    assert not set(before) & set(shards(path))
    assert len(Gallery.load(path)) == 500
    grid_gallery(2, 20).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.gallery"]
    assert len(Gallery.load(path)) == 20


def test_a_missing_altered_or_foreign_shard_is_told(tmp_path: Path) -> None:
    path, other = tmp_path / "a.gallery", tmp_path / "b.gallery"
    grid_gallery(0, 500, dim=64).save(path, shard_bytes=20_000)
    grid_gallery(1, 500, dim=64).save(other, shard_bytes=20_000)
    first, second = shards(path)[:2]
    content = first.read_bytes()
    for wrong, words in (
        (shards(other)[0].read_bytes(), rf"{first.name}: is no shard of .*a\.gallery"),
        (second.read_bytes(), "is no shard of"),
        (content[:-1], "truncated, damaged or no gallery"),
    ):
        first.write_bytes(wrong)
        with pytest.raises(GalleryError, match=words):
            Gallery.load(path)
    altered = bytearray(content)
    altered[content.index(grid_gallery(0, 500, dim=64).rows[3:4].tobytes())] ^= 1
    first.write_bytes(altered)
    with pytest.raises(GalleryError, match=rf"{first.name}: its content was altered"):
        Gallery.load(path)  # an exact index reads all of it
    first.unlink()
    with pytest.raises(GalleryError, match=f"{first.name}: there is no such file"):
        Gallery.load(path)


@pytest.mark.parametrize(
    "listing", ["{", "[1]", '[{"name": "a"}]', "[]", '[{"name": "../../secret", "sha256": ""}]', '[{"name": ".."}]']
)  # fmt: skip
def test_a_listing_by_somebody_who_knows_how_is_refused(tmp_path: Path, listing: str) -> None:
    path = tmp_path / "a.gallery"
    grid_gallery(0, 500, dim=64).save(path, shard_bytes=20_000)
    info, arrays, _ = gallery_file.read(path)
    arrays["shards"] = np.frombuffer(listing.encode(), np.uint8)
    gallery_file.write(path, json.dumps(info), arrays)
    with pytest.raises(GalleryError, match=r"a\.gallery: .*shard"):
        Gallery.load(path)
