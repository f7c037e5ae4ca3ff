"""Building compressed indexes: which one is chosen, what FAISS cannot make, and how far a search is set to look."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.gallery_index import CompressedIndex
from lkpan_ros.localization.index_build import build_index, check_spec, choose_spec, with_index
from test.localization.galleries import scaled
from test.localization.thumbnails import Thumbnails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery


ROWS = scaled(np.random.default_rng(2).normal(size=(3000, 64))).astype(np.float16)


class TestChoice:
    def test_small_is_exact_and_large_is_compressed(self) -> None:
        assert choose_spec(2_000, 2560, 2**31) == "exact"
        assert choose_spec(1_000_000, 2560, 2**31).startswith("PCA256,IVF")
        assert choose_spec(1_000_000, 8192, 2**31).startswith("PCA256,IVF")
        assert choose_spec(10_000_000, 2560, 2**32) == "PCA256,IVF8192,PQ128x4fsr,Refine(SQ8)"
        assert choose_spec(10_000_000, 2560, 2**31) == "PCA192,IVF8192,PQ96x4fsr,Refine(SQ4)"
        assert choose_spec(10_000_000, 2560, 1_000_000_000) == "PCA128,IVF8192,PQ64x4fsr"
        assert choose_spec(50_000, 2560, 2**27).startswith("PCA256,IVF")  # fast enough, but too large

    def test_too_little_memory_is_told(self) -> None:
        with pytest.raises(ConfigError, match=r"1000000 tiles do not fit into 50 MB.*allow 72\.7 MB"):
            choose_spec(1_000_000, 2560, 50_000_000)

    def test_what_auto_chooses_can_be_made(self) -> None:
        check_spec("auto", 200, 2560, 700_000)
        with pytest.raises(ConfigError, match=r"100 tiles do not fit into 0\.3 MB"):
            check_spec("auto", 100, 2560, 300_000)

    @pytest.mark.parametrize("spec", [
        "nonsense", "IVF5000,SQ8", "PCA100,SQ8", "PCA0,SQ8", "", "PQ7", "IVF0,SQ8", "HNSW0,SQ8",
        "IDMap,IVF16,SQ8", "SQ4,Refine(HNSW16,SQ8)", "SQ4,Refine(IVF8,SQ8)", "IVF16,SQ4,Refine(PQ16x4fs)",
        "IVF16,SQ4,Refine(SQ8),Refine(SQfp16)",
    ])  # fmt: skip
    def test_what_faiss_cannot_make_is_told(self, spec: str) -> None:
        with pytest.raises(
            ConfigError, match=re.escape(f"--index {spec}: FAISS makes no such index of 3000")
        ):
            check_spec(spec, 3000, 64, 2**31)
        with pytest.raises(
            ConfigError, match=re.escape(f"--index {spec}: FAISS makes no such index of 3000")
        ):
            build_index(ROWS, spec, ROWS[:60].astype(np.float32))

    def test_held_out_views_of_the_map_tell_the_recall(
        self, plain_gallery: Gallery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lkpan_ros.localization.index_build._QUERIES", 60)
        compressed = with_index(plain_gallery, Thumbnails(), "IVF4,SQ8")
        index = compressed.info.index
        assert index.queries == 30
        assert index.recall_at_10 is not None
        assert index.recall_at_10 > 0.9
        assert "IVF4,SQ8 (recall@10 0.9" in str(index) or "IVF4,SQ8 (recall@10 1.0" in str(index)
        assert with_index(compressed, Thumbnails(), "auto").info.index.spec == "exact"


class TestEffort:
    """Descriptors all over the sphere: nothing but much work finds the best of them."""

    ROWS = scaled(np.random.default_rng(5).normal(size=(3000, 32))).astype(np.float16)
    QUERIES = scaled(ROWS[:80] + 0.18 * np.random.default_rng(6).normal(size=(80, 32)))

    def hits(self, index: CompressedIndex, among: NDArray[np.int64] | None = None) -> float:
        """Share of the best ten that it finds."""
        tiles = np.arange(len(self.ROWS)) if among is None else among
        similarity = self.QUERIES @ self.ROWS[tiles].astype(np.float32).T
        best = tiles[np.argsort(-similarity, axis=1)[:, :10]]
        found = [index.search(query[None], 10, among)[1][0] for query in self.QUERIES]
        return float(np.mean([np.isin(a, b).mean() for a, b in zip(best, found, strict=True)]))

    @pytest.mark.parametrize("spec", [
        "IVF16,PQ8x4fsr,Refine(SQ8)", "PCA32,IVF16,PQ8x4fsr,Refine(SQ8)", "PCAR32,IVF16,PQ8x4fsr,Refine(SQ8)",
    ])  # fmt: skip
    def test_finer_codes_spare_full_descriptors(self, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lkpan_ros.localization.gallery_index._FEW", 10)
        plain, _ = build_index(self.ROWS, "IVF16,PQ8x4fsr", self.QUERIES)
        info, blob = build_index(self.ROWS, spec, self.QUERIES)
        assert plain.refined == 0
        assert plain.shortlist >= 800
        assert info.refined >= 800
        assert info.shortlist <= 200
        index = CompressedIndex(blob, info, self.ROWS)
        assert self.hits(index) > 0.98
        assert self.hits(index, np.arange(0, 3000, 2)) > 0.98
        less = CompressedIndex(blob, replace(info, refined=info.shortlist), self.ROWS)
        assert self.hits(less) < 0.9

    @pytest.mark.parametrize("spec", [
        "HNSW8,SQ8", "PCA24,HNSW8,SQ4,Refine(SQ8)", "PCAR24,HNSW8,SQ4,Refine(SQ8)", "PCA24,RR24,HNSW8,SQ8",
    ])  # fmt: skip
    def test_graphs_are_searched_as_far_as_they_must(self, spec: str) -> None:
        info, _ = build_index(self.ROWS, spec, self.QUERIES)
        assert info.probes > 32

    def test_no_more_is_asked_for_than_there_is(self) -> None:
        info, blob = build_index(self.ROWS[:300], "IVF16,PQ8x4fsr,Refine(SQ8)", self.QUERIES)
        assert info.shortlist <= info.refined <= 300
        excessive = replace(info, refined=2**40, shortlist=1)
        tiles = CompressedIndex(blob, excessive, self.ROWS[:300]).search(self.QUERIES[:1], 300)[1]
        assert sorted(tiles[0].tolist()) == list(range(300))
