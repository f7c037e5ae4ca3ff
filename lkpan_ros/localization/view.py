"""From a frame to the ground it shows: a patch seen from above, at the footprint and scale of the gallery's tiles.

The ground is a level plane `height_m` below the camera. A point of the patch goes to the plane, from there into the
camera (pinhole, then the distortion of sensor_msgs/CameraInfo), and is read from the picture there. The middle of
the patch is where the optical axis meets the ground, so the geometry that draws the patch also says where it lies
from the vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.types import GroundView, Reason, Refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.config import ViewSettings
    from lkpan_ros.localization.types import Frame

# Read where the camera is unknown; the patch is then scaled to fill the frame, so the number cancels out.
_ANY_FIELD_OF_VIEW_DEG = 60.0


@dataclass(frozen=True)
class Pose:
    """All that places a view: each number known, or assumed where `placed` is False."""

    intrinsics: Intrinsics
    attitude: Attitude
    height_m: float
    placed: bool

    def offset_m(self) -> NDArray[np.float64]:
        """East and north from the vehicle to where the optical axis meets the ground, (2,) float64."""
        axis = self.attitude.rotation()[:, 2]
        offset: NDArray[np.float64] = self.height_m * axis[:2] / -axis[2]
        return offset


def ground_patch(
    frame: Frame, size_m: float, size_px: int, settings: ViewSettings, *, turn_deg: float = 0.0
) -> GroundView:
    """Warp a frame to a square ground patch.

    Args:
        frame: The picture and what is known of how it was taken.
        size_m: Side of the patch on the ground, metres.
        size_px: Side of the patch, pixels.
        settings: Bounds on tilt, height and coverage.
        turn_deg: Draws the patch as if the camera headed so far clockwise of where it is sensed to, or of north where
            its heading is unknown.

    Returns:
        The patch, north-up if that is where it heads. Where height, attitude or camera are unknown the patch is
        the middle square of the frame (turned and rectified as far as known) and its offset is None.

    Raises:
        Refusal: BAD_IMAGE for a picture that is no picture or shows nothing; VIEW_INVALID where height or attitude
            leave too little ground in the frame.
    """
    _check_image(frame.image)
    pose = _pose(frame, size_m, settings, turn_deg)
    _check_pose(pose, settings)
    patch, mask = rectify(frame.image, pose, size_m, size_px)
    _check_patch(patch, mask, pose, size_m, settings)
    return GroundView(
        patch=patch,
        mask=mask,
        heading_known=frame.attitude is not None and frame.attitude.heading_deg is not None,
        offset_m=pose.offset_m() if pose.placed else None,
        pose=pose,
        turn_deg=turn_deg,
    )


def rectify(
    image: NDArray[np.uint8], pose: Pose, size_m: float, size_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read the ground square about the optical axis' foot from a picture.

    Args:
        image: H x W x 3 uint8.
        pose: Of the camera.
        size_m: Side of the square, metres.
        size_px: Side of the result, pixels.

    Returns:
        P x P x 3 uint8 with black where nothing was seen, and the P x P bool mask of what was.
    """
    image, camera = _shrunk_to_scale(image, pose, size_m / size_px)
    column, row, inside = _patch_to_image(replace(pose, intrinsics=camera), size_m, size_px)
    patch = cv2.remap(image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    patch[~inside] = 0
    return patch.astype(np.uint8, copy=False), inside


def turned_clockwise(vector_m: NDArray[np.float64], turn_deg: float) -> NDArray[np.float64]:
    """An (east, north) vector, (2,) float64, turned clockwise as a map is read."""
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    turned: NDArray[np.float64] = np.array([[c, s], [-s, c]]) @ vector_m
    return turned


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise Refusal(
            Reason.BAD_IMAGE, f"the picture is {image.shape} {image.dtype}: give height x width x 3 uint8 RGB"
        )


def _pose(frame: Frame, size_m: float, settings: ViewSettings, turn_deg: float) -> Pose:
    """What is known of the frame, and assumptions in place of the rest."""
    height_px, width_px = frame.image.shape[:2]
    known = None not in (frame.intrinsics, frame.attitude, frame.height_m)
    if not known and settings.without_geometry == "refuse":
        unknown = [name for name in ("intrinsics", "attitude", "height_m") if getattr(frame, name) is None]
        raise Refusal(
            Reason.VIEW_INVALID,
            f"{', '.join(unknown)} unknown and view.without_geometry is refuse: "
            "provide camera_info, imu and height, or set it to view",
        )
    camera = frame.intrinsics or Intrinsics.from_field_of_view(width_px, height_px, _ANY_FIELD_OF_VIEW_DEG)
    camera = camera.scaled(width_px, height_px)
    attitude = frame.attitude or Attitude(tilt_deg=0.0, heading_deg=None)
    attitude = replace(attitude, heading_deg=((attitude.heading_deg or 0.0) + turn_deg) % 360.0)
    height_m = frame.height_m if frame.intrinsics else None
    if height_m is None:  # the height at which the footprint fills the frame's short side
        slant_m = size_m * camera.fx_px / min(width_px, height_px)
        height_m = max(slant_m * math.cos(math.radians(attitude.tilt_deg)), settings.min_height_m)
    return Pose(camera, attitude, height_m, known)


def _check_pose(pose: Pose, settings: ViewSettings) -> None:
    tilt_deg, height_m = pose.attitude.tilt_deg, pose.height_m
    if not math.isfinite(height_m) or height_m < settings.min_height_m:
        raise Refusal(
            Reason.VIEW_INVALID,
            f"height {height_m:.1f} m above ground is below view.min_height_m {settings.min_height_m:g}",
        )
    if tilt_deg > settings.max_tilt_deg:
        raise Refusal(
            Reason.VIEW_INVALID,
            f"tilt {tilt_deg:.1f} degrees from straight down is above view.max_tilt_deg "
            f"{settings.max_tilt_deg:g}: the view is too close to the horizon",
        )


def _check_patch(
    patch: NDArray[np.uint8], mask: NDArray[np.bool_], pose: Pose, size_m: float, settings: ViewSettings
) -> None:
    coverage = float(mask.mean())
    if coverage < settings.min_coverage:
        raise Refusal(
            Reason.VIEW_INVALID,
            f"from {pose.height_m:.0f} m, tilted {pose.attitude.tilt_deg:.0f} degrees, the frame shows "
            f"{coverage:.0%} of a {size_m:g} m tile, less than view.min_coverage {settings.min_coverage:.0%}",
        )
    contrast = float(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)[mask].std())
    if contrast < settings.min_contrast:
        raise Refusal(
            Reason.BAD_IMAGE,
            f"the view has a contrast of {contrast:.1f} grey levels, less than view.min_contrast "
            f"{settings.min_contrast:g}: lens covered, night, fog or even ground",
        )


