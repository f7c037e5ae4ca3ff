"""Compressed indexes: what they find, what they say of themselves, and how they are kept in a gallery's file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pytest

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_index import CompressedIndex, ExactIndex
from lkpan_ros.localization.gallery_info import GalleryInfo, IndexInfo
from lkpan_ros.localization.index_build import build_index
from test.localization.galleries import grid_gallery, make_gallery, scaled, unit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SPEC = "PCA24,IVF16,SQ8"
REFINED = "PCA32,IVF16,PQ16x4fsr,Refine(SQ8)"
COUNT, DIM = 3000, 64


def clustered(seed: int, count: int) -> NDArray[np.float32]:
    """Descriptors about 40 centres, of few directions: as those of a map."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, 20)) @ np.random.default_rng(1).normal(size=(20, DIM))
    vectors = centres[rng.integers(0, 40, count)] + rng.normal(size=(count, DIM)) * 1.5
    return scaled(vectors)


ROWS = clustered(2, COUNT).astype(np.float16)
QUERIES = clustered(3, 60)


@pytest.fixture(scope="module", params=[SPEC, REFINED])
def indexed(request: pytest.FixtureRequest) -> Gallery:
    side = 60
    positions = np.stack([np.arange(COUNT) % side * 16.0, np.arange(COUNT) // side * 16.0], axis=1)
    return make_gallery(ROWS, positions).indexed(*build_index(ROWS, request.param, QUERIES))


def best_ten(queries: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(-(queries @ ROWS.astype(np.float32).T), axis=1)[:, :10]


def recall(gallery: Gallery, queries: NDArray[np.float32]) -> float:
    found = [gallery.search(query[None], 10).tile for query in queries]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(best_ten(queries), found, strict=True)]))


