"""What a world is painted on: tint, material and height of each pixel, and the shapes that go on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.simulation.appearance import Material

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
_PROBES = np.stack(np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7))).reshape(2, -1)
_SHIFT = 4  # binary places of the coordinates that OpenCV draws with


class Roof(Enum):
    """The shape of a roof."""

    FLAT = "flat"
    GABLE = "gable"
    HIP = "hip"
    SHED = "shed"
    BARREL = "barrel"
    SAWTOOTH = "sawtooth"


@dataclass(frozen=True)
class Box:
    """A rectangle on the ground: centre, half sizes along its own axes, and the turn of its first axis.

    Metres from the canvas' north-west corner, x to the east and y to the south; the angle turns x towards y.
    """

    x: float
    y: float
    half_u: float
    half_v: float
    angle: float

    def corners(self, grow: float = 0.0) -> NDArray[np.float64]:
        """(4, 2) corners, each side moved out by `grow` metres."""
        a, b = self.half_u + grow, self.half_v + grow
        return self.points(np.array([-a, a, a, -a]), np.array([-b, -b, b, b]))

    def points(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) canvas position of points given along the box's own axes, metres from its centre."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        result = np.empty((*np.broadcast_shapes(u.shape, v.shape), 2))
        result[..., 0] = self.x + u * c - v * s
        result[..., 1] = self.y + u * s + v * c
        return result

    def part(self, u: float, v: float, half_u: float, half_v: float) -> Box:
        """A box with the same turn whose centre lies at (u, v) of this one."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        x, y = float(self.x + u * c - v * s), float(self.y + u * s + v * c)
        return Box(x, y, half_u, half_v, self.angle)

    def across(self, u: float, v: float, half_u: float, half_v: float) -> Box:
        """The same, a quarter turn further."""
        # x and y stay float64 scalars: as Python floats they would let float32 sums round differently, which would
        # change the bytes that a seed gives.
        x, y = self.points(np.array(u), np.array(v))
        return Box(x, y, half_u, half_v, self.angle + math.pi / 2)