def _shrunk_to_scale(
    image: NDArray[np.uint8], pose: Pose, patch_gsd_m: float
) -> tuple[NDArray[np.uint8], Intrinsics]:
    """The picture at about the patch's resolution, so that reading it by points does not alias."""
    camera, tilt = pose.intrinsics, math.radians(pose.attitude.tilt_deg)
    # On the ground one pixel of the axis covers slant / f across and slant / (f cos tilt) along the view.
    slant_m = pose.height_m / math.cos(tilt)
    frame_gsd_m = slant_m / math.sqrt(camera.fx_px * camera.fy_px * math.cos(tilt))
    factor = patch_gsd_m / frame_gsd_m
    if factor < 1.2:
        return image, camera
    width_px = max(1, round(camera.width_px / factor))
    height_px = max(1, round(camera.height_px / factor))
    small = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False), camera.scaled(width_px, height_px)


def _patch_to_image(
    pose: Pose, size_m: float, size_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Where each pixel of the patch is in the picture: column and row, P x P float32, and whether it is there at all."""
    steps = ((np.arange(size_px) + 0.5) / size_px - 0.5) * size_m
    camera_from_world = pose.attitude.rotation().T
    foot = camera_from_world @ np.array([*pose.offset_m(), -pose.height_m])
    east = np.outer(camera_from_world[:, 0], steps)  # 3 x P
    north = np.outer(camera_from_world[:, 1], -steps)  # row 0 is the northern edge
    # The rays in camera axes, metres, each of x, y, z a plane of P x P.
    x, y, z = (foot[axis] + east[axis][None, :] + north[axis][:, None] for axis in range(3))
    in_front = z > 1e-6
    z[~in_front] = 1.0
    x /= z
    y /= z
    camera = pose.intrinsics
    if camera.distortion:
        in_front &= x * x + y * y <= _largest_radius_squared(camera)
        x, y = np.moveaxis(distort(np.stack([x, y], axis=-1), camera.distortion), -1, 0)
    column, row = x * camera.fx_px + camera.cx_px, y * camera.fy_px + camera.cy_px
    inside = in_front & (column >= -0.5) & (column <= camera.width_px - 0.5)
    inside &= (row >= -0.5) & (row <= camera.height_px - 0.5)
    return column.astype(np.float32), row.astype(np.float32), inside


def distort(points: NDArray[np.float64], distortion: tuple[float, ...]) -> NDArray[np.float64]:
    """Apply plumb_bob or rational_polynomial distortion (sensor_msgs/CameraInfo) to (..., 2) normalised points."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*distortion, *([0.0] * (8 - len(distortion))))
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def _largest_radius_squared(camera: Intrinsics) -> float:
    """Of the rays that the picture holds; beyond it the distortion polynomial may fold back into the picture."""
    w, h = camera.width_px - 0.5, camera.height_px - 0.5
    corners = np.array([[[-0.5, -0.5]], [[w, -0.5]], [[-0.5, h]], [[w, h]]])
    rays = cv2.undistortPoints(corners, camera.matrix, np.array(camera.distortion))
    return float((rays**2).sum(-1).max()) * 1.02