class TestCompressed:
    @pytest.mark.parametrize(
        "spec",
        [SPEC, "IVF16,Flat", "PCA32,IVF16,PQ16x4fs", REFINED, "IVF16,SQ4,Refine(SQ8)",
         "HNSW16,SQ8", "PCA32,HNSW16,SQ8,Refine(SQfp16)", "SQ4,Refine(SQ8)", "SQ8"],
    )  # fmt: skip
    def test_it_finds_what_its_information_says(self, spec: str) -> None:
        info, blob = build_index(ROWS, spec, QUERIES)
        index = CompressedIndex(blob, info, ROWS)
        found = index.search(QUERIES, 10)[1]
        hits = np.array([np.isin(a, b) for a, b in zip(best_ten(QUERIES), found, strict=True)])[1::2]
        assert (info.spec, info.queries) == (spec, 30)
        assert info.recall_at_10 == pytest.approx(
            hits.mean(), abs=0.01
        )  # equal similarities may change places
        assert info.recall_at_10 is not None
        assert info.recall_at_10 > 0.95
        assert info.bytes_per_tile == blob.size / COUNT

    def test_similarities_are_those_of_the_full_descriptors(self, indexed: Gallery) -> None:
        for query in clustered(9, 20):
            matches = indexed.search(query[None], 7)
            assert len(matches.tile) == 7
            assert np.allclose(matches.similarity, ROWS[matches.tile].astype(np.float32) @ query, atol=1e-4)
            assert (np.diff(matches.similarity) <= 0).all()
        assert recall(indexed, clustered(9, 100)) > 0.95

    def test_more_candidates_than_the_shortlist(self, indexed: Gallery) -> None:
        shortlist = indexed.info.index.shortlist
        assert len(indexed.search(QUERIES[:1], shortlist + 50).tile) == shortlist + 50

    def test_near_a_place_it_is_exact(self, indexed: Gallery) -> None:
        for radius_m in (0.0, 20.0, 300.0):
            near = np.flatnonzero(np.hypot(*(indexed.positions_m - (400.0, 400.0)).T) <= radius_m)
            matches = indexed.search(QUERIES[:1], 20, (400.0, 400.0, radius_m))
            expected = near[np.argsort(-(ROWS[near].astype(np.float32) @ QUERIES[0]), kind="stable")[:20]]
            assert matches.tile.tolist() == expected.tolist()

    def test_among_many_tiles_the_index_is_asked(
        self, indexed: Gallery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lkpan_ros.localization.gallery_index._FEW", 10)
        exact = Gallery(
            replace(indexed.info, index=type(indexed.info.index)()), ROWS, indexed.positions_m, indexed.mosaic
        )
        hits = []
        for query in QUERIES:
            here = (480.0, 300.0, 250.0)
            matches, expected = indexed.search(query[None], 10, here), exact.search(query[None], 10, here)
            assert (np.hypot(*(matches.position_m - here[:2]).T) <= here[2]).all()
            hits.append(np.isin(expected.tile, matches.tile).mean())
        assert np.mean(hits) > 0.95

    def test_an_index_of_other_descriptors_is_refused(self) -> None:
        info, blob = build_index(ROWS, SPEC, QUERIES)
        with pytest.raises(GalleryError, match=r"index of 3000 descriptors.*rebuild"):
            CompressedIndex(blob, info, ROWS[:-1])
        with pytest.raises(GalleryError, match=r"PCA24,IVF16,SQ8 is damaged.*rebuild"):
            CompressedIndex(np.zeros(100, np.uint8), info, ROWS)

    def test_finer_codes_that_are_not_there_are_not_read(self) -> None:
        rows = ROWS.astype(np.float32)
        info = IndexInfo("IVF16,SQ8,Refine(SQ8)", probes=16, refined=400, shortlist=100)
        for first_tile, finer in ((1, COUNT), (0, COUNT - 1)):
            index = faiss.index_factory(DIM, info.spec, faiss.METRIC_INNER_PRODUCT)
            assert isinstance(index, faiss.IndexRefine)
            index.train(rows)
            faiss.downcast_index(index.base_index).add_with_ids(rows, np.arange(COUNT) + first_tile)
            index.refine_index.add(rows[:finer])
            index.ntotal = COUNT
            with pytest.raises(GalleryError, match=r"is damaged.*rebuild"):
                CompressedIndex(faiss.serialize_index(index), info, ROWS).search(rows, 10)

    def test_a_view_that_finds_nothing_leaves_the_others_what_they_find(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lkpan_ros.localization.gallery_index._FEW", 10)
        town, wood = np.eye(2, DIM).repeat(COUNT // 2, axis=0), clustered(4, COUNT)
        rows = scaled(town + 0.1 * wood).astype(np.float16)
        info, blob = build_index(rows, "IVF16,SQ8", rows[::50].astype(np.float32))
        index = CompressedIndex(blob, replace(info, probes=1), rows)
        views = rows[[5, -5]].astype(np.float32)
        among = np.arange(COUNT // 2)
        tiles = index.search(views, 10, among)[1]
        assert tiles.shape == (2, 10)
        assert (tiles < COUNT // 2).all()
        assert tiles[0].tolist() == index.search(views[:1], 10, among)[1][0].tolist()


class TestFile:
    def test_what_has_no_finer_codes_is_written_as_before_there_were_any(self, indexed: Gallery) -> None:
        text = indexed.info.to_json()
        assert ('"refined":' in text) == ("Refine" in indexed.info.index.spec)
        assert GalleryInfo.from_dict(json.loads(text)) == indexed.info

    @pytest.mark.parametrize("mapped_from", [2**31, 0])
    def test_it_comes_back_as_it_was(
        self, indexed: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped_from: int
    ) -> None:
        monkeypatch.setattr(gallery_file, "MAPPED_FROM_BYTES", mapped_from)
        indexed.save(tmp_path / "a.gallery")
        loaded = Gallery.load(tmp_path / "a.gallery")
        assert isinstance(loaded.rows, np.ndarray) is (mapped_from > 0)
        assert loaded.info == indexed.info
        assert loaded.content_hash == indexed.content_hash
        for query in QUERIES[:5]:
            assert loaded.search(query[None], 9).tile.tolist() == indexed.search(query[None], 9).tile.tolist()
        assert (loaded.tile_image(3) == indexed.tile_image(3)).all()
        loaded.save(tmp_path / "b.gallery")
        assert (tmp_path / "b.gallery").read_bytes() == (tmp_path / "a.gallery").read_bytes()

    def test_the_index_can_be_left_aside(self, indexed: Gallery, tmp_path: Path) -> None:
        indexed.save(tmp_path / "a.gallery")
        spec = indexed.info.index.spec
        assert Gallery.load(tmp_path / "a.gallery", index=spec).info.index.spec == spec
        exact = Gallery.load(tmp_path / "a.gallery", index="exact")
        assert exact.info.index.spec == "exact"
        assert recall(exact, QUERIES) == pytest.approx(1.0, abs=0.01)
        with pytest.raises(
            GalleryError, match=re.escape(f"a.gallery: has the index {spec}, not SQ8; rebuild")
        ):
            Gallery.load(tmp_path / "a.gallery", index="SQ8")

    def test_what_was_altered_in_a_mapped_file_is_noticed_when_it_is_used(
        self, indexed: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gallery_file, "MAPPED_FROM_BYTES", 0)
        path = tmp_path / "a.gallery"
        indexed.save(path)
        content = path.read_bytes()
        row = content.index(ROWS[2000].tobytes())
        path.write_bytes(content[:row] + b"\xff" + content[row + 1 :])
        loaded = Gallery.load(path)
        assert (loaded.descriptors(np.array([0, 1])) == ROWS[:2]).all()
        place = loaded.positions_m[2000]
        with pytest.raises(GalleryError, match=r"a\.gallery: its content was altered"):
            loaded.search(QUERIES[:1], 1, (float(place[0]), float(place[1]), 1.0))

    @pytest.mark.parametrize("mapped_from", [2**31, 0])
    def test_faiss_reads_no_altered_index(
        self, indexed: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped_from: int
    ) -> None:
        monkeypatch.setattr(gallery_file, "MAPPED_FROM_BYTES", mapped_from)
        path = tmp_path / "a.gallery"
        indexed.save(path)
        blob = indexed._arrays()["index"].tobytes()
        content = path.read_bytes()
        start = content.index(blob)
        for offset in (0, 40, len(blob) - 1):
            altered = bytearray(content)
            altered[start + offset] ^= 0xFF
            path.write_bytes(altered)
            with pytest.raises(GalleryError, match=r"a\.gallery: its content was altered"):
                Gallery.load(path)

    def test_an_index_without_its_information_is_refused(self, indexed: Gallery, tmp_path: Path) -> None:
        plain = grid_gallery(0, 50)
        for info, arrays in (
            (plain.info, {**plain._arrays(), "index": indexed._arrays()["index"]}),
            (replace(plain.info, index=indexed.info.index), plain._arrays()),
        ):
            gallery_file.write(tmp_path / "a.gallery", info.to_json(), arrays)
            with pytest.raises(GalleryError, match="index is not the one that its information names"):
                Gallery.load(tmp_path / "a.gallery")

    def test_tiles_that_there_are_not_are_not_looked_up(self) -> None:
        """Of an index whose checksum holds, made by somebody who knows how."""
        info, blob = build_index(ROWS, SPEC, QUERIES)
        index = faiss.deserialize_index(blob)
        index.reset()
        index.add_with_ids(ROWS.astype(np.float32), np.arange(COUNT) + 7)
        crafted = CompressedIndex(faiss.serialize_index(index), info, ROWS)
        with pytest.raises(GalleryError, match=r"PCA24,IVF16,SQ8 is damaged .*it has tile 30\d\d of 3000"):
            crafted.search(ROWS[-1:].astype(np.float32), 10)

    def test_a_part_that_is_larger_than_the_whole_is_not_allocated(self) -> None:
        info, blob = build_index(ROWS, "SQ8", QUERIES)
        size = np.frombuffer(np.int64(ROWS.size).tobytes(), np.uint8)  # of the codes, a byte a number
        at = next(i for i in range(len(blob) - 8) if (blob[i : i + 8] == size).all())
        for claimed in (2**33, 2**62):
            crafted = blob.copy()
            crafted[at : at + 8] = np.frombuffer(np.int64(claimed).tobytes(), np.uint8)
            with pytest.raises(GalleryError, match=r"SQ8 is damaged"):
                CompressedIndex(crafted, info, ROWS)


def test_restricted_exact_search_is_the_same_by_both_ways() -> None:
    index = ExactIndex(ROWS)
    for count in (300, 2900):  # one by one, and by a selection
        among = np.sort(np.random.default_rng(count).choice(COUNT, count, replace=False))
        similarity, tile = index.search(QUERIES[:4], 12, among)
        expected = QUERIES[:4] @ ROWS[among].astype(np.float32).T
        assert np.allclose(similarity, -np.sort(-expected, axis=1)[:, :12], atol=1e-5)
        assert np.isin(tile, among).all()


def test_unit_vectors_are_kept_to_16_bits() -> None:
    rows = unit(np.random.default_rng(0), 40, 32)
    assert (ExactIndex(rows).rows == rows.astype(np.float16)).all()
