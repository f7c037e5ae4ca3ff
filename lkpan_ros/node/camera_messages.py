"""What a camera, an inertial unit and a height sensor would publish about a shot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CameraInfo, Imu, NavSatFix, Range

from lkpan_ros.node.messages import UNKNOWN_RAD2, no_fix, position_fix

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from geometry_msgs.msg import Quaternion
    from numpy.typing import NDArray

    from lkpan_ros.localization.camera import Attitude, Intrinsics
    from lkpan_ros.localization.geodesy import LatLon
    from lkpan_ros.localization.types import Odometry

_ANGLE_RAD2 = math.radians(5.0) ** 2
_MAX_HEIGHT_M = 10_000.0
# Body axes (forward, left, up) in a camera that looks straight down with the top of its image forward.
_CAMERA_FROM_BODY = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


def camera_info(intrinsics: Intrinsics, stamp: Time, frame_id: str) -> CameraInfo:
    """The message on camera_info."""
    message = CameraInfo(width=intrinsics.width_px, height=intrinsics.height_px)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.distortion_model = "rational_polynomial" if len(intrinsics.distortion) > 5 else "plumb_bob"
    message.d = list(intrinsics.distortion) or [0.0] * 5
    message.k = intrinsics.matrix.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.hstack([intrinsics.matrix, np.zeros((3, 1))]).ravel()
    return message


def imu(body: Attitude, stamp: Time, frame_id: str, *, level_only: bool) -> Imu:
    """The message on imu: the vehicle's orientation, no rates and no accelerations.

    Args:
        body: Of a camera that looks straight down from the vehicle.
        stamp: When.
        frame_id: The vehicle's frame.
        level_only: Roll and pitch are not measured.
    """
    message = Imu()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    fill_quaternion(message.orientation, body.rotation() @ _CAMERA_FROM_BODY)
    level = UNKNOWN_RAD2 if level_only else _ANGLE_RAD2
    yaw = UNKNOWN_RAD2 if body.heading_deg is None else _ANGLE_RAD2
    message.orientation_covariance = np.diag([level, level, yaw]).ravel()
    message.angular_velocity_covariance[0] = -1.0
    message.linear_acceleration_covariance[0] = -1.0
    return message


def fill_quaternion(quaternion: Quaternion, rotation: NDArray[np.float64]) -> None:
    """Write a 3 x 3 rotation into a quaternion message (the largest component first, so that no root vanishes)."""
    m = rotation
    squares = np.array([m.trace(), *(2.0 * np.diag(m) - m.trace())]) + 1.0  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    largest = int(squares.argmax())
    products = np.array(
        [
            [squares[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], squares[1], m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], squares[2], m[2, 1] + m[1, 2]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2], squares[3]],
        ]
    )
    w, x, y, z = products[largest] / np.linalg.norm(products[largest])
    quaternion.w, quaternion.x, quaternion.y, quaternion.z = float(w), float(x), float(y), float(z)


def height(height_m: float, stamp: Time, frame_id: str) -> Range:
    """The message on height."""
    message = Range(radiation_type=Range.INFRARED, min_range=0.0, max_range=_MAX_HEIGHT_M)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.range = height_m
    return message


def odometry(pose: Odometry, stamp: Time, frame_id: str, body_frame_id: str) -> OdometryMessage:
    """The message on odom: the pose of the body in the odometry's frame, no twist and no covariance."""
    message = OdometryMessage(child_frame_id=body_frame_id)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    point = message.pose.pose.position
    point.x, point.y, point.z = (float(value) for value in pose.position_m)
    fill_quaternion(message.pose.pose.orientation, pose.rotation)
    return message


def truth(position: LatLon | None, stamp: Time, frame_id: str) -> NavSatFix:
    """The message on truth/fix and truth/view; NO_FIX where the truth is unknown."""
    return no_fix(stamp, frame_id) if position is None else position_fix(stamp, frame_id, position, None)
