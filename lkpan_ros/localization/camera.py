"""The camera: its intrinsics, and how it is turned against the ground.

Axes. World: east, north, up (REP-103 ENU). Camera: x right, y down, z along the optical axis (REP-103 optical
frame). Vehicle body: x forward, y left, z up (REP-103).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A camera that looks straight down with the top of its image to the north: x east, y south, z down.
_NADIR_NORTH_UP = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
# A camera on the vehicle that looks straight down with the top of its image forward.
_BODY_FROM_NADIR_CAMERA = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera with the plumb_bob distortion of sensor_msgs/CameraInfo.

    Attributes:
        width_px: Image width the other numbers refer to.
        height_px: Image height the other numbers refer to.
        fx_px: Focal length in x, pixels.
        fy_px: Focal length in y, pixels.
        cx_px: Principal point in x, pixels from the centre of the leftmost pixel.
        cy_px: Principal point in y, pixels from the centre of the topmost pixel.
        distortion: k1, k2, p1, p2, k3 (plumb_bob) and on to 8 terms (rational_polynomial); empty means none.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px, *self.distortion)
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"camera size {self.width_px}x{self.height_px} is not positive")
        if not all(math.isfinite(n) for n in numbers) or self.fx_px <= 0 or self.fy_px <= 0:
            raise ValueError(
                f"camera focal lengths must be positive and finite, got {self.fx_px}, {self.fy_px}"
            )
        if len(self.distortion) not in (0, 4, 5, 8):
            raise ValueError(f"distortion needs 0, 4, 5 or 8 coefficients, got {len(self.distortion)}")

    @classmethod
    def from_focal_length(cls, width_px: int, height_px: int, focal_px: float) -> Intrinsics:
        """A camera without distortion whose axis goes through the middle of the image."""
        return cls(width_px, height_px, focal_px, focal_px, (width_px - 1) / 2, (height_px - 1) / 2)

    @classmethod
    def from_field_of_view(cls, width_px: int, height_px: int, hfov_deg: float) -> Intrinsics:
        """The same from the horizontal field of view in degrees (0 < hfov < 180)."""
        if not 0.0 < hfov_deg < 180.0:
            raise ValueError(f"horizontal field of view {hfov_deg} is not within 0..180 degrees")
        focal_px = width_px / (2.0 * math.tan(math.radians(hfov_deg) / 2.0))
        return cls.from_focal_length(width_px, height_px, focal_px)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3 x 3 camera matrix K, float64."""
        return np.array(
            [[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]], dtype=np.float64
        )

    def scaled(self, width_px: int, height_px: int) -> Intrinsics:
        """The same camera read out at another size (pixel centres are kept where they belong)."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        return Intrinsics(
            width_px, height_px, self.fx_px * sx, self.fy_px * sy,
            (self.cx_px + 0.5) * sx - 0.5, (self.cy_px + 0.5) * sy - 0.5, self.distortion,
        )  # fmt: skip


@dataclass(frozen=True)
class Attitude:
    """How the camera is turned: the optical axis from straight down, and where the image's top points.

    Attributes:
        tilt_deg: Angle of the optical axis from straight down, 0..180 (90: level with the horizon).
        heading_deg: Azimuth, clockwise from north, towards which the axis tilts; at tilt 0 the azimuth of the
            image's top edge. None: unknown.
        roll_deg: Turn of the camera about its optical axis, clockwise seen from behind the camera.
    """

    tilt_deg: float
    heading_deg: float | None
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        angles = (self.tilt_deg, self.roll_deg, self.heading_deg or 0.0)
        if not all(math.isfinite(a) for a in angles) or not 0.0 <= self.tilt_deg <= 180.0:
            raise ValueError(f"attitude {angles} is not finite or its tilt is not within 0..180 degrees")

    def rotation(self) -> NDArray[np.float64]:
        """World (ENU) from camera, 3 x 3 float64. An unknown heading counts as north."""
        yaw = -math.radians(self.heading_deg or 0.0)
        tilt, roll = math.radians(self.tilt_deg), math.radians(self.roll_deg)
        world_from_camera: NDArray[np.float64] = (
            _about_z(yaw) @ _about_x(tilt) @ _NADIR_NORTH_UP @ _about_z(roll)
        )
        return world_from_camera

    @classmethod
    def from_rotation(cls, world_from_camera: NDArray[np.float64], *, heading_known: bool = True) -> Attitude:
        """The attitude of a 3 x 3 rotation, world (ENU) from camera. At tilt 0 the roll is 0."""
        axis = world_from_camera[:, 2]
        tilt = math.acos(float(np.clip(-axis[2], -1.0, 1.0)))
        if math.hypot(float(axis[0]), float(axis[1])) < 1e-9:
            top = -world_from_camera[:, 1]  # the image's top edge, seen from above
            heading = math.atan2(float(top[0]), float(top[1]))
        else:
            heading = math.atan2(float(axis[0]), float(axis[1]))
        level = cls(math.degrees(tilt), math.degrees(heading)).rotation()
        about_axis = level.T @ world_from_camera
        roll = math.atan2(float(about_axis[1, 0]), float(about_axis[0, 0]))
        return cls(
            math.degrees(tilt), math.degrees(heading) % 360.0 if heading_known else None, math.degrees(roll)
        )

    @classmethod
    def on_body(
        cls, world_from_body: NDArray[np.float64], mount_tilt_deg: float, *, heading_known: bool = True
    ) -> Attitude:
        """The attitude of a camera fixed to the vehicle, tilted from straight down towards the vehicle's front.

        Args:
            world_from_body: 3 x 3 rotation, ENU from body (x forward, y left, z up).
            mount_tilt_deg: Tilt of the camera from straight down when the vehicle is level.
            heading_known: False keeps roll and pitch and leaves the heading unknown.
        """
        body_from_camera = _about_y(-math.radians(mount_tilt_deg)) @ _BODY_FROM_NADIR_CAMERA
        return cls.from_rotation(world_from_body @ body_from_camera, heading_known=heading_known)


def _about_x(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _about_z(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
