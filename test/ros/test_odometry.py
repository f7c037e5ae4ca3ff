"""Samples of odometry become the odometry of a picture's moment, or none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Quaternion
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry as OdometryMessage
from scipy.spatial.transform import Rotation, Slerp

from lkpan_ros.localization.types import Odometry
from lkpan_ros.node import camera_messages
from lkpan_ros.node.odometry import interpolate, odometry_at, to_odometry
from lkpan_ros.node.sample_history import SampleHistory

STAMP = Time(sec=1_700_000_000, nanosec=123_456_789)
coordinates = st.floats(-1e5, 1e5)


def turn(vector: tuple[float, float, float]) -> Any:
    return Rotation.from_rotvec(vector).as_matrix()


# Turns of less than half a circle from the axes: two of them are less than a full circle apart.
turns = st.tuples(*[st.floats(-1.5, 1.5)] * 3).map(turn)
poses = st.builds(Odometry, st.tuples(coordinates, coordinates, coordinates).map(np.array), turns)


def angle_between(first: Any, second: Any) -> float:
    return float(Rotation.from_matrix(first.T @ second).magnitude())


def at(x: float) -> Odometry:
    return Odometry(np.array([x, 0.0, 0.0]), np.eye(3))


def history_of(*stamps_s: float) -> SampleHistory[Odometry]:
    """Odometry whose x is the time."""
    history: SampleHistory[Odometry] = SampleHistory()
    for stamp_s in stamps_s:
        history.add(stamp_s, at(stamp_s))
    return history


def x_at(history: SampleHistory[Odometry], stamp_s: float, max_age_s: float = 0.2) -> float | None:
    odometry = odometry_at(history, stamp_s, max_age_s)
    return None if odometry is None else float(odometry.position_m[0])


# Between two poses


@given(first=poses, second=poses, share=st.floats(0.0, 1.0))
def test_between_two_poses_lies_a_share_of_the_way_and_of_the_turn(
    first: Odometry, second: Odometry, share: float
) -> None:
    between = interpolate(first, second, share)
    way = second.position_m - first.position_m
    np.testing.assert_allclose(between.position_m - first.position_m, share * way, atol=1e-6)
    np.testing.assert_allclose(between.rotation @ between.rotation.T, np.eye(3), atol=1e-9)
    whole = angle_between(first.rotation, second.rotation)
    assert angle_between(first.rotation, between.rotation) == pytest.approx(share * whole, abs=1e-6)
    assert angle_between(between.rotation, second.rotation) == pytest.approx((1 - share) * whole, abs=1e-6)


@given(first=poses, second=poses)
def test_its_ends_are_the_poses_themselves(first: Odometry, second: Odometry) -> None:
    for share, end in ((0.0, first), (1.0, second)):
        between = interpolate(first, second, share)
        np.testing.assert_allclose(between.position_m, end.position_m)
        np.testing.assert_allclose(between.rotation, end.rotation, atol=1e-6)


@given(first=turns, second=turns, share=st.floats(0.0, 1.0))
def test_the_turn_is_that_of_slerp(first: Any, second: Any, share: float) -> None:
    slerp = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([first, second])))
    between = interpolate(Odometry(np.zeros(3), first), Odometry(np.zeros(3), second), share)
    np.testing.assert_allclose(between.rotation, slerp(share).as_matrix(), atol=1e-6)


# At a time


def test_the_neighbours_of_a_time_count_in_any_order_of_arrival() -> None:
    assert x_at(history_of(10.0, 10.1, 10.3, 10.2), 10.16) == pytest.approx(10.16)
    assert x_at(history_of(10.0, 10.1), 10.1) == pytest.approx(10.1)
    assert x_at(history_of(10.0, 10.0), 10.0) == 10.0


def test_the_nearest_counts_where_a_neighbour_is_missing_or_far_away() -> None:
    assert x_at(history_of(9.9, 10.0), 10.15) == 10.0
    assert x_at(history_of(10.0, 10.1), 9.9) == 10.0
    assert x_at(history_of(9.0, 10.0), 9.95) == 10.0


def test_there_is_none_where_all_are_far_away() -> None:
    assert x_at(history_of(), 10.0) is None
    assert x_at(history_of(9.0, 11.0), 10.0) is None


@given(
    stamps=st.lists(st.floats(100.0, 100.9), min_size=1, max_size=8),
    stamp_s=st.floats(99.5, 101.5),
    max_age_s=st.floats(0.001, 1.0),
)
def test_what_counts_is_never_older_than_allowed(
    stamps: list[float], stamp_s: float, max_age_s: float
) -> None:
    x = x_at(history_of(*stamps), stamp_s, max_age_s)
    within = any(abs(stamp - stamp_s) <= max_age_s for stamp in stamps)
    assert (x is not None) == within
    assert x is None or abs(x - stamp_s) <= max_age_s + 1e-9


def test_what_was_said_before_the_clock_went_back_is_forgotten() -> None:
    history = history_of(50.0, 50.1, 20.0)
    assert x_at(history, 50.05) is None
    assert x_at(history, 20.1) == 20.0
    late = history_of(50.0, 50.1, 49.9)  # merely late
    assert x_at(late, 50.05) == pytest.approx(50.05)


# From messages


@given(pose=poses)
def test_a_pose_survives_its_message(pose: Odometry) -> None:
    message = camera_messages.odometry(pose, STAMP, "odom", "base_link")
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    assert message.header.stamp == STAMP
    returned = to_odometry(message)
    np.testing.assert_array_equal(returned.position_m, pose.position_m)
    np.testing.assert_allclose(returned.rotation, pose.rotation, atol=1e-9)


@pytest.mark.parametrize(
    ("point", "orientation", "complaint"),
    [
        (Point(x=math.nan), Quaternion(w=1.0), "position .nan, 0.0, 0.0. is not finite"),
        (Point(z=math.inf), Quaternion(w=1.0), "is not finite"),
        (Point(), Quaternion(w=0.0), "no unit quaternion"),
        (Point(), Quaternion(x=math.nan), "no unit quaternion"),
        (Point(), Quaternion(w=2.0), "no unit quaternion"),
    ],
)
def test_a_pose_that_is_none_is_named(point: Point, orientation: Quaternion, complaint: str) -> None:
    message = OdometryMessage()
    message.pose.pose.position, message.pose.pose.orientation = point, orientation
    with pytest.raises(ValueError, match=complaint):
        to_odometry(message)
