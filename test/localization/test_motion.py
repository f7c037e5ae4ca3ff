"""Odometry's way as metres east and north, whatever frame odometry has and wherever the vehicle heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.motion import Motion
from lkpan_ros.localization.types import Frame, Odometry
from test.localization.beliefs import believed

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIG = LocalizerConfig()
IMAGE = np.zeros((2, 2, 3), np.uint8)
angles = st.floats(-180, 180)
leans = st.tuples(st.floats(-4, 4), st.floats(-4, 4))
steps = st.tuples(st.floats(-30, 30), st.floats(-30, 30))


def about(axis: int, angle_deg: float) -> NDArray[np.float64]:
    """3 x 3 rotation about x, y or z."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    rotation = np.eye(3)
    others = [[1, 2], [2, 0], [0, 1]][axis]
    rotation[np.ix_(others, others)] = [[c, -s], [s, c]]
    return rotation


def body(heading_deg: float, lean_deg: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """ENU from body."""
    return about(2, 90.0 - heading_deg) @ about(1, lean_deg[0]) @ about(0, lean_deg[1])


def frame(
    stamp_s: float, place_m: Any, rotation: NDArray[np.float64], mount_tilt_deg: float,
    odometry_yaw_deg: float, *, heading_known: bool = True, sensed: NDArray[np.float64] | None = None,
) -> Frame:  # fmt: skip
    """At a place in ENU; odometry has it in a frame of its own, and `sensed` is what the compass makes of it."""
    own = about(2, odometry_yaw_deg)
    attitude = Attitude.on_body(
        rotation if sensed is None else sensed, mount_tilt_deg, heading_known=heading_known
    )
    odometry = Odometry(own @ np.array([*place_m, 0.0]) + (40.0, -7.0, 3.0), own @ rotation)
    return Frame(stamp_s, IMAGE, attitude=attitude, height_m=100.0, odometry=odometry)


def advanced(place: BayesFilter, *frames: Frame) -> NDArray[np.float64]:
    motion = Motion()
    for each in frames:
        motion.advance(place, each, CONFIG)
    return place.belief.mean[:, :2]


def check_known_heading(
    odometry_yaw: float, heading: float, turn: float, step: tuple[float, float], compass_error: float,
    tilt: float, lean: tuple[float, float], tolerance_m: float,
) -> None:  # fmt: skip
    """The track knows the compass' error, of which odometry knows nothing."""
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 10.0, 20.0, compass_error))
    sensed = body(heading - compass_error, lean)
    before = frame(0.0, (0.0, 0.0), body(heading, lean), tilt, odometry_yaw, sensed=sensed)
    after = frame(1.0, step, body(heading + turn), tilt, odometry_yaw)
    heaviest_m = advanced(place, before, after)[0]  # the others reckon with the compass working again
    assert np.allclose(heaviest_m, [10.0 + step[0], 20.0 + step[1]], atol=tolerance_m)
    assert place.belief.turn_deg[0] == pytest.approx(compass_error, abs=1e-6)


@settings(max_examples=40)
@given(angles, angles, angles, steps, st.floats(-60, 60), st.sampled_from([0.0, 25.0, 60.0]))
def test_with_a_heading_the_way_is_that_of_the_map(
    odometry_yaw: float, heading: float, turn: float, step: tuple[float, float], compass_error: float,
    tilt: float,
) -> None:  # fmt: skip
    check_known_heading(odometry_yaw, heading, turn, step, compass_error, tilt, (0.0, 0.0), 1e-6)


@pytest.mark.parametrize(
    ("tilt", "lean"),
    [
        (25.0, (15.0, 0.0)),
        (0.0, (-15.0, 0.0)),
        (0.0, (0.0, 15.0)),
        (25.0, (0.0, 15.0)),
    ],
)
def test_a_vehicle_that_pitches_or_banks_goes_where_it_heads(tilt: float, lean: tuple[float, float]) -> None:
    """Within the error that odometry is said to have."""
    tolerance_m = CONFIG.filter.odometry_sigma_ratio * 20.0
    check_known_heading(30.0, 70.0, 0.0, (0.0, 20.0), 0.0, tilt, lean, tolerance_m)


@settings(max_examples=40)
@given(angles, angles, angles, st.floats(-60, 60))
def test_a_heading_that_goes_while_the_vehicle_turns_is_followed_by_odometry(
    odometry_yaw: float, heading: float, turn: float, compass_error: float
) -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 10.0, 20.0, compass_error))
    before = frame(0.0, (0.0, 0.0), body(heading), 30.0, odometry_yaw, sensed=body(heading - compass_error))
    after = frame(1.0, (5.0, 0.0), body(heading + turn), 30.0, odometry_yaw, heading_known=False)
    assert np.allclose(advanced(place, before, after), [[15.0, 20.0]], atol=1e-6)
    assert abs(wrap_degrees(place.belief.turn_deg - (heading + turn)))[0] < 1e-6


def test_a_heading_that_goes_without_odometry_may_have_turned() -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 10.0, 20.0, 3.0))
    motion = Motion()
    motion.advance(place, Frame(0.0, IMAGE, attitude=Attitude(30.0, 40.0)), CONFIG)
    motion.advance(place, Frame(1.0, IMAGE, attitude=Attitude(30.0, None)), CONFIG)
    assert place.belief.turn_deg == pytest.approx([43.0])
    assert place.belief.turn_sigma_deg[0] >= CONFIG.filter.turn_rate_sigma_dps


