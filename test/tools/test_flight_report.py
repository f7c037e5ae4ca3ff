"""The page of a flight as a file: all within it, everything escaped, its template installed."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.config import ViewSettings
from lkpan_ros.localization.outcomes import FrameOutcome
from lkpan_ros.localization.types import Frame, Matches, Reason, Rejection
from lkpan_ros.localization.view import ground_patch
from lkpan_ros.tools.flight_exhibits import Exhibits, webp
from lkpan_ros.tools.flight_report import WhatWasRun, json_for_html, write_report
from lkpan_ros.tools.report_data import page_data
from lkpan_ros.tools.report_figures import page_figures
from lkpan_ros.tools.svg_plot import Axis, Plot
from test.localization.galleries import grid_gallery
from test.tools.reports import FALSE, FRAMES, NO_TRUTH, REFUSED, SCRIPT, UNREADABLE, write_example

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_example(path, SCRIPT)
    return path.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert match
    values: dict[str, Any] = json.loads(match[1])
    return values


def test_every_frame_carries_what_was_stated_and_seen(page: str) -> None:
    frames = data_of(page)["frames"]
    assert len(frames) == FRAMES
    assert frames[0]["error"] == pytest.approx(np.hypot(4, 4), abs=0.01)
    assert frames[FALSE]["false"] is True
    assert frames[NO_TRUTH]["false"] is None
    assert (frames[REFUSED]["patch"], frames[UNREADABLE]["picture"]) == (None, None)
    assert frames[REFUSED]["picture"].startswith("data:image/webp;base64,")
    assert len(frames[0]["matches"]) == 5
    assert [name for name, _ in frames[0]["stages"]] == [
        "view",
        "encode",
        "search",
        "refine",
        "filter",
        "decide",
    ]


@pytest.mark.parametrize(
    ("sensed_deg", "turn_deg", "stated_deg"),
    [(30.0, 0.0, None), (30.0, 90.0, 120.0), (None, 90.0, 90.0)],
)
def test_a_patch_is_shown_as_it_was_turned_for_its_best_tile(
    sensed_deg: float | None, turn_deg: float, stated_deg: float | None
) -> None:
    gallery = grid_gallery(0, 49)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    camera = Intrinsics.from_field_of_view(160, 120, 60.0)
    frame = Frame(0.0, image, camera, Attitude(5.0, sensed_deg), 60.0)
    one = np.zeros(1, np.int64)
    matches = Matches(one, np.ones(1, np.float32), gallery.positions_m[:1], one, np.array([turn_deg]))
    exhibits = Exhibits(gallery, ViewSettings(), 1)
    exhibits.add(Path("frame.jpg"), frame, Rejection(0.0, Reason.AMBIGUOUS, "", 0.5, matches))
    shown = exhibits.of_frames[0]
    assert shown.assumed_heading_deg == stated_deg
    heading = replace(frame, attitude=Attitude(5.0, stated_deg or sensed_deg))
    drawn = ground_patch(heading, gallery.tile_size_m, gallery.tile_px, ViewSettings()).patch
    assert shown.patch == webp(drawn, gallery.tile_px)


def test_tiles_are_stored_once_each(page: str) -> None:
    data = data_of(page)
    used = {str(match[0]) for frame in data["frames"] for match in frame["matches"]}
    assert data["tiles"].keys() == used


def test_nothing_is_fetched_and_no_text_becomes_markup(page: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>)]*", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "default-src 'none'" in page
    assert SCRIPT not in page
    assert html.escape(SCRIPT) in page
    assert page.count("</script>") == 2


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_json_in_a_page_reads_as_it_was_and_never_ends_its_element(values: object) -> None:
    text = json_for_html([values, SCRIPT, "<!--", "]]>"])
    assert json.loads(text)[0] == values
    assert not set("<>&") & set(text)


def test_a_flight_without_any_truth_or_fix_makes_a_page_too(tmp_path: Path) -> None:
    gallery = grid_gallery(0, 9)
    exhibits = Exhibits(gallery, ViewSettings(), 1)
    exhibits.add(Path("a.jpg"), None, Rejection(0.0, Reason.BAD_IMAGE, "broken"))
    outcomes = [FrameOutcome(0.0, False, "bad_image", "broken")]
    assert [figure.svg for figure in page_figures(outcomes, 30.0)] == [""] * 6
    write_report(tmp_path / "report.html", gallery, outcomes, exhibits, WhatWasRun("t", [], [], [], [], 30.0))
    data = data_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert data["frames"][0]["position"] is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
def test_a_truth_on_the_other_side_of_the_earth_does_not_make_the_map_endless(tmp_path: Path) -> None:
    gallery = grid_gallery(0, 9)
    exhibits = Exhibits(gallery, ViewSettings(), 3)
    for _ in range(3):
        exhibits.add(Path("a.jpg"), None, Rejection(0.0, Reason.BAD_IMAGE, "broken"))
    near = FrameOutcome(0.0, False, "bad_image", true_lat=47.0, true_lon=8.0)
    far = FrameOutcome(1.0, False, "bad_image", true_lat=46.0, true_lon=9.0)
    picture = page_data(gallery, [near, near, far], exhibits, 30.0)["map"]
    assert picture["width"] * picture["gsd"] < 20_000
    assert picture["west"] < 0.0 < picture["west"] + picture["width"] * picture["gsd"]
    assert max(picture["width"], picture["height"]) <= 3073


@given(st.integers(1, 300), st.integers(1, 300))
def test_pictures_keep_their_shape_and_are_never_enlarged(width: int, height: int) -> None:
    image = np.full((height, width, 3), (200, 100, 50), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(webp(image, 96), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert max(decoded.shape[:2]) == min(96, max(width, height))
    assert np.abs(decoded[..., ::-1].astype(int) - (200, 100, 50)).max() <= 8


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_few_and_within(low: float, length: float) -> None:
    axis = Axis("x", low, low + length)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert min(ticks) >= low - 1e-6 * length - 1e-9 * abs(low)
    assert max(ticks) <= low + length * (1 + 1e-6) + 1e-9 * abs(low)


def test_a_plot_puts_marks_where_its_axes_say() -> None:
    plot = Plot("a <plot>", Axis("x (m)", 1.0, 100.0, log=True), Axis("y", 0.0, 1.0, percent=True))
    plot.dots([(1.0, 0.0), (10.0, 0.5), (100.0, 1.0), (1000.0, 2.0)], "s1")
    svg = plot.svg([("s1", "one & two")])
    places = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert places[1] == pytest.approx(
        ((places[0][0] + places[2][0]) / 2, (places[0][1] + places[2][1]) / 2), abs=0.2
    )
    assert places[3] == places[2]  # held at the edge
    assert "a &lt;plot&gt;" in svg
    assert "one &amp; two" in svg


@pytest.mark.slow
def test_an_installed_package_has_the_template(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(tmp_path / "base"),
               "--build-lib", str(tmp_path / "lib")]  # fmt: skip
    subprocess.run([*command], cwd=REPOSITORY, check=True, capture_output=True)
    built = {path.name for path in (tmp_path / "lib" / "lkpan_ros" / "tools" / "report_page").iterdir()}
    assert built == {path.name for path in (REPOSITORY / "lkpan_ros" / "tools" / "report_page").iterdir()}
    probe = "from lkpan_ros.tools.flight_report import _part; print(_part('page.html')[:15])"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path / "lib", check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "<!DOCTYPE html>"
