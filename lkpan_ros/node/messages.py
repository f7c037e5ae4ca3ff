"""Sensor messages to the core's records, and fixes and refusals to messages.

NavSatFix as its definition in sensor_msgs and REP-105 want it: the vehicle's position, WGS-84 degrees, NaN where there
is no fix, an ENU covariance that is never zero.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import NavSatFix, NavSatStatus

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.types import Fix, Prior, Reason, Refusal, Rejection, Timings

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from geometry_msgs.msg import Quaternion
    from numpy.typing import NDArray
    from sensor_msgs.msg import CameraInfo, Imu

    from lkpan_ros.localization.config import CameraSettings
    from lkpan_ros.localization.geodesy import LocalFrame
    from lkpan_ros.localization.types import Frame
    from lkpan_ros.node.parameters import FixSettings

STAGES = tuple(stage.name.removesuffix("_s") for stage in fields(Timings))  # in the order of their work
# Variances that say "unknown" where a message has no other way to: (1 km)^2 and (a full turn)^2.
UNKNOWN_M2 = 1e6
UNKNOWN_RAD2 = (2.0 * math.pi) ** 2
# An angle whose standard deviation is above 45 degrees is not known.
_USELESS_RAD2 = (math.pi / 4.0) ** 2
_DISTORTION_TERMS = {"": 0, "plumb_bob": 5, "rational_polynomial": 8}


def to_seconds(stamp: Time) -> float:
    """A stamp in seconds."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def to_intrinsics(info: CameraInfo, width_px: int, height_px: int) -> Intrinsics | None:
    """The camera of a CameraInfo at the size of a picture, or None where K is all zero (not calibrated).

    Binning and a region of interest are taken into account as the definition of CameraInfo says.

    Raises:
        Refusal: VIEW_INVALID. The distortion model is unknown, a number is not finite, or the shape is another.
    """
    if not any(info.k):
        return None
    if info.distortion_model not in _DISTORTION_TERMS:
        raise _camera_refusal(
            f"distortion model {info.distortion_model!r}: give {' or '.join(filter(None, _DISTORTION_TERMS))}"
        )
    terms = tuple(float(d) for d in info.d)
    if len(terms) > _DISTORTION_TERMS[info.distortion_model] and any(terms):
        raise _camera_refusal(f"{len(terms)} coefficients for the model {info.distortion_model!r}")
    k = [float(v) for v in info.k]
    try:
        camera = Intrinsics(
            int(info.width), int(info.height), k[0], k[4], k[2], k[5], terms if any(terms) else ()
        )
        return _read_out(camera, info, width_px, height_px)
    except ValueError as error:
        raise _camera_refusal(str(error)) from error


def _read_out(camera: Intrinsics, info: CameraInfo, width_px: int, height_px: int) -> Intrinsics:
    """The full-resolution camera, cut to the region of interest and scaled to the picture."""
    roi = info.roi
    if roi.width and roi.height:
        camera = Intrinsics(
            int(roi.width), int(roi.height), camera.fx_px, camera.fy_px,
            camera.cx_px - float(roi.x_offset), camera.cy_px - float(roi.y_offset), camera.distortion,
        )  # fmt: skip
    stretch = (width_px / camera.width_px) / (height_px / camera.height_px)
    if abs(stretch - 1.0) > 0.02:
        raise ValueError(
            f"it is for {camera.width_px}x{camera.height_px}, a picture of {width_px}x{height_px} has another shape"
        )
    return camera.scaled(width_px, height_px)


def _camera_refusal(what: str) -> Refusal:
    return Refusal(Reason.VIEW_INVALID, f"camera_info: {what}")


def to_rotation(orientation: Quaternion) -> NDArray[np.float64]:
    """The 3 x 3 rotation, world (ENU) from body, of an inertial unit's quaternion.

    Raises:
        Refusal: VIEW_INVALID. It is not finite or its length is not 1.
    """
    try:
        return rotation_of(orientation)
    except ValueError as error:
        raise Refusal(Reason.VIEW_INVALID, f"imu: {error}") from error


