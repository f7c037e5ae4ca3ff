"""From vehicle to view: against poses that are turned, tilted and raised for real."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import HEIGHT, PLACE, TILT, TURN, SensorErrors
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import FilterSettings
from lkpan_ros.localization.lever import Lever
from test.localization.beliefs import everywhere, evidence, lever_of, pose_of, states, view_from
from test.localization.patches import TILE_PX, as_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.view import Pose

    Array = NDArray[np.float64]

attitudes = st.builds(Attitude, st.floats(0, 60), st.floats(0, 359), st.floats(-30, 30))
heights = st.floats(50, 300)
turns = st.floats(-180, 180)


def about(axis: Array, angle_deg: float) -> Array:
    """3 x 3 rotation about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = math.radians(angle_deg)
    rotation: Array = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
    return rotation


def true_offset_m(pose: Pose, turn: float, height: float, pitch: float, roll: float) -> Array:
    """Of the pose as it was if the sensors erred by that much."""
    rotation = pose.attitude.rotation()
    right = rotation[:, 0] * (1.0, 1.0, 0.0)
    right /= np.linalg.norm(right)
    forward = np.array([-right[1], right[0], 0.0])
    up = np.array([0.0, 0.0, 1.0])
    tilted = about(forward, roll) @ about(right, pitch) @ rotation
    attitude = Attitude.from_rotation(about(up, -turn) @ tilted)
    return replace(pose, attitude=attitude, height_m=pose.height_m * (1.0 + height)).offset_m()


@given(attitudes, heights, turns, st.floats(-0.3, 0.3))
def test_turn_and_height_are_exact(attitude: Attitude, height_m: float, turn: float, height: float) -> None:
    pose = pose_of(attitude, height_m)
    found = lever_of(attitude, height_m).offset_m(states(turn=turn, height=height))
    assert np.allclose(found, true_offset_m(pose, turn, height, 0.0, 0.0), atol=1e-5)


@given(attitudes, heights, turns, st.floats(-1, 1), st.floats(-1, 1))
def test_tilt_is_right_to_first_order(
    attitude: Attitude, height_m: float, turn: float, pitch: float, roll: float
) -> None:
    lever = lever_of(attitude, height_m)
    found = lever.offset_m(states(turn=turn, pitch=pitch, roll=roll))
    true_m = true_offset_m(pose_of(attitude, height_m), turn, 0.0, pitch, roll)
    moved_m = float(np.linalg.norm(true_m - lever.offset_m(states(turn=turn))))
    assert np.linalg.norm(found - true_m) <= 0.1 * moved_m + 1e-6


@given(attitudes, heights, turns)
def test_the_jacobian_is_that_of_the_true_pose(attitude: Attitude, height_m: float, turn: float) -> None:
    """By central differences, where pitch, roll and height are what the sensors say."""
    pose, step = pose_of(attitude, height_m), 1e-4
    jacobian = lever_of(attitude, height_m).jacobian(states(east=7.0, turn=turn))[0]
    errors = np.array([turn, 0.0, 0.0, 0.0])
    for column, error in enumerate(np.eye(4)):
        ahead, back = (true_offset_m(pose, *(errors + sign * step * error)) for sign in (1.0, -1.0))
        assert np.allclose(jacobian[:, TURN + column], (ahead - back) / (2.0 * step), rtol=1e-4, atol=1e-3)
    assert np.array_equal(jacobian[:, :4], np.eye(2, 4))


@given(attitudes, heights)
def test_tilt_stretches_the_ground(attitude: Attitude, height_m: float) -> None:
    """By the root of the area that a few pixels about the axis cover, by central differences."""
    pose, step = pose_of(attitude, height_m), 0.05

    def size_m(pitch: float, roll: float) -> float:
        rotation = about(forward, roll) @ about(right, pitch) @ pose.attitude.rotation()
        corners = np.array([[-1, 0, 1e3], [1, 0, 1e3], [0, -1, 1e3], [0, 1, 1e3]]) @ rotation.T
        ground_m = height_m * corners[:, :2] / -corners[:, 2:]
        area_m2 = np.linalg.det([ground_m[1] - ground_m[0], ground_m[3] - ground_m[2]])
        return float(np.log(abs(area_m2))) / 2.0

    right = pose.attitude.rotation()[:, 0] * (1.0, 1.0, 0.0)
    right /= np.linalg.norm(right)
    forward = np.array([-right[1], right[0], 0.0])
    expected = [
        (size_m(step, 0.0) - size_m(-step, 0.0)) / (2.0 * step),
        (size_m(0.0, step) - size_m(0.0, -step)) / (2.0 * step),
    ]
    assert np.allclose(lever_of(attitude, height_m).stretch_per_tilt, expected, atol=2e-4)


