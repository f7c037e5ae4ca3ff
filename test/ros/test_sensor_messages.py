"""What sensors say becomes what the core takes, or is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Imu, NavSatFix, NavSatStatus, RegionOfInterest

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.config import CameraSettings
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.types import Reason, Refusal
from lkpan_ros.node import camera_messages
from lkpan_ros.node.messages import to_attitude, to_intrinsics, to_prior, to_rotation

STAMP = Time(sec=1_700_000_000, nanosec=123_456_789)
FIXED, GIMBAL = CameraSettings(tilt_deg=20.0), CameraSettings(tilt_deg=45.0, stabilized=True)


def calibration(**changes: Any) -> CameraInfo:
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[-0.1, 0.02, 0.0, 0.0, 0.0])
    message.k = np.array([500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0])
    for name, value in changes.items():
        setattr(message, name, value)
    return message


# The camera


def test_a_calibrated_camera() -> None:
    camera = to_intrinsics(calibration(), 640, 480)
    assert camera == Intrinsics(640, 480, 500.0, 510.0, 319.5, 239.5, (-0.1, 0.02, 0.0, 0.0, 0.0))


def test_a_camera_that_nobody_calibrated_is_unknown() -> None:
    assert to_intrinsics(CameraInfo(width=640, height=480), 640, 480) is None


def test_no_distortion_may_be_said_in_several_ways() -> None:
    for d, model in (
        ([], ""),
        ([], "plumb_bob"),
        ([0.0] * 5, "plumb_bob"),
        ([0.0] * 8, "rational_polynomial"),
    ):
        camera = to_intrinsics(calibration(d=d, distortion_model=model), 640, 480)
        assert camera is not None
        assert camera.distortion == ()


def test_a_smaller_picture_of_the_camera_keeps_its_angles() -> None:
    half = to_intrinsics(calibration(binning_x=2, binning_y=2), 320, 240)
    assert half is not None
    assert (half.fx_px, half.fy_px, half.cx_px, half.cy_px) == (250.0, 255.0, 159.5, 119.5)


def test_a_region_of_interest_moves_the_principal_point() -> None:
    cut = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=240)
    camera = to_intrinsics(calibration(roi=cut), 320, 240)
    assert camera is not None
    assert (camera.fx_px, camera.cx_px, camera.cy_px) == (500.0, 219.5, 199.5)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"distortion_model": "equidistant"}, "'equidistant': give plumb_bob or rational_polynomial"),
        ({"d": [0.1] * 8}, "8 coefficients for the model 'plumb_bob'"),
        ({"d": [0.1] * 3}, "distortion needs 0, 4, 5 or 8"),
        ({"d": [math.nan] * 5}, "finite"),
        ({"k": np.array([math.nan, 0, 1, 0, 1, 1, 0, 0, 1])}, "finite"),
        ({"k": np.array([-5.0, 0, 1, 0, 1, 1, 0, 0, 1])}, "positive"),
        ({"width": 0}, "0x480 is not positive"),
        ({"width": 480, "height": 480}, "a picture of 640x480 has another shape"),
    ],
)
def test_a_camera_info_that_cannot_be_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refusal, match=complaint) as caught:
        to_intrinsics(calibration(**changes), 640, 480)
    assert caught.value.reason is Reason.VIEW_INVALID
    assert caught.value.detail.startswith("camera_info: ")


# The attitude


def imu_of(body: Attitude, **changes: Any) -> Imu:
    message = camera_messages.imu(body, STAMP, "base_link", level_only=False)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def quaternion(yaw_deg: float) -> Quaternion:
    half = math.radians(yaw_deg) / 2.0
    return Quaternion(w=math.cos(half), x=0.0, y=0.0, z=math.sin(half))


@pytest.mark.parametrize(
    ("yaw_deg", "heading_deg"), [(0.0, 90.0), (90.0, 0.0), (180.0, 270.0), (-90.0, 180.0)]
)
def test_yaw_is_counted_from_east_and_heading_from_north(yaw_deg: float, heading_deg: float) -> None:
    for camera in (GIMBAL, FIXED):
        attitude = to_attitude(Imu(orientation=quaternion(yaw_deg)), camera)
        assert attitude is not None
        assert attitude.tilt_deg == pytest.approx(camera.tilt_deg)
        assert attitude.heading_deg is not None
        assert (attitude.heading_deg - heading_deg + 180.0) % 360.0 == pytest.approx(180.0)


@given(tilt_deg=st.floats(0.0, 60.0), heading_deg=st.floats(0.0, 359.9), roll_deg=st.floats(-180.0, 180.0))
def test_a_rotation_survives_its_quaternion(tilt_deg: float, heading_deg: float, roll_deg: float) -> None:
    body = Attitude(tilt_deg, heading_deg, roll_deg)
    attitude = to_attitude(imu_of(body), CameraSettings())
    assert attitude is not None
    np.testing.assert_allclose(attitude.rotation(), body.rotation(), atol=1e-6)


@given(parts=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4))
def test_any_quaternion_is_a_rotation_or_refused(parts: tuple[float, float, float, float]) -> None:
    w, x, y, z = parts
    length = math.sqrt(sum(p * p for p in parts)) if all(math.isfinite(p) for p in parts) else math.nan
    if abs(length - 1.0) <= 0.1:
        rotation = to_rotation(Quaternion(w=w, x=x, y=y, z=z))
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    else:
        with pytest.raises(Refusal, match="no unit quaternion"):
            to_rotation(Quaternion(w=w, x=x, y=y, z=z))


@pytest.mark.parametrize("bad", [Quaternion(w=math.nan), Quaternion(w=0.0), Quaternion(w=2.0)])
def test_an_orientation_that_is_none_is_refused(bad: Quaternion) -> None:
    for camera in (FIXED, GIMBAL):
        with pytest.raises(Refusal) as caught:
            to_attitude(Imu(orientation=bad), camera)
        assert caught.value.reason is Reason.VIEW_INVALID


def test_an_imu_without_orientation_leaves_it_unknown() -> None:
    silent = Imu(orientation=Quaternion(w=math.nan))
    silent.orientation_covariance[0] = -1.0
    for message in (silent, None):
        assert to_attitude(message, FIXED) is None
        assert to_attitude(message, GIMBAL) == Attitude(45.0, None)


def test_a_useless_yaw_leaves_the_heading_unknown() -> None:
    body = imu_of(Attitude(10.0, None))
    attitude = to_attitude(body, CameraSettings())
    assert attitude is not None
    assert attitude.heading_deg is None
    assert attitude.tilt_deg == pytest.approx(10.0)
    assert to_attitude(body, GIMBAL) == Attitude(45.0, None)


def test_a_compass_alone_serves_a_gimbal_but_no_camera_fixed_to_the_vehicle() -> None:
    compass = camera_messages.imu(Attitude(0.0, 30.0), STAMP, "base_link", level_only=True)
    attitude = to_attitude(compass, GIMBAL)
    assert attitude is not None
    assert attitude.tilt_deg == 45.0
    assert attitude.heading_deg == pytest.approx(30.0)
    assert to_attitude(compass, FIXED) is None


# The prior


def prior_message(**changes: Any) -> NavSatFix:
    message = NavSatFix(
        latitude=47.0, longitude=8.0, position_covariance_type=NavSatFix.COVARIANCE_TYPE_KNOWN
    )
    message.status.status = NavSatStatus.STATUS_FIX
    message.position_covariance = np.diag([4.0, 25.0, 900.0]).ravel()
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_a_prior_reaches_three_standard_deviations() -> None:
    prior = to_prior(prior_message(), 200.0)
    assert prior is not None
    assert prior.position == LatLon(47.0, 8.0)
    assert prior.radius_m == pytest.approx(15.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"position_covariance_type": NavSatFix.COVARIANCE_TYPE_UNKNOWN},
        {"position_covariance": np.zeros(9)},
        {"position_covariance": np.full(9, math.nan)},
        {"position_covariance": np.full(9, -1.0)},
    ],
)
def test_a_prior_of_unknown_covariance_gets_the_default_radius(changes: dict[str, Any]) -> None:
    prior = to_prior(prior_message(**changes), 200.0)
    assert prior is not None
    assert prior.radius_m == 200.0


@pytest.mark.parametrize(
    "changes",
    [
        {"status": NavSatStatus(status=NavSatStatus.STATUS_NO_FIX)},
        {"status": NavSatStatus()},  # nobody has set it
        {"latitude": math.nan},
        {"longitude": math.inf},
        {"latitude": 91.0},
    ],
)
def test_a_prior_that_is_none_is_ignored(changes: dict[str, Any]) -> None:
    assert to_prior(prior_message(**changes), 200.0) is None
