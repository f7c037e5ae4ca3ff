"""The command lines from a map to the figures of a flight, as a user chains them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lkpan_ros.localization.outcomes import read_outcomes
from lkpan_ros.tools import build_gallery, calibrate, evaluate_flight, simulate_flight

FIELDS = [
    "frames",
    "fixes",
    "availability",
    "view_error_median_m",
    "view_error_p90_m",
    "vehicle_error_median_m",
    "false_fix_rate",
    "nees",
    "recall_at_1",
    "recall_at_5",
    "recall_at_10",
    "latency_p50_ms",
    "vehicle_error_p90_m",
    "view_nees",
    "view_within_10m",
    "outside_99_ellipse",
    "outside_map_fixes",
    "area_under_risk_coverage",
]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight over a small world, and the gallery of its map."""
    folder = tmp_path_factory.mktemp("simulated")
    flight = [
        "--output",
        folder / "flight",
        "--size-m",
        450,
        "--seconds",
        8,
        "--rate-hz",
        1,
        "--tilt-deg",
        10,
    ]
    assert simulate_flight.main([str(word) for word in flight]) == 0
    options = ["--tile-size-m", 90, "--stride-m", 30, "--output", folder / "map.gallery"]
    assert build_gallery.main([str(word) for word in ("--map", folder / "flight" / "map.tif", *options)]) == 0
    return folder


def evaluate(folder: Path, *options: object, flight: Path | None = None) -> int:
    words = ["--gallery", folder / "map.gallery", "--flight", flight or folder / "flight" / "flight.csv"]
    words += ["--output", folder / "report", *options]
    return evaluate_flight.main([str(word) for word in words])


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return figures


def focal_px(folder: Path) -> float:
    return float(json.loads((folder / "flight" / "camera.json").read_text())["focal_px"])


@pytest.mark.slow
def test_the_figures_of_a_flight(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        evaluate(simulated, "--focal-px", focal_px(simulated), "--tilt-deg", 10, "--set", "gate.radius_m=35")
        == 0
    )
    figures = last_line(capsys)
    assert list(figures) == FIELDS
    assert figures["frames"] == 8
    assert figures["recall_at_1"] <= figures["recall_at_5"] <= figures["recall_at_10"]
    assert figures["recall_at_10"] >= 0.8
    assert figures["latency_p50_ms"] > 0.0
    outcomes = read_outcomes(simulated / "report" / "frames.csv")
    assert len(outcomes) == 8
    assert all(outcome.fix or outcome.reason for outcome in outcomes)
    picture = cv2.imread(str(simulated / "report" / "track.png"))
    assert picture is not None
    assert picture.std() > 10.0
    assert "fixes" in (simulated / "report" / "summary.txt").read_text()
    page = (simulated / "report" / "report.html").read_text()
    assert page.count('"patch":"data:image/webp;base64,') == 8
    assert str(simulated / "map.gallery") in page


@pytest.mark.slow
def test_what_is_ignored_is_unknown(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = ("--focal-px", focal_px(simulated), "--tilt-deg", 10)
    assert evaluate(simulated, *known, "--ignore-height", "--set", "gate.min_probability=0.0") == 0
    last_line(capsys)
    fixes = [outcome for outcome in read_outcomes(simulated / "report" / "frames.csv") if outcome.fix]
    assert fixes
    assert {outcome.reference for outcome in fixes} == {"view"}
    assert evaluate(simulated, *known, "--ignore-heading") == 0
    assert last_line(capsys)["frames"] == 8


@pytest.mark.slow
def test_a_frame_that_cannot_be_read_is_refused_and_the_rest_goes_on(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = tmp_path / "flight"
    shutil.copytree(simulated / "flight", flight)
    with (flight / "flight.csv").open() as stream:
        first = next(csv.DictReader(stream))["file"]
    (flight / first).write_bytes((flight / first).read_bytes()[:500])
    assert evaluate(simulated, "--hfov-deg", 70, flight=flight / "flight.csv") == 0
    assert last_line(capsys)["frames"] == 8
    assert read_outcomes(simulated / "report" / "frames.csv")[0].reason == "bad_image"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--focal-px", -5), "--focal-px"),
        (("--hfov-deg", 190), "--hfov-deg"),
        (("--hfov-deg", 70, "--tilt-deg", "nan"), "--tilt-deg"),
        (("--set", "gate.radius_m=-1"), "gate.radius_m"),
        (("--set", "gate.nonsense=1"), "gate.nonsense"),
        (("--set", "gallery.index=SQ8"), "has the index exact, not SQ8"),
        (("--weights", "nonsense"), "nonsense"),
    ],
)
def test_bad_options_are_named(
    simulated: Path, options: tuple[object, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(simulated, *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_calibration_reads_what_it_wrote(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--gallery", simulated / "map.gallery", "--flight", simulated / "flight" / "flight.csv"]
    words += ["--focal-px", focal_px(simulated), "--tilt-deg", 10, "--output", tmp_path / "a.npz"]
    assert calibrate.main([str(word) for word in words]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("frames=8 ")
    assert set(json.loads(last)) >= {"similarity.temperature", "registration.quality_slope"}
    again = [*words[:-1], tmp_path / "b.npz", "--also", tmp_path / "a.npz"]
    assert calibrate.main([str(word) for word in again]) == 0
    assert "frames=16" in capsys.readouterr().out
    (tmp_path / "a.npz").write_bytes(b"nothing")
    assert calibrate.main([str(word) for word in again]) == 2
    assert "a.npz" in capsys.readouterr().err


@pytest.mark.slow
def test_oblique_frames_of_a_real_flight_find_their_tiles(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Camera tilted 45 degrees, other season, sensor and year than the tiles: every tenth verified frame."""
    source = shared_data / "ariel" / "flight_0017"
    with (source / "flight.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["view_checked"] == "1"][::10]
    for row in rows:  # a flight's pictures lie in its folder
        row["file"] = Path(shutil.copy(source / row["file"], tmp_path)).name
    with (tmp_path / "flight.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    options = ["--tile-size-m", 140, "--stride-m", 70, "--output", tmp_path / "map.gallery"]
    words = ["--map", shared_data / "ariel" / "tiles", *options]
    assert build_gallery.main([str(word) for word in words]) == 0
    assert evaluate(tmp_path, "--focal-px", 638, "--tilt-deg", 45, flight=tmp_path / "flight.csv") == 0
    figures = last_line(capsys)
    assert figures["frames"] == len(rows)
    assert figures["recall_at_5"] >= 0.8
    assert np.isfinite(figures["latency_p50_ms"])