def rotation_of(orientation: Quaternion) -> NDArray[np.float64]:
    """The 3 x 3 rotation of a unit quaternion.

    Raises:
        ValueError: It is not finite or its length is not 1.
    """
    q = np.array([orientation.w, orientation.x, orientation.y, orientation.z], np.float64)
    length = float(np.linalg.norm(q))
    if not math.isfinite(length) or abs(length - 1.0) > 0.1:
        raise ValueError(f"the orientation {q.tolist()} (w, x, y, z) is no unit quaternion")
    w, x, y, z = q / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def to_attitude(imu: Imu | None, camera: CameraSettings) -> Attitude | None:
    """How the camera is turned, from the vehicle's orientation and the way it is mounted; None where unknown.

    orientation_covariance[0] of -1 says that there is no orientation (sensor_msgs/Imu); a variance above
    (45 degrees)^2 that the heading, or roll and pitch, are unknown. Only a gimbal makes up for roll and pitch.

    Raises:
        Refusal: VIEW_INVALID. The orientation is none.
    """
    if imu is None or imu.orientation_covariance[0] == -1.0:
        return Attitude(camera.tilt_deg, None) if camera.stabilized else None
    world_from_body = to_rotation(imu.orientation)
    variances = imu.orientation_covariance[[0, 4, 8]]
    level_known, heading_known = max(variances[:2]) <= _USELESS_RAD2, bool(variances[2] <= _USELESS_RAD2)
    if not camera.stabilized and not level_known:
        return None
    if not camera.stabilized:
        return Attitude.on_body(world_from_body, camera.tilt_deg, heading_known=heading_known)
    forward = world_from_body[:, 0]
    heading_deg = math.degrees(math.atan2(float(forward[0]), float(forward[1]))) % 360.0
    return Attitude(camera.tilt_deg, heading_deg if heading_known else None)


def to_prior(message: NavSatFix, default_radius_m: float) -> Prior | None:
    """Where the message says that the vehicle is; None for NO_FIX or positions that are none.

    The radius is three standard deviations of the larger horizontal variance.
    """
    position = to_position(message)
    if position is None:
        return None
    variance = max(float(message.position_covariance[0]), float(message.position_covariance[4]))
    known = message.position_covariance_type != NavSatFix.COVARIANCE_TYPE_UNKNOWN
    usable = known and math.isfinite(variance) and variance > 0.0
    return Prior(position, 3.0 * math.sqrt(variance) if usable else default_radius_m)


def to_position(message: NavSatFix) -> LatLon | None:
    """The position in a NavSatFix, or None for NO_FIX or numbers that are none."""
    if message.status.status < NavSatStatus.STATUS_FIX:
        return None
    try:
        return LatLon(float(message.latitude), float(message.longitude))
    except ValueError:
        return None


def no_fix(stamp: Time, frame_id: str) -> NavSatFix:
    """A NavSatFix that says that there is no fix."""
    message = NavSatFix(latitude=math.nan, longitude=math.nan, altitude=math.nan)
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.status.status = NavSatStatus.STATUS_NO_FIX
    message.position_covariance_type = NavSatFix.COVARIANCE_TYPE_UNKNOWN
    return message


def position_fix(
    stamp: Time, frame_id: str, position: LatLon, covariance_m2: NDArray[np.float64] | None
) -> NavSatFix:
    """A NavSatFix of a position with its 2 x 2 east-north covariance (None: exact), altitude NaN."""
    message = no_fix(stamp, frame_id)
    message.latitude, message.longitude = position.lat_deg, position.lon_deg
    message.status.status = NavSatStatus.STATUS_FIX
    message.status.service = 0  # none of the satellite systems
    if covariance_m2 is not None:
        full = np.zeros((3, 3))
        full[:2, :2] = covariance_m2
        full[2, 2] = UNKNOWN_M2
        message.position_covariance = full.ravel()
        message.position_covariance_type = NavSatFix.COVARIANCE_TYPE_APPROXIMATED
    return message