@dataclass(eq=False)
class Canvas:
    """The arrays of a world under construction; `size_px` square.

    Attributes:
        size_px: Side of the square.
        gsd_m: Size of a pixel.
        tint, material, height: As in `World`.
        reserved: 1 where a road, water or a building keeps others away.
        district: To which district each pixel belongs.
        here: The district that is being built; blocks do not reach beyond it.
        car_slots: x, y and angle of each place where a car may stand.
    """

    size_px: int
    gsd_m: float
    tint: NDArray[np.uint8] = field(init=False)
    material: NDArray[np.uint8] = field(init=False)
    height: NDArray[np.float32] = field(init=False)
    reserved: NDArray[np.uint8] = field(init=False)
    district: NDArray[np.uint8] = field(init=False)
    here: int = 0
    car_slots: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = (self.size_px, self.size_px)
        self.tint = np.full((*shape, 3), 128, np.uint8)
        self.material = np.full(shape, Material.MEADOW, np.uint8)
        self.height = np.zeros(shape, np.float32)
        self.reserved = np.zeros(shape, np.uint8)
        self.district = np.zeros(shape, np.uint8)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Canvas metres to pixel coordinates (centre of the first pixel is 0)."""
        return points / self.gsd_m - 0.5

    def is_free(self, box: Box, grow: float = 0.3) -> bool:
        """Whether a box lies on the canvas, in the district being built, and on no road, water or building."""
        u, v = _PROBES * [[box.half_u + grow], [box.half_v + grow]]
        index = (box.points(u, v) / self.gsd_m).astype(int)
        if index.min() < 1 or index.max() >= self.size_px - 1:
            return False
        rows, columns = index[:, 1], index[:, 0]
        return not self.reserved[rows, columns].any() and bool(
            (self.district[rows, columns] == self.here).all()
        )

    def polygon(
        self, points: NDArray[np.float64], material: Material, tint: Colour, *, reserve: bool = False
    ) -> None:
        """Fill a polygon, (N, 2) canvas metres."""
        fixed = np.rint(self.pixels(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.tint, [fixed], tint, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.material, [fixed], int(material), cv2.LINE_8, _SHIFT)
        if reserve:
            cv2.fillPoly(self.reserved, [fixed], 1, cv2.LINE_8, _SHIFT)

    def polyline(
        self,
        points: NDArray[np.float64],
        width_m: float,
        material: Material,
        tint: Colour,
        *,
        reserve: bool = False,
    ) -> None:
        """Draw a line of some width through (N, 2) canvas metres."""
        thickness = max(1, round(width_m / self.gsd_m))
        fixed = np.rint(self.pixels(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self.tint, [fixed], False, tint, thickness, cv2.LINE_8, _SHIFT)
        cv2.polylines(self.material, [fixed], False, int(material), thickness, cv2.LINE_8, _SHIFT)
        if reserve:
            cv2.polylines(self.reserved, [fixed], False, 1, thickness, cv2.LINE_8, _SHIFT)

    def box(self, box: Box, material: Material, tint: Colour, *, reserve: bool = False) -> None:
        """Fill a box."""
        self.polygon(box.corners(), material, tint, reserve=reserve)

    def ground(self, box: Box, material: Material, tint: Colour) -> None:
        """Cover the part of a box that belongs to the district being built and is not reserved."""
        region = self._region(box)
        if region is None:
            return
        rows, columns, _, _, inside = region
        inside &= self._open(rows, columns)
        self.material[rows, columns][inside] = material
        self.tint[rows, columns][inside] = tint

    def _open(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        return np.asarray((self.district[rows, columns] == self.here) & (self.reserved[rows, columns] == 0))

    def rows(self, box: Box, material: Material, tint: Colour, period_m: float, depth: float) -> None:
        """As `ground`, in rows along the first axis; `depth` is the share by which they darken and brighten."""
        region = self._region(box)
        if region is None:
            return
        rows, columns, _, v, inside = region
        inside &= self._open(rows, columns)
        wave = np.sin(v * (2 * math.pi / period_m)) * depth
        wave -= (np.abs((v + 9.0) % 18.0 - 9.0) < 0.4) * 0.15  # the tractor's lanes
        shade = 1.0 + wave[inside][:, None]
        self.tint[rows, columns][inside] = np.clip(np.asarray(tint, np.float32) * shade, 0, 255).astype(
            np.uint8
        )
        self.material[rows, columns][inside] = material

    def building(self, box: Box, eaves_m: float, rise_m: float, roof: Roof, tint: Colour) -> None:
        """Raise a building; where it meets another, the higher one shows. The ridge runs along the first axis."""
        region = self._region(box)
        if region is None:
            return
        rows, columns, u, v, inside = region
        top = (eaves_m + rise_m * _roof_shape(roof, u / box.half_u, v / box.half_v, u)).astype(np.float32)
        shows = inside & (top > self.height[rows, columns])
        self.height[rows, columns][shows] = top[shows]
        self.material[rows, columns][shows] = Material.ROOF
        self.tint[rows, columns][shows] = tint
        self.reserved[rows, columns][inside] = 1

    def tree(
        self, x: float, y: float, crown: NDArray[np.float32], height_m: float, kind: Material, tint: Colour
    ) -> None:
        """Plant a tree. `crown` is its shape, n x n, 0..1 (0: outside)."""
        column, row = (round(p / self.gsd_m - 0.5) - crown.shape[0] // 2 for p in (x, y))
        top, left = max(0, -row), max(0, -column)
        crown = crown[top : max(0, self.size_px - row), left : max(0, self.size_px - column)]
        if crown.size == 0:
            return
        rows = slice(row + top, row + top + crown.shape[0])
        columns = slice(column + left, column + left + crown.shape[1])
        raised = crown * height_m
        shows = raised > self.height[rows, columns]
        self.height[rows, columns][shows] = raised[shows]
        self.material[rows, columns][shows] = kind
        self.tint[rows, columns][shows] = tint

    def _region(
        self, box: Box
    ) -> tuple[slice, slice, NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]] | None:
        """The pixels about a box: rows, columns, their place along its axes (metres), and which lie inside."""
        corners = self.pixels(box.corners())
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self.size_px)
        if (high <= low).any():
            return None
        x = (np.arange(low[0], high[0], dtype=np.float32) + 0.5) * self.gsd_m - box.x
        y = ((np.arange(low[1], high[1], dtype=np.float32) + 0.5) * self.gsd_m - box.y)[:, None]
        c, s = np.float32(math.cos(box.angle)), np.float32(math.sin(box.angle))
        u, v = x * c + y * s, y * c - x * s
        inside = (np.abs(u) <= box.half_u) & (np.abs(v) <= box.half_v)
        return slice(low[1], high[1]), slice(low[0], high[0]), u, v, inside


def _roof_shape(
    roof: Roof, u: NDArray[np.float32], v: NDArray[np.float32], u_m: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Height above the eaves as a share of the rise; u and v run over -1..1 within the building."""
    if roof is Roof.GABLE:
        return np.asarray(1.0 - np.abs(v))
    if roof is Roof.HIP:
        return np.asarray(np.minimum(1.0 - np.abs(v), (1.0 - np.abs(u)) * 2.0))
    if roof is Roof.SHED:
        return np.asarray((1.0 + v) / 2.0)
    if roof is Roof.BARREL:
        return np.asarray(np.sqrt(np.maximum(0.0, 1.0 - v * v)))
    if roof is Roof.SAWTOOTH:
        return np.asarray((u_m % 8.0) / 8.0)
    return np.zeros_like(u)


def crowns(rng: np.random.Generator, gsd_m: float, count: int = 40) -> list[NDArray[np.float32]]:
    """Lumpy tree crowns of 1.3 to 6 m radius, n x n float32 in 0..1."""
    shapes = []
    for radius_m in np.linspace(1.3, 6.0, count):
        n = 2 * math.ceil(radius_m / gsd_m) + 1
        axis = (np.arange(n, dtype=np.float32) - n // 2) * gsd_m / radius_m
        x, y = np.meshgrid(axis, axis)
        angle = np.arctan2(y, x)
        bumps = sum(
            rng.uniform(0.03, 0.1) * np.sin(k * angle + rng.uniform(0, 2 * math.pi)) for k in range(2, 6)
        )
        rim = np.hypot(x, y) / (0.92 + bumps)
        dome = np.sqrt(np.maximum(0.0, 1.0 - rim * rim))
        lumps = cv2.resize(
            rng.normal(0.0, 1.0, (max(3, n // 4),) * 2).astype(np.float32), (n, n), interpolation=3
        )
        crown = np.where(rim < 1.0, np.clip(0.55 + 0.45 * dome + 0.07 * lumps, 0.3, 1.0), 0.0)
        shapes.append(crown.astype(np.float32))
    return shapes
