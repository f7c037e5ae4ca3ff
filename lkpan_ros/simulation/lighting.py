"""Sunlight on a height map: shading of slopes and cast shadows, and what it makes of the colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.simulation.appearance import Appearance

# Light from the whole sky, and from the sun, per channel: shadows are bluish, sunlit ground is warm.
_SKY = np.array([0.40, 0.44, 0.50])
_SUN = np.array([0.74, 0.68, 0.58])


def direct_light(height: NDArray[np.float32], gsd_m: float, appearance: Appearance) -> NDArray[np.uint8]:
    """How much sun each pixel gets: 0 (shadow) .. 255 (twice what level open ground gets).

    Args:
        height: H x W, metres above the ground, north up.
        gsd_m: Size of a pixel.
        appearance: Where the sun stands.
    """
    east, north, up = appearance.to_sun
    slope_east = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=1.0 / (8.0 * gsd_m))
    slope_south = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=1.0 / (8.0 * gsd_m))
    np.clip(slope_east, -1.2, 1.2, out=slope_east)
    np.clip(slope_south, -1.2, 1.2, out=slope_south)
    facing = up - slope_east * np.float32(east) + slope_south * np.float32(north)
    facing /= np.sqrt(1.0 + slope_east**2 + slope_south**2) * np.float32(up)
    facing *= _sunlit(height, gsd_m, appearance)
    return np.asarray(cv2.convertScaleAbs(np.clip(facing, 0.0, 2.0, out=facing), alpha=127.5))


def _sunlit(height: NDArray[np.float32], gsd_m: float, appearance: Appearance) -> NDArray[np.float32]:
    """1 where the sun reaches the surface, 0 in cast shadow; soft over half a metre of height.

    The height of the shadow's upper face is the maximum of the surface shifted along the sun's direction and
    lowered with the distance; shifting by 1, 2, 4 ... pixels covers all distances in a few passes.
    """
    azimuth, fall = (
        math.radians(appearance.sun_azimuth_deg),
        math.tan(math.radians(appearance.sun_elevation_deg)),
    )
    reach_px = float(height.max()) / fall / gsd_m
    shadow = height
    step = 1.0
    while step < 2.0 * reach_px:
        move = np.array([[1.0, 0.0, step * math.sin(azimuth)], [0.0, 1.0, -step * math.cos(azimuth)]])
        shifted = cv2.warpAffine(
            shadow, move, height.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=-1e3
        )
        shadow = np.maximum(shadow, shifted - np.float32(step * gsd_m * fall))
        step *= 2.0
    depth = shadow - height
    return np.asarray(np.clip(1.3 - 2.0 * depth, 0.0, 1.0, out=depth))


def light_tables(appearance: Appearance) -> NDArray[np.float32]:
    """(256, 3) float32: gain of red, green and blue for each value of `direct_light`."""
    sun = np.arange(256)[:, None] / 127.5 * (1.0 - appearance.overcast) + appearance.overcast * 0.75
    return np.asarray(_SKY + _SUN * sun, np.float32)


def facade_light(appearance: Appearance) -> tuple[float, NDArray[np.float64]]:
    """Sky light on a wall, and the vector whose product with the wall's normal is the sunlight on it."""
    return 0.45 + 0.2 * appearance.overcast, 0.65 * (1.0 - appearance.overcast) * appearance.to_sun


def tone_curve(appearance: Appearance) -> NDArray[np.uint8]:
    """(256, 3) uint8: brightness, contrast, colour cast and haze of the picture as a whole."""
    value = np.arange(256, dtype=np.float64)[:, None] / 255.0
    value = (value - 0.45) * appearance.contrast + 0.45 * appearance.brightness
    value = value * np.asarray(appearance.cast)
    value += (np.array([0.78, 0.8, 0.83]) - value) * appearance.haze
    return np.asarray(np.clip(value * 255.0, 0, 255).round(), np.uint8)