def to_nav_sat_fix(
    outcome: Fix | Rejection, stamp: Time, settings: FixSettings, input_altitude_m: float
) -> NavSatFix:
    """The message on geo_fix. Its altitude is unknown, `fix.altitude_m` or that of prior_fix."""
    if isinstance(outcome, Rejection):
        return no_fix(stamp, settings.frame_id)
    message = position_fix(stamp, settings.frame_id, outcome.position, outcome.covariance_m2)
    if settings.altitude_source == "fixed":
        message.altitude = settings.altitude_m
    elif settings.altitude_source == "input":
        message.altitude = input_altitude_m
    return message


def to_view_fix(outcome: Fix | Rejection, stamp: Time, settings: FixSettings) -> NavSatFix:
    """The message on geo_fix/view: the ground point in the middle of the view."""
    if isinstance(outcome, Rejection):
        return no_fix(stamp, settings.view_frame_id)
    return position_fix(stamp, settings.view_frame_id, outcome.view, outcome.view_covariance_m2)


def to_pose(fix: Fix, stamp: Time, settings: FixSettings, frame: LocalFrame) -> PoseWithCovarianceStamped:
    """The message on geo_fix/pose: east and north about the gallery's datum; height and orientation unknown."""
    east, north = frame.to_local(fix.position.lat_deg, fix.position.lon_deg)
    message = PoseWithCovarianceStamped()
    message.header.stamp = stamp
    message.header.frame_id = settings.map_frame_id
    message.pose.pose.position.x = float(east)
    message.pose.pose.position.y = float(north)
    message.pose.pose.orientation.w = 1.0
    covariance = np.diag([0.0, 0.0, UNKNOWN_M2, UNKNOWN_RAD2, UNKNOWN_RAD2, UNKNOWN_RAD2])
    covariance[:2, :2] = fix.covariance_m2
    message.pose.covariance = covariance.ravel()
    return message


def to_report(
    outcome: Fix | Rejection, frame: Frame | None, stamp: Time, name: str, latency_s: float
) -> DiagnosticArray:
    """The message on geo_fix/report: what NavSatFix has no room for, one status a frame.

    Keys: outcome (fix, no_fix), reason, detail, probability, reference, heading_deg (of the camera, as the map says),
    similarity (of the best tile), best_fit (quality of the best registration), odometry (used, none), view_ms,
    encode_ms, search_ms, refine_ms, filter_ms, decide_ms, total_ms, latency_ms (from the arrival of the picture).
    What is unknown is empty.
    """
    timings, matches = outcome.timings, outcome.matches
    similarity = None if matches is None else matches.similarity.max(initial=-math.inf)
    best_fit = None if outcome.registrations is None else outcome.registrations.quality.max(initial=-math.inf)
    values = {
        "outcome": "fix" if isinstance(outcome, Fix) else "no_fix",
        "reason": "" if isinstance(outcome, Fix) else outcome.reason.value,
        "detail": "" if isinstance(outcome, Fix) else outcome.detail,
        "probability": _number(outcome.probability, 4),
        "reference": outcome.reference.value if isinstance(outcome, Fix) else "",
        "heading_deg": _number(outcome.heading_deg, 1) if isinstance(outcome, Fix) else "",
        "similarity": _number(similarity, 4),
        "best_fit": _number(best_fit, 4),
        "odometry": "" if frame is None else "none" if frame.odometry is None else "used",
        **{f"{stage}_ms": _milliseconds(getattr(timings, f"{stage}_s")) for stage in STAGES},
        "total_ms": _milliseconds(timings.total_s),
        "latency_ms": _milliseconds(latency_s),
    }
    status = DiagnosticStatus(name=name, message=values["reason"] or "fix")
    status.level = DiagnosticStatus.OK if isinstance(outcome, Fix) else DiagnosticStatus.WARN
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"
