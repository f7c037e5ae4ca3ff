"""A camera that takes pictures of a ground: perspective, relief, air, and the faults of lens and sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.simulation.lighting import facade_light
from lkpan_ros.simulation.relief import Hits, trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.camera import Attitude, Intrinsics
    from lkpan_ros.simulation.ground import Ground

_HAZE = np.array([196, 203, 212], np.float32)
_ZENITH = np.array([112, 150, 200], np.float32)
_GRAZING = 0.02  # sine of the angle to the horizon below which a ray counts as sky


@dataclass(frozen=True)
class CameraPose:
    """Where the camera is and how it is turned.

    Attributes:
        east_m: In the ground's frame.
        north_m: In the ground's frame.
        height_m: Above the ground.
        attitude: A heading that is None counts as north.
    """

    east_m: float
    north_m: float
    height_m: float
    attitude: Attitude

    def __post_init__(self) -> None:
        numbers = (self.east_m, self.north_m, self.height_m)
        if not all(math.isfinite(n) for n in numbers) or self.height_m <= 0.0:
            raise ValueError(f"camera position {numbers} must be finite and above the ground")

    def view_centre_m(self) -> tuple[float, float] | None:
        """East and north where the optical axis meets the flat ground; None: it does not."""
        axis = self.attitude.rotation()[:, 2]
        if -axis[2] <= _GRAZING:
            return None
        reach = self.height_m / -axis[2]
        return self.east_m + reach * float(axis[0]), self.north_m + reach * float(axis[1])


@dataclass(frozen=True)
class Faults:
    """What lens and sensor do to a picture; the defaults do nothing.

    Attributes:
        blur_px: Standard deviation of the lens blur.
        motion_px: Length of the motion blur.
        motion_deg: Its direction in the image.
        exposure: Gain.
        vignette: Loss of light in the corners, 0..1.
        noise: Standard deviation of the sensor's noise in the shadows, grey values.
        jpeg_quality: 1..100, or 0: not compressed.
    """

    blur_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    exposure: float = 1.0
    vignette: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = 0

    @classmethod
    def random(cls, seed: int) -> Faults:
        """Those of some ordinary camera in flight."""
        rng = np.random.default_rng([seed, 0xFA])
        return cls(
            blur_px=float(rng.uniform(0.3, 1.1)),
            motion_px=float(rng.exponential(1.2)),
            motion_deg=float(rng.uniform(0.0, 180.0)),
            exposure=float(rng.uniform(0.8, 1.25)),
            vignette=float(rng.uniform(0.0, 0.3)),
            noise=float(rng.uniform(1.0, 6.0)),
            jpeg_quality=int(rng.integers(60, 96)),
        )

    def apply(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """The picture as it comes out of the camera; the seed makes its noise."""
        if self.motion_px > 1.0:
            image = cv2.filter2D(image, -1, _streak(self.motion_px, self.motion_deg))  # type: ignore[assignment]
        if self.blur_px > 0.05:
            image = cv2.GaussianBlur(image, (0, 0), self.blur_px)  # type: ignore[assignment]
        if self.vignette > 0.0 or self.exposure != 1.0:
            image = cv2.multiply(image, self._gain(*image.shape[:2]), dtype=cv2.CV_8U)  # type: ignore[assignment]
        if self.noise > 0.0:
            image = self._add_noise(image, seed)
        if self.jpeg_quality:
            packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1]
            image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1]  # type: ignore[assignment]
        return np.ascontiguousarray(image)

    def _gain(self, rows: int, columns: int) -> NDArray[np.float32]:
        y, x = (
            np.linspace(-1, 1, rows, dtype=np.float32)[:, None],
            np.linspace(-1, 1, columns, dtype=np.float32),
        )
        gain = self.exposure * (1.0 - self.vignette * (x * x + y * y) / 2.0)
        return np.repeat(gain[..., None], 3, axis=2).astype(np.float32)

    def _add_noise(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        # A block of noise larger than the picture is made once and read from another place each time.
        rng = np.random.default_rng([seed, 0x2015E])
        rows, columns = image.shape[:2]
        pool = rng.integers(
            0, 256, (rows * columns * 3 + 1024, 4) if rows * columns < 40_000 else (120_000, 4)
        )
        grain = ((pool.sum(axis=1) - 510.0) * (self.noise / 147.8)).astype(np.int16)
        start = rng.integers(0, len(grain), rows)
        index = (start[:, None] + np.arange(columns * 3)) % len(grain)
        return np.asarray(cv2.add(image, grain[index].reshape(image.shape), dtype=cv2.CV_8U))


def _streak(length_px: float, angle_deg: float) -> NDArray[np.float32]:
    size = 2 * math.ceil(length_px / 2.0) + 1
    t = np.linspace(-length_px / 2, length_px / 2, 8 * size)
    x = np.rint(t * math.cos(math.radians(angle_deg))).astype(int) + size // 2
    y = np.rint(t * math.sin(math.radians(angle_deg))).astype(int) + size // 2
    kernel = np.zeros((size, size), np.float32)
    np.add.at(kernel, (y, x), 1.0)
    return np.asarray(kernel / kernel.sum())


@dataclass(frozen=True)
class SimulatedCamera:
    """Takes pictures of a ground.

    Attributes:
        intrinsics: With or without distortion.
        faults: Of lens and sensor.
        no_data: RGB of what lies beyond the ground's raster.
    """

    intrinsics: Intrinsics
    faults: Faults = field(default_factory=Faults)
    no_data: tuple[int, int, int] = (0, 0, 0)

    def render(self, ground: Ground, pose: CameraPose, seed: int = 0) -> NDArray[np.uint8]:
        """The picture, H x W x 3 uint8, RGB. Buildings and trees lean as they do; above the horizon is sky.

        Args:
            ground: What is flown over.
            pose: In the ground's frame.
            seed: Of the sensor's noise.
        """
        rays = self._rays @ pose.attitude.rotation().T.astype(np.float32)
        seen = rays[..., 2] < -_GRAZING
        fall = np.where(seen, -rays[..., 2], np.float32(1.0))
        slope = rays[..., :2] / fall[..., None] * np.array([1.0, -1.0], np.float32) / np.float32(ground.gsd_m)
        hits = trace(ground, (pose.east_m, pose.north_m, pose.height_m), slope, seen)
        distance = (np.float32(pose.height_m) - hits.above_m) / fall
        footprint = distance / np.float32(self.intrinsics.fx_px) / np.sqrt(fall) / np.float32(ground.gsd_m)
        image = _sample(ground, hits, footprint)
        if ground.height is not None:
            _paint_walls(image, ground, hits)
        clear = np.exp(-distance / np.float32(ground.appearance.visibility_m))[..., None]
        image = image * clear + _HAZE * (1.0 - clear)
        image[_outside(ground, hits)] = self.no_data
        if not seen.all():
            up = np.clip(rays[..., 2:] * 1.6, 0.0, 1.0)
            image = np.where(seen[..., None], image, _HAZE + (_ZENITH - _HAZE) * up)
        return self.faults.apply(np.clip(image, 0.0, 255.0).astype(np.uint8), seed)

    @cached_property
    def _rays(self) -> NDArray[np.float32]:
        """H x W x 3, unit vectors of the pixels in the camera's axes."""
        width, height = self.intrinsics.width_px, self.intrinsics.height_px
        u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
        distortion = np.array(self.intrinsics.distortion or (0.0, 0.0, 0.0, 0.0))
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
        normal = cv2.undistortPointsIter(
            pixels, self.intrinsics.matrix, distortion, np.eye(3), np.eye(3), criteria
        )
        rays = np.concatenate([normal.reshape(height, width, 2), np.ones((height, width, 1))], axis=-1)
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True), np.float32)


