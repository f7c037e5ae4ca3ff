"""The harness that fools a localizer: what is done to the frames, what is counted, what the command says."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.geodesy import LocalFrame, distance_m
from lkpan_ros.localization.outcomes import FrameOutcome, write_outcomes
from lkpan_ros.localization.types import Frame
from lkpan_ros.simulation.world import DATUM
from lkpan_ros.tools import fooling
from lkpan_ros.tools.deceptions import deceptions
from lkpan_ros.tools.fooling_figures import fooling_figures, table
from lkpan_ros.tools.trial_pictures import TrialFrame
from lkpan_ros.tools.trial_seed import SeedTrial
from lkpan_ros.tools.trial_site import TrialSettings, TrialSite

if TYPE_CHECKING:
    from pathlib import Path

FRAME = LocalFrame(DATUM)
SECONDS = 30.0
KNOWN = deceptions(SECONDS)


def shot(stamp_s: float) -> TrialFrame:
    image = np.random.default_rng(int(stamp_s)).integers(0, 256, (48, 64, 3), np.uint8)
    camera = Intrinsics.from_field_of_view(64, 48, 70.0)
    here = FRAME.point(10.0 * stamp_s, 0.0)
    return TrialFrame(
        Frame(stamp_s, image, camera, Attitude(20.0, (350.0 + stamp_s) % 360.0), 100.0), here, here
    )


def told(name: str) -> list[Frame]:
    """What the localizer gets of a flight, a frame a second."""
    tell = KNOWN[name].variant.teller()
    return [tell(shot(float(second))) for second in range(30)]


@pytest.mark.parametrize("name", KNOWN)
def test_a_deception_travels_to_a_process_and_changes_the_frames_of_its_stretch_alone(name: str) -> None:
    deception = pickle.loads(pickle.dumps(KNOWN[name]))
    tell = deception.variant.teller()
    start_s, end_s = deception.stretch(SECONDS)
    for second in range(30):
        sent = shot(float(second))
        frame = tell(sent)
        assert (frame.stamp_s, frame.image.shape) == (sent.frame.stamp_s, sent.frame.image.shape)
        assert start_s <= second < end_s or frame is sent.frame


def test_a_frozen_camera_repeats_the_first_picture_of_the_stretch() -> None:
    frames = told("frozen")
    assert all(np.array_equal(frame.image, frames[10].image) for frame in frames[10:20])
    assert not np.array_equal(frames[9].image, frames[10].image)
    assert not np.array_equal(frames[20].image, frames[10].image)


def test_the_sensors_are_off_by_what_is_said() -> None:
    honest = shot(0.0).frame
    assert honest.intrinsics is not None
    assert told("heading_20")[0].attitude == Attitude(20.0, 10.0)
    assert told("heading_180")[0].attitude == Attitude(20.0, 170.0)
    assert told("height_low_30")[0].height_m == pytest.approx(70.0)
    stated = told("focal_30")[0].intrinsics
    assert stated is not None
    assert stated.fx_px == pytest.approx(1.3 * honest.intrinsics.fx_px)


def test_a_stale_heading_is_that_of_its_first_frame_and_right_again_afterwards() -> None:
    headings = [frame.heading_deg for frame in told("heading_stale")]
    assert headings == [*(350.0 + k for k in range(10)), *[0.0] * 10, *(10.0 + k for k in range(10))]


def test_a_spoofed_prior_is_right_at_first_and_led_away_steadily() -> None:
    away_m = []
    for second, frame in enumerate(told("spoofed_prior")):
        assert frame.prior is not None
        away_m.append(distance_m(frame.prior.position, shot(float(second)).vehicle))
    assert max(away_m[:11]) < 0.01
    np.testing.assert_allclose(np.diff(away_m[10:]), 4.0, atol=0.05)


def outcome(stamp_s: float, error_m: float | None) -> FrameOutcome:
    here, there = FRAME.point(0.0, 0.0), FRAME.point(error_m or 0.0, 0.0)
    truth = FrameOutcome(
        stamp_s, False, "ambiguous", true_lat=here.lat_deg, true_lon=here.lon_deg, true_view_lat=here.lat_deg,
        true_view_lon=here.lon_deg, in_gallery=True,
    )  # fmt: skip
    if error_m is None:
        return truth
    return replace(
        truth, fix=True, reason="", probability=0.97, reference="vehicle", lat=there.lat_deg, lon=there.lon_deg,
        view_lat=there.lat_deg, view_lon=there.lon_deg, var_east_m2=4.0, cov_east_north_m2=0.0, var_north_m2=4.0,
    )  # fmt: skip


def test_the_figures_are_of_the_stretch_and_of_the_time_to_the_next_right_fix(tmp_path: Path) -> None:
    """Right until 10 s, then a false fix, nine refusals; at 20 s a false fix again, from 23 s on right."""
    rows = [outcome(float(t), 2.0) for t in range(10)]
    rows += [outcome(10.0, 50.0), *(outcome(float(t), None) for t in range(11, 20))]
    rows += [outcome(20.0, 90.0), outcome(21.0, None), outcome(22.0, None), outcome(23.0, 2.0)]
    site = TrialSite(tmp_path, 1, TrialSettings(SECONDS))
    deception = KNOWN["frozen"]
    trial = SeedTrial(site, (deception.variant,), LocalizerConfig())
    write_outcomes(trial.table_path(deception.variant), rows)
    figures = fooling_figures(deception, [trial])
    assert (figures.frames, figures.fixes, figures.false_fixes, figures.false_after) == (10, 1, 1, 1)
    assert figures.false_fix_rate == 1.0
    assert figures.refused == {"ambiguous": 9}
    assert figures.regain_s == pytest.approx(3.0)
    assert figures.nees is not None
    assert math.isclose(figures.nees, 50.0**2 / 4.0 / 2.0, rel_tol=1e-3)
    text = table([deception], {"frozen": figures})
    assert "1 (100.0%)" in text
    assert "3.0 s, 1 false" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--only", "witchcraft"), "'witchcraft'"),
        (("--seeds", "0"), "--seeds 0"),
        (("--size-m", "500"), "500 m"),
    ],
)
def test_what_cannot_be_flown_is_one_line(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fooling.main(["--output", str(tmp_path / "out"), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.slow
def test_a_tiny_run_ends_with_a_table_and_is_flown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "--output",
        str(tmp_path),
        "--seeds",
        "1",
        "--seconds",
        "6",
        "--rate-hz",
        "0.5",
        "--workers",
        "1",
    ]
    command += ["--size-m", "440", "--excursion-m", "100", "--only", "black,horizon,elsewhere"]
    assert fooling.main(command) == 0
    said = capsys.readouterr().out
    figures = json.loads(said.strip().splitlines()[-1])
    assert figures["ways"]["black"]["refused"] == {"bad_image": 1}
    assert figures["ways"]["horizon"]["frames"] == 1
    assert "fooled by none" in (tmp_path / "fooling.txt").read_text()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.csv")}
    assert fooling.main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.csv")} == before
