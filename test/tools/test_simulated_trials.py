"""Trials over many seeds: what is flown, what is counted, and what is not flown twice."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.outcomes import FrameOutcome, read_outcomes
from lkpan_ros.localization.raster import Bounds
from lkpan_ros.simulation.world import DATUM
from lkpan_ros.tools import simulated_trials
from lkpan_ros.tools.excursion import outside_m, part_of, plan_excursion
from lkpan_ros.tools.source_hash import source_hash
from lkpan_ros.tools.trial_figures import JudgedFrame, judge, variant_figures
from lkpan_ros.tools.trial_report import draw_trials, table
from test.localization.galleries import make_gallery, unit

if TYPE_CHECKING:
    from pathlib import Path

FRAME = LocalFrame(DATUM)
TILE_M = 90.0
MAP = Bounds(-750.0, -750.0, 100.0, 750.0)


def _outcome(
    stamp_s: float, view_east_m: float, *, error_m: float | None = None, sigma_m: float = 2.0
) -> FrameOutcome:
    """A frame whose view lies so far east, and a fix with that error, or none."""
    truth, view = FRAME.point(view_east_m - 50.0, 0.0), FRAME.point(view_east_m, 0.0)
    known = FrameOutcome(
        stamp_s,
        False,
        "low_similarity",
        true_lat=truth.lat_deg,
        true_lon=truth.lon_deg,
        true_view_lat=view.lat_deg,
        true_view_lon=view.lon_deg,
        in_gallery=view_east_m <= MAP.east,
        decide_ms=1.0,
        latency_ms=20.0,
    )
    if error_m is None:
        return known
    stated, seen = FRAME.point(view_east_m - 50.0 + error_m, 0.0), FRAME.point(view_east_m + error_m, 0.0)
    fixed: dict[str, Any] = {
        "fix": True, "reason": "", "probability": 0.9, "reference": "vehicle", "lat": stated.lat_deg,
        "lon": stated.lon_deg, "view_lat": seen.lat_deg, "view_lon": seen.lon_deg, "var_east_m2": sigma_m**2,
        "cov_east_north_m2": 0.0, "var_north_m2": sigma_m**2,
    }  # fmt: skip
    return FrameOutcome(**{**known.__dict__, **fixed})


def _judged(outcomes: list[FrameOutcome]) -> list[JudgedFrame]:
    return judge(outcomes, FRAME, MAP, TILE_M)


def _out_and_back(regained_after: int | None) -> list[FrameOutcome]:
    """One frame a second at 32 m/s: from the map 544 m out of it and back; fixed within it alone."""
    places = [100.0 + 32.0 * k for k in (*range(-6, 18), *range(17, -7, -1))]
    back = next(i for i in range(24, len(places)) if places[i] <= MAP.east - TILE_M / 2)
    outcomes = []
    for index, east in enumerate(places):
        fixed = east < MAP.east and (
            index < 24 or (regained_after is not None and index >= back + regained_after)
        )
        outcomes.append(_outcome(float(index), east, error_m=3.0 if fixed else None))
    return outcomes


@given(seed=st.integers(0, 10_000), size_m=st.floats(920.0, 3000.0), excursion_m=st.floats(100.0, 600.0))
def test_an_excursion_leaves_the_map_as_far_as_it_is_told_within_the_world(
    seed: int, size_m: float, excursion_m: float
) -> None:
    plan = plan_excursion(seed, size_m, excursion_m)
    points = np.array([plan.way.at(d)[:2] for d in np.linspace(0.0, plan.way.length_m, 301)])
    outside = outside_m(points, plan.bounds).round(6)
    assert outside[0] <= -75.0
    assert outside[-1] <= -75.0
    assert outside.max() == pytest.approx(excursion_m, abs=1.0)
    crossings = np.diff(outside > 0.0).sum()
    assert crossings == 2
    beyond_the_world = outside_m(points, Bounds(-size_m / 2, -size_m / 2, size_m / 2, size_m / 2))
    assert beyond_the_world.max().round(6) <= -75.0  # what the camera sees is part of the world too


def test_a_world_too_small_for_an_excursion_is_refused() -> None:
    with pytest.raises(ConfigError, match="an excursion of 500 m in a world of 700 m"):
        plan_excursion(1, 700.0, 500.0)


def test_a_part_of_a_gallery_has_the_tiles_and_pixels_within_it_alone() -> None:
    steps = np.arange(-48.0, 49.0, 16.0)
    places = np.array([(east, north) for north in steps[::-1] for east in steps])
    whole = make_gallery(unit(np.random.default_rng(1), len(places), 8), places)  # of 32 m, over -64 .. 64 m
    part = part_of(whole, Bounds(-64.0, -64.0, 16.0, 64.0))
    within = whole.positions_m[:, 0] <= 0.0
    assert np.array_equal(part.positions_m, whole.positions_m[within])
    assert np.array_equal(part.descriptors(np.arange(len(part))), whole.descriptors(np.flatnonzero(within)))
    pixels, known = part.window(16.0, 0.0, 32.0, 64)
    all_pixels, _ = whole.window(16.0, 0.0, 32.0, 64)
    assert known[:, :31].all()
    assert not known[:, 33:].any()
    assert np.abs(pixels[:, :31].astype(int) - all_pixels[:, :31]).mean() < 12.0  # noise, compressed twice


def test_a_fix_of_a_view_far_outside_is_false_however_near_it_is() -> None:
    outcomes = [
        _outcome(0.0, 0.0, error_m=3.0),
        _outcome(1.0, 0.0, error_m=31.0),
        _outcome(2.0, MAP.east + TILE_M - 1.0, error_m=3.0),  # still shows some of the map
        _outcome(3.0, MAP.east + TILE_M + 1.0, error_m=3.0),
        _outcome(4.0, MAP.east + 400.0),
    ]
    judged = _judged(outcomes)
    assert [frame.false for frame in judged] == [False, True, False, True, False]
    assert [frame.far_outside for frame in judged] == [False, False, False, True, True]
    figures = variant_figures({1: judged}, TILE_M).pooled
    assert figures.false_fix_rate == pytest.approx(2 / 4)
    assert (figures.frames_outside, figures.fixes_outside, figures.fix_rate_outside) == (2, 1, 0.5)
    assert figures.availability == 1.0  # both frames over the gallery
    assert figures.reasons == {"low_similarity": 1}


def test_a_view_beyond_the_world_is_outside() -> None:
    lost = FrameOutcome(0.0, False, "low_similarity")
    (judged,) = _judged([lost])
    assert judged.far_outside
    assert math.isinf(judged.outside_m)


@pytest.mark.parametrize(("after", "seconds"), [(0, 0.0), (2, 2.0), (None, math.inf)])
def test_the_time_to_the_first_fix_counts_from_the_return_into_the_map(
    after: int | None, seconds: float
) -> None:
    variant = variant_figures({7: _judged(_out_and_back(after))}, TILE_M)
    assert variant.by_seed[7].regain_s == seconds
    assert variant.by_seed[7].fixes_outside == 0
    assert variant.by_seed[7].frames_outside == 30
    text = table({"excursion": variant})
    assert ("never" in text) == (after is None)


def test_a_flight_that_stays_over_the_map_regains_nothing() -> None:
    assert variant_figures({1: _judged([_outcome(0.0, 0.0, error_m=1.0)])}, TILE_M).pooled.regain_s is None


def test_flights_without_any_fix_are_reported_too(tmp_path: Path) -> None:
    variant = variant_figures({1: _judged([_outcome(0.0, 0.0)])}, TILE_M)
    assert variant.pooled.availability == 0.0
    assert variant.pooled.error_median_m is None
    assert json.dumps(variant.to_dict(), allow_nan=False)
    assert "0.0%" in table({"heading": variant})
    draw_trials(tmp_path / "trials.png", {"heading": variant}, "lost")
    assert (tmp_path / "trials.png").exists()


def test_figures_over_seeds_name_the_worst(tmp_path: Path) -> None:
    good = _judged([_outcome(float(t), 0.0, error_m=2.0) for t in range(10)])
    poor = _judged([_outcome(float(t), 0.0, error_m=20.0 if t < 5 else None) for t in range(10)])
    variant = variant_figures({3: good, 4: poor}, TILE_M)
    assert variant.worst("availability") == (4, 0.5)
    assert variant.worst("nees") == pytest.approx((4, 50.0), rel=1e-3)
    assert variant.pooled.availability == 0.75
    plain = json.loads(json.dumps(variant.to_dict(), allow_nan=False))
    assert plain["mean"]["availability"] == 0.75
    assert plain["standard_deviation"]["availability"] == 0.25
    assert plain["worst"]["error_median_m"]["seed"] == 4
    assert plain["seeds"]["3"]["nees"] == pytest.approx(0.5, rel=1e-3)
    assert "75.0% (50.0%, 4)" in table({"heading": variant})
    draw_trials(tmp_path / "trials.png", {"heading": variant}, "two flights")
    assert (tmp_path / "trials.png").stat().st_size > 10_000


def test_the_hash_of_the_sources_changes_with_any_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "flown_code" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    before = source_hash("flown_code")
    source_hash.cache_clear()
    assert source_hash("flown_code") == before
    (inner / "__init__.py").write_text("A = 1")
    source_hash.cache_clear()
    assert source_hash("flown_code") != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--variants", "sideways"), "'sideways'"),
        (("--seeds", "0"), "--seeds 0"),
        (("--set", "gate.colour=1"), "gate.colour=1"),
        (("--rate-hz", "0"), "rate_hz = 0"),
        (("--size-m", "500"), "a world of 500 m"),
        (("--weights", "missing.safetensors"), "missing.safetensors"),
    ],
)
def test_what_cannot_be_flown_is_one_line(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated_trials.main(["--output", str(tmp_path / "out"), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_tiny_trial_end_to_end_is_flown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "--output", str(tmp_path), "--seeds", "1", "--first-seed", "900", "--seconds", "4", "--rate-hz", "0.5",
        "--size-m", "440", "--excursion-m", "100", "--workers", "1", "--keep-frames",
    ]  # fmt: skip
    figures = [_run(command, capsys)]
    folder = tmp_path / "seed_900"
    assert (tmp_path / "trials.txt").exists()
    assert (tmp_path / "trials.png").exists()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    figures.append(_run(command, capsys))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert figures[0] == figures[1]
    assert figures[0]["variants"].keys() == {"heading", "no_heading", "excursion"}
    assert figures[0]["variants"]["heading"]["all_frames"]["frames"] == 2
    assert figures[0]["variants"]["excursion"]["all_frames"]["frames_outside"] > 0

    # Other settings: flown again, from the kept pictures, in the one table that they change.
    _run([*command, "--variants", "heading", "--set", "gate.min_probability=0.85"], capsys)
    changed = {path.name for path, stamp in before.items() if path.stat().st_mtime_ns != stamp}
    assert changed == {"heading.csv", "heading.json"}
    # Kept pictures give what the rendered ones gave.
    first = read_outcomes(folder / "excursion.csv")
    _run([*command, "--variants", "excursion", "--force"], capsys)
    for one, other in zip(first, read_outcomes(folder / "excursion.csv"), strict=True):
        assert (one.stamp_s, one.fix, one.detail, one.lat, one.true_view_lat) == (
            other.stamp_s, other.fix, other.detail, other.lat, other.true_view_lat,
        )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_ends_the_trials_and_their_processes(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "lkpan_ros.tools.simulated_trials", "--output", str(tmp_path / "out"),
        "--seeds", "2", "--workers", "2",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        said = ""
        while "trials:" not in said:
            said += (letter := process.stderr.read(1))
            assert letter, said
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, rest = process.communicate()  # ends when the last process has closed it
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert rest.strip().endswith("the same command goes on with the seeds that are not flown yet")


def _run(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert simulated_trials.main(command) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return result