def _sample(ground: Ground, hits: Hits, footprint: NDArray[np.float32]) -> NDArray[np.float32]:
    """The ground's colour, each pixel from the two levels of the pyramid that are nearest to its footprint."""
    wanted = np.clip(np.log2(np.maximum(footprint, 1e-3)), 0.0, len(ground.levels) - 1.0)
    image: NDArray[np.float32] | None = None
    for level in range(int(wanted.min()), math.ceil(float(wanted.max())) + 1):
        shrink = np.float32(0.5**level)
        column = (hits.column + np.float32(0.5)) * shrink - np.float32(0.5)
        row = (hits.row + np.float32(0.5)) * shrink - np.float32(0.5)
        part = cv2.remap(ground.levels[level], column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weight = np.maximum(1.0 - np.abs(wanted - np.float32(level)), 0.0)[..., None]
        image = part * weight if image is None else image + part * weight
    assert image is not None
    return image


def _outside(ground: Ground, hits: Hits) -> NDArray[np.bool_]:
    rows, columns = ground.levels[0].shape[:2]
    inside = (
        (hits.column >= -0.5) & (hits.column < columns - 0.5) & (hits.row >= -0.5) & (hits.row < rows - 0.5)
    )
    if ground.known is not None:
        column = np.rint(hits.column[inside]).astype(int).clip(0, columns - 1)
        row = np.rint(hits.row[inside]).astype(int).clip(0, rows - 1)
        inside[inside] = ground.known[row, column]
    return np.asarray(~inside)


def _paint_walls(image: NDArray[np.float32], ground: Ground, hits: Hits) -> None:
    """Facades with windows where a ray met a building's side; shade under the crowns of trees."""
    assert ground.height is not None
    rows, columns = ground.height.shape
    y, x = np.nonzero(hits.below_top_m > 0.0)
    column = np.rint(hits.column[y, x]).astype(int).clip(2, columns - 3)
    row = np.rint(hits.row[y, x]).astype(int).clip(2, rows - 3)
    house = ground.facades[row, column] if ground.facades is not None else np.zeros(len(y), bool)
    depth = hits.below_top_m[y, x]
    image[y, x] *= np.where(house, 1.0, np.maximum(1.0 - 0.09 * depth, 0.45))[:, None]
    y, x, column, row = y[house], x[house], column[house], row[house]
    east = sum(ground.height[row + k, column - 2] - ground.height[row + k, column + 2] for k in (-1, 0, 1))
    north = sum(ground.height[row + 2, column + k] - ground.height[row - 2, column + k] for k in (-1, 0, 1))
    length = np.maximum(np.hypot(east, north), 1e-3)
    sky, sun = facade_light(ground.appearance)
    light = sky + np.maximum((east * sun[0] + north * sun[1]) / length, 0.0)
    along = (hits.column[y, x] * north + hits.row[y, x] * east) / length * np.float32(ground.gsd_m)
    window = ((along % 3.2) < 1.5) & (((hits.above_m[y, x] - 0.9) % 3.1) < 1.5)
    colour = (
        image[y, x] * 0.35
        + np.array([118.0, 112.0, 102.0]) * (0.8 + 0.4 * ((column // 90 + row // 70) % 3) / 2)[:, None]
    )
    image[y, x] = colour * (light * np.where(window, 0.5, 1.0))[:, None]