def test_a_compass_that_is_far_off_may_be_off_by_anything_or_work_again() -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 10.0, 20.0, -100.0), (0.05, 500.0, 20.0, 3.0))
    motion = Motion()
    for stamp_s in (0.0, 1.0):
        motion.advance(place, Frame(stamp_s, IMAGE, attitude=Attitude(30.0, 270.0)), CONFIG)
    off, working, again = place.belief.select(np.argsort(place.belief.mean[:, 4])[[0, 1, 2]]).turn_deg
    assert (off, working, again) == pytest.approx((-100.0, 0.0, 3.0))
    assert place.belief.turn_sigma_deg[0] >= CONFIG.filter.turn_rate_sigma_dps
    assert place.belief.weight.sum() == pytest.approx(0.95)
    assert place.belief.weight[0] > 0.87
    for stamp_s in range(2, 200):  # none of which is looked at
        motion.advance(place, Frame(stamp_s, IMAGE, attitude=Attitude(30.0, 270.0)), CONFIG)
    assert len(place.belief) <= 4


def test_a_heading_that_comes_speaks_for_those_that_have_it_and_against_others() -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.3, 0.0, 0.0, 92.0), (0.6, 500.0, 0.0, -80.0))
    motion = Motion()
    motion.advance(place, Frame(0.0, IMAGE, attitude=Attitude(30.0, None)), CONFIG)
    motion.advance(place, Frame(0.01, IMAGE, attitude=Attitude(30.0, 90.0)), CONFIG)
    right, wrong = place.belief.weight
    assert right / wrong > 100.0 * 0.3 / 0.6
    assert right + wrong + place.belief.elsewhere == pytest.approx(1.0)
    assert 0.0 < place.belief.turn_deg[0] < 2.0  # between the compass and what was believed
    assert place.belief.turn_deg[1] == pytest.approx(-170.0)


def check_unknown_heading(
    odometry_yaw: float, heading: float, turn: float, step: tuple[float, float], tilt: float,
    leans: tuple[tuple[float, float], tuple[float, float]], tolerance: tuple[float, float],
) -> None:  # fmt: skip
    rotations = body(heading, leans[0]), body(heading + turn, leans[1])
    azimuths = [Attitude.on_body(rotation, tilt).heading_deg or 0.0 for rotation in rotations]
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 10.0, 20.0, azimuths[0]))
    before, after = (
        frame(stamp_s, place_m, rotation, tilt, odometry_yaw, heading_known=False)
        for stamp_s, place_m, rotation in ((0.0, (0.0, 0.0), rotations[0]), (1.0, step, rotations[1]))
    )
    found = advanced(place, before, after)
    assert np.allclose(found, [[10.0 + step[0], 20.0 + step[1]]], atol=tolerance[0])
    assert abs(wrap_degrees(np.array(place.belief.turn_deg[0] - azimuths[1]))) < tolerance[1]


@settings(max_examples=40)
@given(angles, angles, angles, steps, st.sampled_from([0.0, 25.0, 60.0]))
def test_without_a_heading_each_hypothesis_goes_its_own_way_and_turns(
    odometry_yaw: float, heading: float, turn: float, step: tuple[float, float], tilt: float
) -> None:
    level = ((0.0, 0.0), (0.0, 0.0))
    check_unknown_heading(odometry_yaw, heading, turn, step, tilt, level, (1e-6, 1e-6))


@settings(max_examples=40)
@given(angles, angles, angles, steps, leans, leans)
def test_an_oblique_camera_may_lean_with_the_vehicle(
    odometry_yaw: float, heading: float, turn: float, step: tuple[float, float],
    first: tuple[float, float], then: tuple[float, float],
) -> None:  # fmt: skip
    check_unknown_heading(odometry_yaw, heading, turn, step, 45.0, (first, then), (5.0, 12.0))


@pytest.mark.xfail(
    strict=True,
    reason="without a heading the azimuth of the axis stands for the vehicle's: straight down it is that of the lean",
)
def test_a_camera_straight_down_may_lean_with_the_vehicle() -> None:
    check_unknown_heading(0.0, 0.0, 0.0, (10.0, 0.0), 0.0, ((2.0, 0.0), (0.0, 2.0)), (2.0, 12.0))


def test_hypotheses_of_other_headings_part() -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.4, 0.0, 0.0, 0.0), (0.4, 0.0, 0.0, 90.0))
    first, then = (
        frame(stamp_s, (0.0, 10.0 * stamp_s), body(0.0), 25.0, 0.0, heading_known=False)
        for stamp_s in (0.0, 1.0)
    )
    assert np.allclose(advanced(place, first, then), [[0.0, 10.0], [10.0, 0.0]], atol=1e-6)


def test_without_odometry_the_vehicle_may_have_gone_anywhere_and_turned() -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 0.0, 0.0))
    unknown = [Frame(stamp_s, IMAGE) for stamp_s in (5.0, 7.0)]
    assert np.allclose(advanced(place, *unknown), 0.0)
    assert place.belief.covariance[0, 0, 0] > 5.0**2
    assert place.belief.turn_sigma_deg[0] > 20.0


@pytest.mark.parametrize("lost", [0, 1])
def test_odometry_of_one_frame_alone_says_nothing(lost: int) -> None:
    place = BayesFilter(CONFIG.filter)
    place.belief = believed((0.9, 0.0, 0.0))
    frames = [frame(float(k), (50.0 * k, 0.0), body(0.0), 0.0, 0.0) for k in (0, 1)]
    frames[lost] = Frame(float(lost), IMAGE, attitude=Attitude(0.0, 0.0))
    assert np.allclose(advanced(place, *frames), 0.0)
