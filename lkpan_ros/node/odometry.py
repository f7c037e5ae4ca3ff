"""nav_msgs/Odometry to the odometry of a picture's moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from lkpan_ros.localization.types import Odometry
from lkpan_ros.node.messages import rotation_of

if TYPE_CHECKING:
    from nav_msgs.msg import Odometry as OdometryMessage

    from lkpan_ros.node.sample_history import SampleHistory


def to_odometry(message: OdometryMessage) -> Odometry:
    """The pose of a message: `child_frame_id` in `header.frame_id`; its covariance and its twist do not count.

    Raises:
        ValueError: The position is not finite, or the orientation no unit quaternion.
    """
    point = message.pose.pose.position
    position_m = np.array([point.x, point.y, point.z], np.float64)
    if not np.isfinite(position_m).all():
        raise ValueError(f"the position {position_m.tolist()} is not finite")
    return Odometry(position_m, rotation_of(message.pose.pose.orientation))


def odometry_at(history: SampleHistory[Odometry], stamp_s: float, max_age_s: float) -> Odometry | None:
    """The odometry of a time: between its two neighbours where both are near enough, else the nearest, else None."""
    neighbours = history.around(stamp_s, max_age_s)
    if neighbours is None:
        return history.nearest(stamp_s, max_age_s)
    before, after = neighbours
    span_s = after.stamp_s - before.stamp_s
    share = (stamp_s - before.stamp_s) / span_s if span_s > 0.0 else 0.0
    return interpolate(before.value, after.value, share)


def interpolate(first: Odometry, second: Odometry, share: float) -> Odometry:
    """The pose that lies a share (0..1) of the way from one to another: a straight line, and a turn at constant rate.

    The turn is the shorter one (slerp: Shoemake, "Animating rotation with quaternion curves", 1985).
    """
    position_m = (1.0 - share) * first.position_m + share * second.position_m
    start = Rotation.from_matrix(first.rotation)
    turn = (start.inv() * Rotation.from_matrix(second.rotation)).as_rotvec()
    rotation = start * Rotation.from_rotvec(share * turn)
    return Odometry(position_m, np.asarray(rotation.as_matrix(), np.float64))
