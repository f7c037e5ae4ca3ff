"""Fixes and refusals become messages, field by field."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import NavSatFix, NavSatStatus

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.types import (
    Fix,
    Frame,
    Matches,
    Odometry,
    Reason,
    Reference,
    Registrations,
    Rejection,
    Timings,
)
from lkpan_ros.node.messages import to_nav_sat_fix, to_pose, to_report, to_view_fix
from lkpan_ros.node.parameters import FixSettings

STAMP = Time(sec=1_700_000_000, nanosec=123_456_789)

MATCHES = Matches(
    tile=np.array([4, 7], np.int64),
    similarity=np.array([0.81, 0.4], np.float32),
    position_m=np.array([[0.0, 0.0], [30.0, 0.0]]),
    rotation=np.zeros(2, np.int64),
    turn_deg=np.zeros(2),
)
REGISTRATIONS = Registrations(
    match=np.zeros(2, np.int64),
    view=np.zeros(2, np.int64),
    position_m=np.zeros((2, 2)),
    spread_m2=np.zeros((2, 2, 2)),
    turn_deg=np.zeros(2),
    scale=np.ones(2),
    quality=np.array([0.2, 0.36]),
    similarity=np.array([0.81, 0.81], np.float32),
    fitted=np.ones(2, bool),
    sought=np.zeros(2, bool),
)
FIX = Fix(
    stamp_s=1.0,
    position=LatLon(47.001, 8.002),
    covariance_m2=np.array([[90.0, 12.0], [12.0, 110.0]]),
    reference=Reference.VEHICLE,
    view=LatLon(47.003, 8.004),
    view_covariance_m2=np.array([[75.0, -3.0], [-3.0, 80.0]]),
    probability=0.97,
    matches=MATCHES,
    heading_deg=271.26,
    registrations=REGISTRATIONS,
    timings=Timings(0.001, 0.02, 0.003, 0.05, 0.006, 0.0004),
)
NO_FIX = Rejection(1.0, Reason.AMBIGUOUS, "several places look like it", 0.4, MATCHES)
SETTINGS = FixSettings()


def test_a_fix_as_nav_sat_fix() -> None:
    message = to_nav_sat_fix(FIX, STAMP, SETTINGS, 500.0)
    assert message.header.stamp == STAMP
    assert message.header.frame_id == "base_link"
    assert message.status.status == NavSatStatus.STATUS_FIX
    assert message.status.service == 0
    assert (message.latitude, message.longitude) == (47.001, 8.002)
    assert math.isnan(message.altitude)
    covariance = message.position_covariance.reshape(3, 3)
    np.testing.assert_array_equal(covariance[:2, :2], FIX.covariance_m2)
    assert covariance[2, 2] >= 1e6
    assert not covariance[2, :2].any()
    assert not covariance[:2, 2].any()
    assert message.position_covariance_type == NavSatFix.COVARIANCE_TYPE_APPROXIMATED


def test_the_ground_seen_as_nav_sat_fix() -> None:
    message = to_view_fix(FIX, STAMP, SETTINGS)
    assert message.header.stamp == STAMP
    assert message.header.frame_id == "view"
    assert message.status.status == NavSatStatus.STATUS_FIX
    assert (message.latitude, message.longitude) == (47.003, 8.004)
    np.testing.assert_array_equal(message.position_covariance.reshape(3, 3)[:2, :2], FIX.view_covariance_m2)


@pytest.mark.parametrize(
    "convert",
    [lambda o: to_nav_sat_fix(o, STAMP, SETTINGS, 500.0), lambda o: to_view_fix(o, STAMP, SETTINGS)],
)
def test_a_refusal_as_nav_sat_fix(convert: Any) -> None:
    message = convert(NO_FIX)
    assert message.header.stamp == STAMP
    assert message.header.frame_id
    assert message.status.status == NavSatStatus.STATUS_NO_FIX
    assert all(math.isnan(v) for v in (message.latitude, message.longitude, message.altitude))
    assert message.position_covariance_type == NavSatFix.COVARIANCE_TYPE_UNKNOWN


def test_the_altitude_comes_from_where_the_setting_says() -> None:
    fixed = FixSettings(altitude_source="fixed", altitude_m=432.0)
    given_ = FixSettings(altitude_source="input")
    assert to_nav_sat_fix(FIX, STAMP, fixed, 500.0).altitude == 432.0
    assert to_nav_sat_fix(FIX, STAMP, given_, 500.0).altitude == 500.0
    assert math.isnan(to_nav_sat_fix(FIX, STAMP, given_, math.nan).altitude)


def test_a_fix_as_pose_about_the_datum() -> None:
    frame = LocalFrame(LatLon(47.0, 8.0))
    message = to_pose(FIX, STAMP, SETTINGS, frame)
    assert message.header.stamp == STAMP
    assert message.header.frame_id == "map"
    east, north = message.pose.pose.position.x, message.pose.pose.position.y
    assert east == pytest.approx(0.002 * 111_320 * math.cos(math.radians(47.0)), rel=0.01)
    assert north == pytest.approx(0.001 * 111_200, rel=0.01)
    covariance = message.pose.covariance.reshape(6, 6)
    np.testing.assert_array_equal(covariance[:2, :2], FIX.covariance_m2)
    assert covariance[2, 2] >= 1e6
    assert (np.diag(covariance)[3:] >= math.pi**2).all()
    np.testing.assert_array_equal(covariance, covariance.T)
    length = math.hypot(*(getattr(message.pose.pose.orientation, axis) for axis in "wxyz"))
    assert length == pytest.approx(1.0)


def report_of(
    outcome: Fix | Rejection, frame: Frame | None = None
) -> tuple[DiagnosticStatus, dict[str, str]]:
    message = to_report(outcome, frame, STAMP, "localizer: frame", 0.5)
    assert message.header.stamp == STAMP
    (status,) = message.status
    return status, {entry.key: entry.value for entry in status.values}


def test_the_report_of_a_fix() -> None:
    status, values = report_of(FIX)
    assert status.level == DiagnosticStatus.OK
    assert values == {
        "outcome": "fix", "reason": "", "detail": "", "probability": "0.9700", "reference": "vehicle",
        "heading_deg": "271.3", "similarity": "0.8100", "best_fit": "0.3600", "odometry": "",
        "view_ms": "1.00", "encode_ms": "20.00", "search_ms": "3.00", "refine_ms": "50.00", "filter_ms": "6.00",
        "decide_ms": "0.40", "total_ms": "80.40", "latency_ms": "500.00",
    }  # fmt: skip


def test_the_report_says_whether_there_was_odometry() -> None:
    frame = Frame(1.0, np.zeros((2, 2, 3), np.uint8))
    moving = replace(frame, odometry=Odometry(np.zeros(3), np.eye(3)))
    assert report_of(FIX, frame)[1]["odometry"] == "none"
    assert report_of(NO_FIX, moving)[1]["odometry"] == "used"


def test_the_report_of_a_refusal_says_why() -> None:
    status, values = report_of(NO_FIX)
    assert status.level == DiagnosticStatus.WARN
    assert status.message == "ambiguous"
    assert (values["outcome"], values["reason"]) == ("no_fix", "ambiguous")
    assert values["detail"] == "several places look like it"
    _, early = report_of(Rejection(1.0, Reason.BAD_IMAGE, "the size is zero"))
    for unknown in ("probability", "similarity", "best_fit", "heading_deg", "reference"):
        assert early[unknown] == ""
