"""From a frame to the ground patch: checked against pictures drawn point by point from the same pose."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.config import ViewSettings
from lkpan_ros.localization.types import Frame, Reason, Refusal
from lkpan_ros.localization.view import ground_patch, turned_clockwise

SIZE_M, SIZE_PX = 90.0, 180
CAMERA = Intrinsics.from_field_of_view(640, 480, 70.0)
BARREL = replace(CAMERA, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
VIEW = ViewSettings()
poses = st.tuples(st.floats(0, 55), st.floats(0, 359), st.floats(-20, 20), st.floats(80, 140))


def spot_frame(camera: Intrinsics, attitude: Attitude, height_m: float, ground_m: NDArray[Any]) -> Frame:
    """A noisy grey frame with one bright spot where a ground point (east, north from the vehicle) is seen."""
    x, y, z = attitude.rotation().T @ np.array([*ground_m, -height_m])
    u, v = x / z, y / z
    k1, k2, p1, p2, k3 = camera.distortion or (0.0,) * 5
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u, v = (
        u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u),
        v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v,
    )
    px, py = camera.fx_px * u + camera.cx_px, camera.fy_px * v + camera.cy_px
    columns, rows = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    spot = 200 * np.exp(-((columns - px) ** 2 + (rows - py) ** 2) / (2 * 3.0**2))
    noise = np.random.default_rng(0).uniform(20, 40, spot.shape)
    image = np.repeat((spot + noise).astype(np.uint8)[..., None], 3, axis=2)
    return Frame(1.0, image, camera, attitude, height_m)


@settings(max_examples=25, deadline=None)
@given(poses, st.sampled_from([CAMERA, BARREL]), st.floats(-12, 12), st.floats(-12, 12))
def test_a_ground_point_lands_where_the_patch_says_it_lies(
    pose: tuple[float, float, float, float], camera: Intrinsics, east: float, north: float
) -> None:
    tilt, heading, roll, height = pose
    attitude = Attitude(tilt, heading, roll)
    axis = attitude.rotation()[:, 2]
    centre = height * axis[:2] / -axis[2]
    frame = spot_frame(camera, attitude, height, centre + np.array([east, north]))
    view = ground_patch(frame, SIZE_M, SIZE_PX, replace(VIEW, min_coverage=0.05, min_contrast=0.0))
    assert view.heading_known
    assert view.offset_m is not None
    assert np.allclose(view.offset_m, centre, atol=1e-6)
    weights = np.clip(view.patch[..., 0].astype(float) - 80.0, 0.0, None)
    rows, columns = np.indices(weights.shape)
    column, row = (weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()
    found_east = ((column + 0.5) / SIZE_PX - 0.5) * SIZE_M
    found_north = (0.5 - (row + 0.5) / SIZE_PX) * SIZE_M
    assert found_east == pytest.approx(east, abs=1.0)
    assert found_north == pytest.approx(north, abs=1.0)


def striped(height_px: int = 480, width_px: int = 640) -> NDArray[Any]:
    rows, columns = np.indices((height_px, width_px))
    return np.stack([(rows * 3) % 256, (columns * 5) % 256, (rows + columns) % 256], -1).astype(np.uint8)


def test_mask_is_false_where_the_frame_did_not_look() -> None:
    frame = Frame(0.0, striped(), CAMERA, Attitude(0.0, 0.0), 50.0)  # sees 70 x 52 m of the 90 m
    view = ground_patch(frame, SIZE_M, SIZE_PX, replace(VIEW, min_coverage=0.3))
    share = 70.02 / 90 * 52.51 / 90
    assert view.mask.mean() == pytest.approx(share, abs=0.02)
    assert not view.patch[~view.mask].any()


def test_unknown_height_takes_the_centred_square_and_says_so() -> None:
    frame = Frame(0.0, striped(), CAMERA, Attitude(0.0, 0.0), None)
    view = ground_patch(frame, SIZE_M, 480, VIEW)
    assert view.offset_m is None
    assert view.mask.all()
    assert np.abs(view.patch.astype(int) - frame.image[:, 80:560]).max() <= 1


def test_unknown_attitude_or_camera_leaves_heading_and_place_unknown() -> None:
    for frame in (
        Frame(0.0, striped(), CAMERA, None, 100.0),
        Frame(0.0, striped(), None, None, 100.0),
        Frame(0.0, striped()),
    ):
        view = ground_patch(frame, SIZE_M, SIZE_PX, VIEW)
        assert not view.heading_known
        assert view.offset_m is None


def test_unknown_geometry_is_refused_where_the_user_wants_it_so() -> None:
    with pytest.raises(Refusal, match="height_m unknown") as refusal:
        ground_patch(
            Frame(0.0, striped(), CAMERA, Attitude(0.0, 0.0), None),
            SIZE_M, SIZE_PX, replace(VIEW, without_geometry="refuse"),
        )  # fmt: skip
    assert refusal.value.reason is Reason.VIEW_INVALID


@settings(max_examples=20)
@given(st.floats(0, 50), st.floats(0, 359), st.floats(-10, 10))
def test_an_assumed_heading_draws_the_view_that_a_known_one_does(
    tilt: float, heading: float, roll: float
) -> None:
    image = striped()
    known = ground_patch(Frame(0.0, image, CAMERA, Attitude(tilt, heading, roll), 110.0), SIZE_M, 64, VIEW)
    frame = Frame(0.0, image, CAMERA, Attitude(tilt, None, roll), 110.0)
    assumed = ground_patch(frame, SIZE_M, 64, VIEW, turn_deg=heading)
    north = ground_patch(frame, SIZE_M, 64, VIEW)
    assert (known.heading_known, assumed.heading_known) == (True, False)
    assert np.array_equal(assumed.patch, known.patch)
    assert known.offset_m is not None
    assert assumed.offset_m is not None
    assert north.offset_m is not None
    assert np.allclose(assumed.offset_m, known.offset_m)
    assert np.allclose(turned_clockwise(north.offset_m, heading), known.offset_m, atol=1e-9)


def test_a_turn_is_added_to_a_known_heading() -> None:
    sensed, true = (Frame(0.0, striped(), CAMERA, Attitude(20.0, h), 110.0) for h in (70.0, 95.0))
    turned, right = (ground_patch(f, SIZE_M, 64, VIEW, turn_deg=t) for f, t in ((sensed, 25.0), (true, 0.0)))
    assert np.array_equal(turned.patch, right.patch)
    assert turned.offset_m == pytest.approx(right.offset_m)
    assert (turned.turn_deg, right.turn_deg) == (25.0, 0.0)


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-720, 720))
def test_a_vector_turned_clockwise_and_back_is_itself(east: float, north: float, turn: float) -> None:
    vector = np.array([east, north])
    assert np.allclose(turned_clockwise(turned_clockwise(vector, turn), -turn), vector, atol=1e-9)
    assert np.allclose(turned_clockwise(np.array([0.0, 1.0]), 90.0), [1.0, 0.0], atol=1e-9)


@pytest.mark.parametrize(
    ("attitude", "height_m", "message"),
    [
        (Attitude(80.0, 0.0), 100.0, "horizon"),
        (Attitude(0.0, 0.0), 0.0, "min_height_m"),
        (Attitude(0.0, 0.0), -5.0, "min_height_m"),
        (Attitude(0.0, 0.0), math.nan, "min_height_m"),
        (Attitude(0.0, 0.0), 20.0, "min_coverage"),
    ],
)
def test_views_that_show_too_little_ground_are_refused(
    attitude: Attitude, height_m: float, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        ground_patch(Frame(0.0, striped(), CAMERA, attitude, height_m), SIZE_M, SIZE_PX, VIEW)
    assert refusal.value.reason is Reason.VIEW_INVALID


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.zeros((0, 640, 3), np.uint8),
        np.zeros((480, 640), np.uint8),
        np.zeros((480, 640, 3), np.float32),
    ],
)
def test_pictures_of_nothing_are_refused(image: NDArray[Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        ground_patch(Frame(0.0, image, CAMERA, Attitude(0.0, 0.0), 100.0), SIZE_M, SIZE_PX, VIEW)
    assert refusal.value.reason is Reason.BAD_IMAGE
