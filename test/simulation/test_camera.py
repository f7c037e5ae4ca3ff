"""The truth of a picture: what is where on the ground is where it must be in the picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.view import Pose, rectify
from lkpan_ros.simulation.appearance import MAP_APPEARANCE
from lkpan_ros.simulation.camera import CameraPose, Faults, SimulatedCamera
from lkpan_ros.simulation.ground import Ground
from test.simulation.conftest import FRAME, plain_ground

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.simulation.world import World

LENS = Intrinsics.from_field_of_view(320, 240, 60.0)
WIDE = Intrinsics(320, 240, 210.0, 205.0, 150.0, 126.0, (-0.22, 0.06, 0.002, -0.001))
CAMERA, WIDE_CAMERA = SimulatedCamera(LENS), SimulatedCamera(WIDE)
SKY_AT_LEAST = 90


def _marked(points: list[tuple[float, float]], size_m: float = 400.0, gsd_m: float = 0.25) -> Ground:
    """Dark ground with a white spot of 1.2 m radius at each point (east, north)."""
    size_px = round(size_m / gsd_m)
    east = (np.arange(size_px) + 0.5) * gsd_m - size_m / 2
    image = np.full((size_px, size_px, 3), 20.0)
    for e, n in points:
        spot = np.exp(-(((-east[:, None] - n) ** 2 + (east[None, :] - e) ** 2) / 1.2**2))
        image += 220.0 * spot[..., None]
    return Ground.from_image(image.clip(0, 255).astype(np.uint8), FRAME, -size_m / 2, size_m / 2, gsd_m)


def _project(lens: Intrinsics, pose: CameraPose, point: tuple[float, float, float]) -> NDArray[np.float64]:
    """Column and row of a point, by OpenCV's own projection."""
    rotation = pose.attitude.rotation().T
    position = np.array([pose.east_m, pose.north_m, pose.height_m])
    distortion = np.array(lens.distortion or (0.0,) * 4)
    pixel, _ = cv2.projectPoints(
        np.array([point]), cv2.Rodrigues(rotation)[0], -rotation @ position, lens.matrix, distortion
    )
    return np.asarray(pixel, np.float64).ravel()


def _spot(
    image: NDArray[np.uint8], threshold: float, about: NDArray[np.float64], reach: int = 30
) -> NDArray[np.float64]:
    """Centre of what is brighter than a threshold around a pixel: column, row."""
    weight = np.maximum(image.astype(float).mean(axis=2) - threshold, 0.0)
    rows, columns = np.indices(weight.shape)
    weight[(np.abs(columns - about[0]) > reach) | (np.abs(rows - about[1]) > reach)] = 0.0
    return np.array([(weight * columns).sum(), (weight * rows).sum()], np.float64) / float(weight.sum())


MARKED = _marked([(12.0, -7.0)])


@settings(max_examples=25, deadline=None)
@given(
    tilt=st.floats(0.0, 50.0),
    heading=st.floats(0.0, 360.0),
    roll=st.floats(-30.0, 30.0),
    height=st.floats(40.0, 120.0),
    ahead=st.floats(-0.25, 0.25),
    aside=st.floats(-0.3, 0.3),
    camera=st.sampled_from([CAMERA, WIDE_CAMERA]),
)
def test_a_mark_on_the_ground_appears_where_it_must(
    tilt: float,
    heading: float,
    roll: float,
    height: float,
    ahead: float,
    aside: float,
    camera: SimulatedCamera,
) -> None:
    attitude = Attitude(tilt, heading, roll)
    axis = attitude.rotation()[:, 2]
    reach = height / -axis[2]
    pose = CameraPose(
        12.0 - reach * axis[0] + aside * height, -7.0 - reach * axis[1] + ahead * height, height, attitude
    )
    expected = _project(camera.intrinsics, pose, (12.0, -7.0, 0.0))
    assume((expected > 15.0).all() and expected[0] < 305.0 and expected[1] < 225.0)
    picture = camera.render(MARKED, pose)
    assert np.abs(_spot(picture, 60.0, expected) - expected).max() < 0.4


def _tower(height_m: float, half_m: float = 4.0) -> Ground:
    """A white roof on dark ground, `height_m` above (20, 0)."""
    gsd_m, size_m = 0.25, 200.0
    size_px = round(size_m / gsd_m)
    east = (np.arange(size_px) + 0.5) * gsd_m - size_m / 2
    inside = (np.abs(-east[:, None]) <= half_m) & (np.abs(east[None, :] - 20.0) <= half_m)
    image = np.where(inside[..., None], 250, 20).astype(np.uint8).repeat(3, axis=2)
    flat = Ground.from_image(image, FRAME, -size_m / 2, size_m / 2, gsd_m)
    heights = np.where(inside, height_m, 0.0).astype(np.float32)
    return Ground(
        FRAME, flat.west_m, flat.north_m, gsd_m, flat.levels, heights, inside, appearance=flat.appearance
    )


@pytest.mark.parametrize("height_m", [6.0, 15.0, 30.0])
def test_a_roof_leans_away_from_the_foot_of_the_camera_by_the_right_amount(height_m: float) -> None:
    pose = CameraPose(0.0, 0.0, 90.0, Attitude(0.0, 0.0))
    picture = CAMERA.render(_tower(height_m), pose)
    top, foot = (_project(LENS, pose, (20.0, 0.0, z)) for z in (height_m, 0.0))
    assert np.abs(_spot(picture, 190.0, top) - top).max() < 0.8
    assert top[0] - foot[0] > 4.0 * height_m / 6.0


