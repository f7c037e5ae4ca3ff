"""The figures of a flight, and the table they come from."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.errors import FlightError
from lkpan_ros.localization.flight_summary import summarize
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.outcomes import FrameOutcome, read_outcomes, write_outcomes

TRUTH = LatLon(47.0, 8.0)


def fix(east_m: float, north_m: float, *, reference: str = "vehicle", sigma_m: float = 10.0) -> FrameOutcome:
    point = LocalFrame(TRUTH).point(east_m, north_m)
    return FrameOutcome(
        1.0, True, reference=reference, probability=0.9,
        lat=point.lat_deg, lon=point.lon_deg, view_lat=point.lat_deg, view_lon=point.lon_deg,
        var_east_m2=sigma_m**2, cov_east_north_m2=0.0, var_north_m2=sigma_m**2,
        true_lat=TRUTH.lat_deg, true_lon=TRUTH.lon_deg, rank=1, decide_ms=1.0, latency_ms=20.0,
    )  # fmt: skip


REFUSED = FrameOutcome(
    2.0, False, "ambiguous", "several", true_lat=47.0, true_lon=8.0, rank=7, decide_ms=1.0, latency_ms=40.0
)


def test_figures_of_a_flight() -> None:
    summary = summarize([fix(3, 4), fix(0, 20), fix(0, 40), REFUSED])
    assert (summary.frames, summary.fixes, summary.availability) == (4, 3, 0.75)
    assert summary.vehicle_error_median_m == pytest.approx(20.0, abs=0.01)
    assert summary.false_fix_rate == pytest.approx(1 / 3)
    assert summary.nees == pytest.approx((25 + 400 + 1600) / 100 / 2 / 3, rel=1e-3)
    assert (summary.recall_at_1, summary.recall_at_5, summary.recall_at_10) == (0.75, 0.75, 1.0)
    assert summary.latency_p50_ms == 20.0
    early = FrameOutcome(
        3.0, False, "bad_image", decide_ms=0.0, latency_ms=0.1
    )  # not timed: it was refused at once
    assert summarize([fix(0, 0), early, early]).latency_p50_ms == 20.0


def test_what_no_frame_knows_stays_unknown() -> None:
    summary = summarize([FrameOutcome(0.0, False, "bad_image")])
    assert summary.availability == 0.0
    assert summary.view_error_median_m is None
    assert summary.false_fix_rate is None
    assert summary.nees is None
    assert summary.recall_at_1 is None


def test_a_fix_of_the_view_is_judged_by_the_view() -> None:
    far = fix(0, 200, reference="view")  # the vehicle is 200 m from the ground it looks at
    assert far.error_m is None
    assert summarize([far]).false_fix_rate is None
    seen = FrameOutcome(
        **{**{n: getattr(far, n) for n in FrameOutcome.__dataclass_fields__},
           "true_view_lat": far.view_lat, "true_view_lon": far.view_lon}
    )  # fmt: skip
    assert seen.error_m is not None
    assert np.allclose(seen.error_m, 0.0)
    assert summarize([seen]).false_fix_rate == 0.0


numbers = st.none() | st.floats(-80, 80)


@given(
    st.lists(
        st.builds(
            FrameOutcome,
            st.floats(0, 1e9),
            st.booleans(),
            reason=st.sampled_from(["", "ambiguous"]),
            detail=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
            probability=numbers,
            lat=numbers,
            lon=numbers,
            var_east_m2=numbers,
            rank=st.none() | st.integers(0, 100),
            in_gallery=st.none() | st.booleans(),
            refine_ms=numbers,
        ),
        max_size=5,
    )
)
def test_the_table_survives_the_file(outcomes: list[FrameOutcome]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.csv"
        write_outcomes(path, outcomes)
        assert read_outcomes(path) == outcomes
        assert [entry.name for entry in Path(folder).iterdir()] == ["frames.csv"]


def test_a_table_of_an_earlier_version_lacks_what_it_did_not_know(tmp_path: Path) -> None:
    path = tmp_path / "frames.csv"
    write_outcomes(path, [fix(3, 4)])
    header, values = (line.split(",") for line in path.read_text().splitlines())
    later = {"in_gallery", "refine_ms", "filter_ms"} | {
        name for name in header if name.startswith("view_var")
    }
    kept = [place for place, name in enumerate(header) if name not in later | {"view_cov_east_north_m2"}]
    path.write_text("\n".join(",".join(row[place] for place in kept) for row in (header, values)) + "\n")
    (outcome,) = read_outcomes(path)
    assert outcome == fix(3, 4)
    assert outcome.refine_ms is None
    assert outcome.in_gallery is None


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FlightError, match="is no table of outcomes"):
        read_outcomes(path)
    with pytest.raises(FlightError, match="missing"):
        read_outcomes(tmp_path / "missing.csv")


@given(st.floats(0, 360))
def test_error_length_is_the_distance(azimuth_deg: float) -> None:
    angle = math.radians(azimuth_deg)
    error = fix(50 * math.sin(angle), 50 * math.cos(angle)).error_m
    assert error is not None
    assert math.hypot(*error) == pytest.approx(50.0, abs=0.01)
