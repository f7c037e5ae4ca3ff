"""How a camera is turned, and what it holds."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lkpan_ros.localization.camera import Attitude, Intrinsics

attitudes = st.builds(Attitude, st.floats(0, 179), st.floats(0, 360, exclude_max=True), st.floats(-170, 170))


def body(yaw_deg: float, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> NDArray[Any]:
    """World (ENU) from body (x forward, y left, z up), yaw counter-clockwise from east, nose down positive."""
    y, p, r = (math.radians(a) for a in (yaw_deg, pitch_deg, roll_deg))
    rz = np.array([[math.cos(y), -math.sin(y), 0], [math.sin(y), math.cos(y), 0], [0, 0, 1]])
    ry = np.array([[math.cos(p), 0, math.sin(p)], [0, 1, 0], [-math.sin(p), 0, math.cos(p)]])
    rx = np.array([[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
    return np.asarray(rz @ ry @ rx)


@given(attitudes)
def test_attitude_survives_its_rotation(attitude: Attitude) -> None:
    rotation = attitude.rotation()
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.allclose(Attitude.from_rotation(rotation).rotation(), rotation, atol=1e-6)


def test_nadir_camera_has_north_at_the_top() -> None:
    right, down, axis = Attitude(tilt_deg=0.0, heading_deg=0.0).rotation().T
    assert np.allclose([right, down, axis], [[1, 0, 0], [0, -1, 0], [0, 0, -1]])


def test_tilted_camera_looks_along_its_heading() -> None:
    axis = Attitude(tilt_deg=90.0, heading_deg=90.0).rotation()[:, 2]
    assert np.allclose(axis, [1, 0, 0], atol=1e-12)


def test_roll_turns_the_camera_clockwise_seen_from_behind() -> None:
    right = Attitude(tilt_deg=90.0, heading_deg=0.0, roll_deg=10.0).rotation()[:, 0]
    assert right[2] < 0  # its right side goes down


@pytest.mark.parametrize(
    ("yaw_enu_deg", "nose_down_deg", "mount_deg", "tilt_deg", "heading_deg"),
    [
        (0, 0, 45, 45, 90),
        (90, 0, 30, 30, 0),
        (180, 0, 45, 45, 270),
        (0, 10, 45, 35, 90),
        (90, -10, 45, 55, 0),
    ],
)
def test_camera_on_a_vehicle(
    yaw_enu_deg: float, nose_down_deg: float, mount_deg: float, tilt_deg: float, heading_deg: float
) -> None:
    attitude = Attitude.on_body(body(yaw_enu_deg, nose_down_deg), mount_deg)
    assert attitude.heading_deg is not None
    assert attitude.tilt_deg == pytest.approx(tilt_deg)
    assert math.remainder(attitude.heading_deg - heading_deg, 360.0) == pytest.approx(0.0, abs=1e-6)
    assert attitude.roll_deg == pytest.approx(0.0, abs=1e-6)


def test_camera_on_a_vehicle_without_compass_keeps_the_tilt() -> None:
    attitude = Attitude.on_body(body(30.0, 5.0), 40.0, heading_known=False)
    assert attitude.heading_deg is None
    assert attitude.tilt_deg == pytest.approx(35.0)


def test_field_of_view_spans_the_image() -> None:
    camera = Intrinsics.from_field_of_view(640, 480, 90.0)
    assert camera.fx_px == pytest.approx(320.0)
    assert (camera.cx_px, camera.cy_px) == (319.5, 239.5)


def test_scaled_camera_sees_the_same() -> None:
    camera = Intrinsics(640, 480, 500.0, 510.0, 300.0, 250.0)
    half = camera.scaled(320, 240)
    # The left edge of the image (-0.5) is the same ray at every size.
    assert (-0.5 - camera.cx_px) / camera.fx_px == pytest.approx((-0.5 - half.cx_px) / half.fx_px)


@pytest.mark.parametrize("hfov", [0.0, 180.0, math.nan, -10.0])
def test_impossible_fields_of_view_are_refused(hfov: float) -> None:
    with pytest.raises(ValueError, match="field of view"):
        Intrinsics.from_field_of_view(640, 480, hfov)


def test_impossible_cameras_and_attitudes_are_refused() -> None:
    with pytest.raises(ValueError, match="focal"):
        Intrinsics(640, 480, math.nan, 500.0, 320.0, 240.0)
    with pytest.raises(ValueError, match="size"):
        Intrinsics(0, 480, 500.0, 500.0, 320.0, 240.0)
    with pytest.raises(ValueError, match="distortion"):
        Intrinsics(640, 480, 500.0, 500.0, 320.0, 240.0, (0.1,))
    with pytest.raises(ValueError, match="tilt"):
        Attitude(tilt_deg=math.nan, heading_deg=0.0)
    with pytest.raises(ValueError, match="attitude"):
        Attitude(tilt_deg=0.0, heading_deg=math.nan)