def test_a_tower_hides_what_is_behind_it() -> None:
    ground = _tower(30.0)
    image = ground.levels[0].copy()
    image[398:402, 535:539] = (250, 20, 20)  # red, at (34, 0), behind the tower when seen from the west
    marked = Ground.from_image(image, FRAME, ground.west_m, ground.north_m, ground.gsd_m)
    pose = CameraPose(-50.0, 0.0, 60.0, Attitude(45.0, 90.0))
    column, row = np.rint(_project(LENS, pose, (34.1, 0.0, 0.0))).astype(int)
    flat, hidden = (
        CAMERA.render(g, pose)[row, column]
        for g in (marked, Ground(FRAME, marked.west_m, marked.north_m, 0.25, marked.levels, ground.height))
    )
    assert int(flat[0]) - int(flat[1]) > 60
    assert abs(int(hidden[0]) - int(hidden[1])) < 10


def test_the_ground_ends_in_the_no_data_colour_and_the_sky_begins_above_the_horizon() -> None:
    camera = SimulatedCamera(LENS, no_data=(200, 0, 200))
    picture = camera.render(plain_ground(), CameraPose(0.0, 0.0, 50.0, Attitude(75.0, 30.0)))
    row = picture[:, 160].astype(int)
    assert (row[239] < 100).all()  # ground
    assert tuple(row[90]) == (200, 0, 200)  # beyond its raster
    assert row[2].min() >= SKY_AT_LEAST  # sky
    assert row[2, 2] > row[2, 0]


@pytest.mark.parametrize("tilt_deg", [90.0, 120.0, 180.0])
def test_a_camera_that_looks_up_sees_sky(tilt_deg: float) -> None:
    pose = CameraPose(0.0, 0.0, 50.0, Attitude(tilt_deg, 0.0))
    picture = CAMERA.render(plain_ground(), pose)
    assert picture[:100].min() >= SKY_AT_LEAST
    assert pose.view_centre_m() is None


def test_a_camera_beyond_the_ground_sees_none() -> None:
    pose = CameraPose(5000.0, 0.0, 50.0, Attitude(10.0, 0.0))
    assert not CAMERA.render(plain_ground(), pose).any()


def test_what_the_simulator_draws_the_localizer_rectifies_to_the_map(world: World) -> None:
    day = Ground.from_world(world, MAP_APPEARANCE)
    flat = Ground(day.frame, day.west_m, day.north_m, day.gsd_m, day.levels, appearance=day.appearance)
    attitude = Attitude(35.0, 130.0, 4.0)
    pose = CameraPose(-20.0, 30.0, 70.0, attitude)
    centre = pose.view_centre_m()
    assert centre is not None
    patch, mask = rectify(CAMERA.render(flat, pose), Pose(LENS, attitude, 70.0, placed=True), 40.0, 66)
    column, row = flat.pixel(*centre)

    def likeness(dx: int, dy: int) -> float:
        left, top = round(column) - 33 + dx, round(row) - 33 + dy
        tile = flat.levels[0][top : top + 66, left : left + 66]
        return float(np.corrcoef(tile[mask].ravel(), patch[mask].ravel())[0, 1])

    scores = {(dx, dy): likeness(dx, dy) for dx in range(-4, 5) for dy in range(-4, 5)}
    best = max(scores, key=lambda shift: scores[shift])
    assert max(abs(best[0]), abs(best[1])) <= 1
    assert scores[best] > 0.9


def test_faults_are_the_seeds_and_keep_the_picture() -> None:
    picture = CAMERA.render(MARKED, CameraPose(0.0, 0.0, 60.0, Attitude(10.0, 0.0)))
    faults = Faults(blur_px=0.8, motion_px=3.0, exposure=1.1, vignette=0.2, noise=4.0, jpeg_quality=70)
    one, again, other = (faults.apply(picture, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.shape == picture.shape
    assert one.dtype == np.uint8
    assert np.abs(one.astype(float) - picture).mean() < 10.0


def test_a_camera_high_above_sees_the_average_of_the_ground() -> None:
    # A chequered ground of 0.5 m squares from 600 m: one pixel covers about two squares a side.
    squares = np.indices((1600, 1600)).sum(axis=0) // 2 % 2
    image = (squares * 200 + 20).astype(np.uint8)[..., None].repeat(3, axis=2)
    ground = Ground.from_image(image, FRAME, -200.0, 200.0, 0.25)
    lens = Intrinsics.from_focal_length(100, 100, 300.0)
    picture = SimulatedCamera(lens).render(ground, CameraPose(0.0, 0.0, 600.0, Attitude(0.0, 0.0)))
    assert picture.astype(float).std() < 25.0
    assert abs(float(picture.mean()) - 120.0) < 8.0


@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0), (0.0, 0.0, -5.0), (math.nan, 0.0, 50.0), (0.0, math.inf, 50.0)]
)
def test_a_camera_that_is_nowhere_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be finite and above the ground"):
        CameraPose(*values, Attitude(0.0, 0.0))
