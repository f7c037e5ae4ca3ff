"""The audit of a gallery before a flight: its GeoJSON, its figures, the passes, the journal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.camera import Intrinsics
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.look_alikes import find_look_alikes
from lkpan_ros.localization.texture import Texture
from lkpan_ros.simulation.camera import SimulatedCamera
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.tools import audit_geojson
from lkpan_ros.tools.audit_flights import Passes, PlaceFigures, spread_places
from lkpan_ros.tools.audit_geojson import write_geojson
from lkpan_ros.tools.audit_journal import PassJournal
from lkpan_ros.tools.audit_picture import draw_audit
from lkpan_ros.tools.audit_summary import Audit, summarize, table
from test.localization.galleries import grid_gallery

if TYPE_CHECKING:
    from pathlib import Path


TILE_PROPERTIES = {
    "tile", "look_alike_similarity", "look_alike_tile", "look_alike_distance_m", "ambiguous", "contrast",
    "gradient", "textureless",
}  # fmt: skip


def place(tile: int, fixes: int = 6, false_fixes: int = 0, frames: int = 9) -> PlaceFigures:
    reasons = {"ambiguous": frames - fixes} if fixes < frames else {}
    first_fix_s = (frames - fixes) / 3.0 if fixes else None
    return PlaceFigures(tile, 45.0, frames, fixes, false_fixes, first_fix_s, (2.0,) * fixes, reasons)


def audit_of(gallery: Gallery, *places: PlaceFigures, least_lead: float = 0.3) -> Audit:
    contrast = np.asarray(np.linspace(1.0, 30.0, len(gallery)), np.float64)
    return Audit(
        gallery=gallery,
        look_alikes=find_look_alikes(gallery, 40.0),
        retention=0.7,
        least_lead=least_lead,
        texture=Texture(contrast, contrast / 4),
        textureless=contrast < 4.0,
        places=places,
    )


def geojson(folder: Path, audit: Audit) -> dict[str, Any]:
    write_geojson(folder / "audit.geojson", audit, {"tiles": len(audit.gallery)})
    text = (folder / "audit.geojson").read_text()
    collection: dict[str, Any] = json.loads(
        text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    return collection


class TestGeoJson:
    def test_tiles_are_closed_anticlockwise_rings_about_their_footprint(self, tmp_path: Path) -> None:
        gallery = grid_gallery(0, 30)
        collection = geojson(tmp_path, audit_of(gallery))
        assert collection["type"] == "FeatureCollection"
        assert collection["tiles_left_out"] == 0
        assert len(collection["features"]) == len(gallery)
        for tile, feature in enumerate(collection["features"]):
            assert feature["geometry"]["type"] == "Polygon"
            (ring,) = feature["geometry"]["coordinates"]
            nw, ne, se, sw = gallery.footprint(tile)
            expected = [(corner.lon_deg, corner.lat_deg) for corner in (nw, sw, se, ne, nw)]
            assert ring[0] == ring[-1]
            assert np.allclose(ring, expected, atol=1e-7)
            east, north = np.array(ring).T
            assert (east[:-1] * north[1:] - east[1:] * north[:-1]).sum() > 0, "right-hand rule"

    def test_tiles_tell_their_look_alike_and_texture(self, tmp_path: Path) -> None:
        audit = audit_of(grid_gallery(0, 30))
        for tile, feature in enumerate(geojson(tmp_path, audit)["features"]):
            told = feature["properties"]
            assert set(told) == TILE_PROPERTIES
            assert told["tile"] == tile
            assert told["look_alike_tile"] == audit.look_alikes.tile[tile]
            assert told["look_alike_similarity"] == pytest.approx(
                audit.look_alikes.similarity[tile], abs=1e-4
            )
            assert told["look_alike_distance_m"] == pytest.approx(audit.look_alikes.distance_m[tile], abs=0.1)
            assert told["ambiguous"] == (told["look_alike_similarity"] > 0.7)
            assert told["textureless"] == (told["contrast"] < 4.0)

    def test_places_are_points_in_the_middle_of_their_tile(self, tmp_path: Path) -> None:
        gallery = grid_gallery(0, 30)
        features = geojson(tmp_path, audit_of(gallery, place(7), place(12, fixes=0)))["features"][-2:]
        point = gallery.frame.point(*gallery.positions_m[7])
        assert features[0]["geometry"]["type"] == "Point"
        assert features[0]["geometry"]["coordinates"] == pytest.approx(
            [point.lon_deg, point.lat_deg], abs=1e-7
        )
        assert features[0]["properties"]["availability"] == pytest.approx(6 / 9, abs=1e-4)
        assert features[0]["properties"]["view_error_median_m"] == 2.0
        assert features[1]["properties"]["view_error_median_m"] is None
        assert features[1]["properties"]["reason"] == "ambiguous"

    def test_a_gallery_of_one_place_has_no_look_alikes(self, tmp_path: Path) -> None:
        told = geojson(tmp_path, audit_of(grid_gallery(0, 1)))["features"][0]["properties"]
        assert (
            told["look_alike_tile"] is told["look_alike_similarity"] is told["look_alike_distance_m"] is None
        )
        assert not told["ambiguous"]

    def test_of_a_large_gallery_the_troublesome_tiles_are_listed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit_geojson, "MOST_TILES", 10)
        audit = audit_of(grid_gallery(0, 60), place(3))
        collection = geojson(tmp_path, audit)
        tiles = [f["properties"] for f in collection["features"] if f["geometry"]["type"] == "Polygon"]
        marked = audit.ambiguous | audit.textureless
        assert 0 < len(tiles) <= 10 < marked.sum()
        assert all(told["ambiguous"] or told["textureless"] for told in tiles)
        assert collection["tiles_left_out"] == 60 - len(tiles)
        assert len(collection["features"]) == len(tiles) + 1

    def test_tiles_on_the_antimeridian_stay_in_one_piece(self, tmp_path: Path) -> None:
        plain = grid_gallery(0, 21)
        info = replace(plain.info, datum=LatLon(-17.0, 179.9995))
        gallery = Gallery(info, plain.descriptors(np.arange(21)), plain.positions_m, plain.mosaic)
        rings = [f["geometry"]["coordinates"][0] for f in geojson(tmp_path, audit_of(gallery))["features"]]
        assert max(np.ptp(np.array(ring)[:, 0]) for ring in rings) < 0.001


class TestFigures:
    def test_the_sums_over_places(self) -> None:
        audit = audit_of(
            grid_gallery(0, 30), place(1, fixes=9), place(2, fixes=3, false_fixes=1), place(5, fixes=0)
        )
        summary = summarize(audit)
        assert (summary.places, summary.frames, summary.fixes) == (3, 27, 12)
        assert summary.availability == pytest.approx(12 / 27)
        assert summary.places_without_fix == summary.places_with_false_fix == summary.false_fixes == 1
        assert summary.false_fix_rate == pytest.approx(1 / 12)
        assert summary.first_fix_median_s == pytest.approx(1.0)
        assert summary.view_error_median_m == summary.view_error_p90_m == 2.0
        assert summary.main_reason == "ambiguous"
        words = table(audit, summary)
        assert "index" in words
        assert (summary.index, summary.index_recall_at_10) == ("exact", None)
        assert "44.4%" in words
        assert "Optimistic" in words

    def test_without_passes_nothing_is_expected(self) -> None:
        audit = audit_of(grid_gallery(0, 30))
        summary = summarize(audit)
        assert summary.availability is summary.false_fix_rate is summary.view_error_median_m is None
        assert "availability" not in table(audit, summary)

    def test_pairs_of_overlapping_tiles_are_told_once(self) -> None:
        audit = audit_of(grid_gallery(0, 60))
        pairs = audit.pairs(20)
        assert audit.look_alikes.similarity[pairs[0][0]] == audit.look_alikes.similarity.max()
        for index, one in enumerate(pairs):
            for other in pairs[:index]:
                for order in (other, other[::-1]):
                    apart_m = audit.gallery.positions_m[list(one)] - audit.gallery.positions_m[list(order)]
                    assert np.linalg.norm(apart_m, axis=1).max() >= audit.gallery.tile_size_m

    @pytest.mark.parametrize("places", [(), (place(3), place(20, fixes=2, false_fixes=2))])
    def test_the_picture(self, places: tuple[PlaceFigures, ...], tmp_path: Path) -> None:
        audit = audit_of(grid_gallery(0, 45), *places)
        draw_audit(tmp_path / "audit.png", audit, summarize(audit))
        picture = cv2.imread(str(tmp_path / "audit.png"))
        assert picture is not None
        assert min(picture.shape[:2]) > 400


class TestPlaces:
    @settings(max_examples=20)
    @given(count=st.integers(0, 130), seed=st.integers(0, 1000))
    def test_they_are_distinct_and_few_are_the_first_of_many(self, count: int, seed: int) -> None:
        gallery = grid_gallery(0, 100)
        tiles = spread_places(gallery, count, seed)
        assert len(tiles) == len(set(tiles)) == min(count, 100)
        assert tiles == spread_places(gallery, 100, seed)[: len(tiles)]

    def test_they_are_spread_over_the_map(self) -> None:
        gallery = grid_gallery(0, 700)  # 7 x 100 tiles
        chosen = gallery.positions_m[spread_places(gallery, 70, 0)]
        counts, _ = np.histogram(chosen[:, 1], bins=10)
        assert counts.min() >= 5
        assert counts.max() <= 9

    @pytest.mark.parametrize("tilt_deg", [0.0, 40.0])
    def test_the_view_crosses_the_tile_halfway(self, tilt_deg: float) -> None:
        gallery = grid_gallery(0, 30)
        flown = FlightSettings(
            seconds=2.0, rate_hz=2.0, height_m=30.0, tilt_deg=tilt_deg, wind=0.0, sensor_error=0.0
        )
        camera = SimulatedCamera(Intrinsics.from_field_of_view(64, 48, 60.0))
        flight = Passes(gallery, camera, flown).flight(9)
        assert flight.pose(1.0).view_centre_m() == pytest.approx(gallery.positions_m[9], abs=1e-6)
        ends = [np.array(flight.pose(time_s).view_centre_m()) for time_s in (0.0, 2.0)]
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(24.0)

    def test_the_localizer_is_not_told_what_it_shall_not_know(self) -> None:
        gallery = grid_gallery(0, 30)
        camera = SimulatedCamera(Intrinsics.from_field_of_view(64, 48, 60.0))
        flown = FlightSettings(seconds=1.0, height_m=30.0, tilt_deg=20.0)
        simulated = Passes(gallery, camera, flown).flight(9)[0]
        known = Passes(gallery, camera, flown).frame(simulated)
        assert known.attitude == simulated.attitude
        assert known.height_m == simulated.height_m
        unknown = Passes(gallery, camera, flown, heading_known=False, height_known=False).frame(simulated)
        assert unknown.height_m is None
        assert unknown.attitude is not None
        assert unknown.attitude.heading_deg is None
        assert unknown.attitude.tilt_deg == simulated.attitude.tilt_deg


class TestJournal:
    def test_a_run_that_was_cut_off_is_gone_on_with(self, tmp_path: Path) -> None:
        path = tmp_path / "passes.jsonl"
        first = PassJournal(path, {"seed": 1})
        first.add(place(4))
        first.add(place(9, fixes=0))
        with path.open("a") as stream:
            stream.write('{"tile": 11, "head')  # cut off here
        second = PassJournal(path, {"seed": 1})
        assert second.places == {4: place(4), 9: place(9, fixes=0)}
        second.add(place(11))
        assert PassJournal(path, {"seed": 1}).places.keys() == {4, 9, 11}
        second.remove()
        assert not path.exists()

    def test_another_run_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "passes.jsonl"
        PassJournal(path, {"seed": 1}).add(place(4))
        other = PassJournal(path, {"seed": 2})
        assert other.places == {}
        other.add(place(5))
        assert PassJournal(path, {"seed": 1}).places == {}
        assert PassJournal(path, {"seed": 2}).places == {5: place(5)}

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}\n[]\n3\n", b"no json"])
    def test_what_is_no_journal_is_nothing_to_go_on_with(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "passes.jsonl").write_bytes(content)
        assert PassJournal(tmp_path / "passes.jsonl", {}).places == {}
