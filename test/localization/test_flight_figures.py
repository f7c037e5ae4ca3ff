"""The curves that say whether a localizer is honest, on flights whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from lkpan_ros.localization.flight_figures import (
    error_cdfs,
    nees_band,
    nees_series,
    outcome_groups,
    reliability,
    risk_coverage,
)
from lkpan_ros.localization.flight_summary import summarize
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.outcomes import FrameOutcome

TRUTH = LatLon(47.0, 8.0)
FRAME = LocalFrame(TRUTH)


def fix(
    error_m: float, probability: float = 0.9, *, sigma_m: float = 10.0, stamp_s: float = 1.0
) -> FrameOutcome:
    """Of the vehicle; the view is as far off."""
    point, variance = FRAME.point(error_m, 0.0), sigma_m**2
    return FrameOutcome(
        stamp_s, True, reference="vehicle", probability=probability,
        lat=point.lat_deg, lon=point.lon_deg, view_lat=point.lat_deg, view_lon=point.lon_deg,
        var_east_m2=variance, cov_east_north_m2=0.0, var_north_m2=variance,
        view_var_east_m2=variance, view_cov_east_north_m2=0.0, view_var_north_m2=variance,
        true_lat=TRUTH.lat_deg, true_lon=TRUTH.lon_deg, true_view_lat=TRUTH.lat_deg, true_view_lon=TRUTH.lon_deg,
        rank=1, in_gallery=True,
    )  # fmt: skip


def outside(outcome: FrameOutcome) -> FrameOutcome:
    """The same over ground that the gallery lacks."""
    return replace(outcome, rank=None, in_gallery=False)


REFUSED = replace(fix(0.0), fix=False, reason="ambiguous", reference="", lat=None, lon=None, view_lat=None,
                  view_lon=None, probability=0.4)  # fmt: skip
NOTHING = FrameOutcome(0.0, False, "bad_image")


def test_risk_rises_where_false_fixes_enter_and_ends_at_the_availability() -> None:
    curve = risk_coverage([fix(5, 0.99), fix(7, 0.95), fix(400, 0.8), REFUSED])
    assert curve.threshold.tolist() == [0.99, 0.95, 0.8]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75]
    assert curve.risk.tolist() == [0.0, 0.0, pytest.approx(1 / 3)]
    assert curve.error_median_m[-1] == pytest.approx(7.0, abs=0.01)
    assert curve.area == pytest.approx(0.25 / 3)


def test_a_false_fix_that_is_sure_of_itself_costs_more_than_one_that_is_not() -> None:
    honest = risk_coverage([fix(5, 0.99), fix(7, 0.95), fix(400, 0.8)]).area
    boastful = risk_coverage([fix(5, 0.8), fix(7, 0.95), fix(400, 0.99)]).area
    assert boastful > honest > 0.0


def test_a_fix_of_ground_outside_the_gallery_is_false_however_near() -> None:
    near = outside(fix(1.0))
    assert near.false_fix is True
    assert risk_coverage([near]).risk.tolist() == [1.0]
    assert reliability([near], 30.0)[0].kept == 0
    summary = summarize([near, fix(1.0), outside(REFUSED)])
    assert (summary.outside_map_fixes, summary.false_fix_rate) == (1, 0.5)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1), st.booleans()), max_size=30))
def test_the_curve_ends_where_the_summary_stands(rows: list[tuple[float, float, bool]]) -> None:
    outcomes = [fix(error, p) if fixed else REFUSED for error, p, fixed in rows]
    curve = risk_coverage(outcomes)
    assert (np.diff(curve.threshold) < 0).all()
    assert (np.diff(curve.coverage) > 0).all()
    if len(curve.coverage):
        summary = summarize(outcomes)
        assert curve.coverage[-1] == pytest.approx(summary.availability)
        assert curve.risk[-1] == pytest.approx(summary.false_fix_rate)
        assert 0.0 <= curve.area <= curve.coverage[-1] + 1e-9
    else:
        assert curve.area == 0.0


def test_error_cdfs_name_their_fixes_and_reach_one() -> None:
    vehicle, view = error_cdfs([fix(9), fix(3), replace(fix(6), reference="view"), REFUSED, NOTHING])
    assert (vehicle.of, view.of) == ("vehicle", "view")
    assert vehicle.error_m == pytest.approx([3, 9], abs=0.01)
    assert view.error_m == pytest.approx([3, 6, 9], abs=0.01)
    assert view.share == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert error_cdfs([NOTHING]) == []


def test_nees_over_time() -> None:
    stated, view = nees_series([fix(10, stamp_s=3.0), REFUSED, fix(20, stamp_s=4.0)])
    assert (stated.of, view.of) == ("stated", "view")
    assert stated.stamp_s.tolist() == [3.0, 4.0]
    assert stated.nees == pytest.approx([0.5, 2.0], rel=1e-3)
    assert stated.mean == pytest.approx(1.25, rel=1e-3)
    assert nees_series([NOTHING]) == []


@given(st.integers(1, 3000))
def test_the_band_of_the_mean_is_the_chi_square_one(count: int) -> None:
    assert nees_band(count) == pytest.approx(chi2.ppf([0.025, 0.975], 2 * count) / (2 * count), rel=1e-6)


def test_reliability_counts_what_came_true_where_it_was_stated() -> None:
    sure = [fix(2, 0.96)] * 9 + [fix(31, 0.96)]
    unsure = [fix(2, 0.76), fix(200, 0.76)]
    low, high = reliability([*sure, *unsure, REFUSED, NOTHING], 30.0)
    assert (low.count, low.kept, high.count, high.kept) == (2, 1, 10, 9)
    assert (low.stated, high.stated) == pytest.approx((0.76, 0.96))
    assert low.interval[0] < 0.5 < low.interval[1]
    assert high.interval == pytest.approx((0.596, 0.982), abs=0.001)  # Wilson's for 9 of 10
    assert reliability([REFUSED], 30.0) == []


def test_how_the_frames_ended() -> None:
    outcomes = [
        fix(4),
        fix(400),
        REFUSED,
        outside(REFUSED),
        replace(REFUSED, reason="low_similarity", rank=0),
    ]
    fixes, ambiguous, low = outcome_groups(outcomes)
    assert (fixes.name, fixes.fix, fixes.frames, fixes.false_fixes) == ("vehicle", True, 2, 1)
    assert fixes.error_median_m == pytest.approx(202.0, abs=0.1)
    assert (ambiguous.name, ambiguous.frames, ambiguous.outside, ambiguous.found) == ("ambiguous", 2, 1, 1)
    assert (low.name, low.frames, low.found, low.error_median_m) == ("low_similarity", 1, 0, None)


def test_the_summary_of_views_and_ellipses() -> None:
    summary = summarize([fix(4), fix(40), fix(6), REFUSED, NOTHING])
    assert summary.view_within_10m == 0.5  # of the four whose true view is known
    assert summary.outside_99_ellipse == pytest.approx(1 / 3)  # 40 m is 4 sigma
    assert summary.view_nees == pytest.approx((16 + 1600 + 36) / 200 / 3, rel=1e-3)
    empty = summarize([NOTHING])
    assert empty.view_within_10m is None
    assert empty.outside_99_ellipse is None
    assert empty.outside_map_fixes is None
    assert empty.area_under_risk_coverage is None