@given(attitudes, turns, st.floats(-0.2, 0.2), st.floats(-5, 5), st.floats(-5, 5))
def test_the_jacobian_is_that_of_the_offset(
    attitude: Attitude, turn: float, height: float, pitch: float, roll: float
) -> None:
    lever, step = lever_of(attitude), 1e-4
    state = states(east=3.0, north=-4.0, turn=turn, height=height, pitch=pitch, roll=roll)
    jacobian = lever.jacobian(state)[0]
    for column, change in enumerate(np.eye(state.shape[1])):
        ahead, back = (lever.view_m(state + sign * step * change)[0] for sign in (1.0, -1.0))
        assert np.allclose(jacobian[:, column], (ahead - back) / (2.0 * step), atol=1e-4)


@given(attitudes, st.floats(0, 359))
def test_where_the_heading_is_assumed_the_turn_is_the_heading(attitude: Attitude, assumed: float) -> None:
    """Whatever heading the view was drawn for."""
    drawn = pose_of(replace(attitude, heading_deg=assumed))
    lever = Lever.of(view_from(drawn, heading_known=False))
    assert attitude.heading_deg is not None
    state = states(turn=attitude.heading_deg)
    assert np.allclose(lever.offset_m(state), pose_of(attitude).offset_m(), atol=1e-6)
    known = lever_of(attitude).jacobian(states())
    assert np.allclose(lever.jacobian(state), known, atol=1e-6)


def test_without_geometry_the_view_stands_for_the_vehicle() -> None:
    lever = Lever.of(as_view(np.zeros((TILE_PX, TILE_PX, 3), np.uint8), offset_m=None))
    state = states(east=5.0, north=6.0, turn=40.0, height=0.2, pitch=3.0)
    assert np.array_equal(lever.view_m(state), [[5.0, 6.0]])
    assert np.array_equal(lever.view_covariance_m2(state, np.eye(8)[None] * 4.0), [np.eye(2) * 4.0])


@pytest.mark.parametrize("height_m", [60.0, 150.0])
@settings(max_examples=10, deadline=None)
@given(st.floats(0, 50), st.floats(0, 359))
def test_a_vehicle_that_is_born_is_as_unsure_as_its_sensors_make_it(
    height_m: float, tilt: float, heading: float
) -> None:
    """Vehicles whose sensors err at random, all of which see the same place."""
    attitude = Attitude(tilt, heading)
    errors = SensorErrors(heading_deg=1.0, height_ratio=0.02, tilt_deg=0.5)
    said = evidence(
        (40.0, -30.0, 100.0), sigma_m=0.5, turn_sigma_deg=1e3, stretch_sigma=1e3,
        lever=lever_of(attitude, height_m), errors=errors,
    )  # fmt: skip
    place = BayesFilter(FilterSettings())
    place.update(said, everywhere)
    belief, rng = place.belief, np.random.default_rng(1)
    drawn = rng.normal(0.0, [1.0, 0.02, 0.5, 0.5], (2000, 4))
    seen_m = said.view_m + rng.normal(0.0, 0.5, (2000, 2))
    vehicles = seen_m - [true_offset_m(pose_of(attitude, height_m), *error) for error in drawn]
    sampled = np.cov(np.column_stack([vehicles, drawn]).T)
    at = np.r_[0:2, TURN, HEIGHT, 6, 7]
    scale = np.sqrt(np.diag(sampled))
    unit = np.outer(scale, scale)
    assert np.allclose(belief.covariance[0][np.ix_(at, at)] / unit, sampled / unit, atol=0.12)
    assert np.allclose(belief.mean[0, PLACE], vehicles.mean(axis=0), atol=0.02 * height_m)
    assert not belief.mean[0, TILT].any()
    seen_m2 = said.lever.view_covariance_m2(belief.mean, belief.covariance)[0]
    assert np.allclose(seen_m2, np.eye(2) * 0.25, atol=1e-6)  # of the view it is as sure as what was seen
