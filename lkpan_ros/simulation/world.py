"""A georeferenced world made by code from a seed, and how it looks from above on a given day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.simulation.appearance import (
    Appearance,
    Material,
    colour_table,
    dryness_table,
    roughness_table,
)
from lkpan_ros.simulation.canvas import Canvas
from lkpan_ros.simulation.districts import District, draw_streets, fill
from lkpan_ros.simulation.layout import Kind, Plan, make_plan
from lkpan_ros.simulation.lighting import direct_light, light_tables, tone_curve
from lkpan_ros.simulation.painter import Painter

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATUM = LatLon(47.4, 8.5)
_BAND_PX = 512  # rows coloured at a time, to keep temporaries small
_CAR_COLOURS = np.array(
    [(225, 225, 225), (190, 192, 196), (60, 62, 66), (40, 40, 44), (120, 122, 126), (150, 44, 40), (44, 70, 120), (90, 96, 90)]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class World:
    """Flat ground with buildings and trees on it. Rows run south, columns east, from the north-west corner.

    Attributes:
        frame: The world's datum lies in its middle.
        size_m: Side of the square.
        gsd_m: Size of a pixel.
        height: H x W float32, metres above the ground.
        material: H x W uint8, see `Material`.
        tint: H x W x 3 uint8, RGB of man-made surfaces; of vegetation and water about 128, to be multiplied with
            the season's colour.
        noise: H x W uint8, grain of the ground at all scales, 128 on average.
        patches: H x W uint8, where vegetation dries first, 128 on average.
        car_slots: (N, 3) float32, x and y from the north-west corner (metres, y to the south) and angle of every
            place where a car may stand.
        seed: What it was made from.
    """

    frame: LocalFrame
    size_m: float
    gsd_m: float
    height: NDArray[np.float32]
    material: NDArray[np.uint8]
    tint: NDArray[np.uint8]
    noise: NDArray[np.uint8]
    patches: NDArray[np.uint8]
    car_slots: NDArray[np.float32]
    seed: int

    @property
    def west_m(self) -> float:
        """East coordinate of the raster's left edge."""
        return -self.size_m / 2

    @property
    def north_m(self) -> float:
        """North coordinate of the raster's upper edge."""
        return self.size_m / 2

    def texture(self, appearance: Appearance) -> NDArray[np.uint8]:
        """The orthophoto of a day: H x W x 3 uint8, RGB, north up."""
        sun = direct_light(self.height, self.gsd_m, appearance)
        image = np.empty((*self.material.shape, 3), np.uint8)
        for top in range(0, len(image), _BAND_PX):
            band = slice(top, top + _BAND_PX)
            self._colour_band(image[band], band, sun[band], appearance)
        self._park_cars(image, sun, appearance)
        smooth = cv2.GaussianBlur(image, (3, 3), 0.55)
        return np.asarray(cv2.LUT(smooth, tone_curve(appearance)[None]))

    def _colour_band(
        self, out: NDArray[np.uint8], band: slice, sun: NDArray[np.uint8], appearance: Appearance
    ) -> None:
        """Season's colour x tint x grain x light, for some rows."""
        material = self.material[band]
        grain = (
            cv2.LUT(material, roughness_table() / 128.0) * (self.noise[band].astype(np.float32) - 128.0) + 1.0
        )
        dry = np.asarray(cv2.LUT(material, dryness_table(appearance.season) / 128.0), np.float32)
        dry *= np.maximum(self.patches[band].astype(np.float32) - 110.0, 0.0)
        colours, light = colour_table(appearance.season), light_tables(appearance)
        for channel, fade in enumerate((0.45, 0.1, -0.25)):
            lit = cv2.LUT(sun, np.ascontiguousarray(light[:, channel])) * grain
            lit *= 1.0 + np.float32(fade) * dry
            base = cv2.LUT(material, np.ascontiguousarray(colours[:, channel]))
            base = cv2.multiply(base, self.tint[band][..., channel], scale=1.0 / 128.0)
            out[..., channel] = cv2.multiply(base, lit, dtype=cv2.CV_8U)

    def _park_cars(self, image: NDArray[np.uint8], sun: NDArray[np.uint8], appearance: Appearance) -> None:
        """Some of the places are taken, by other cars each day."""
        rng = np.random.default_rng([self.seed, appearance.variant, 0xCA5])
        taken = self.car_slots[rng.random(len(self.car_slots)) < rng.uniform(0.35, 0.85)]
        colours = _CAR_COLOURS[rng.integers(len(_CAR_COLOURS), size=len(taken))] * rng.uniform(
            0.8, 1.1, (len(taken), 1)
        )
        half = np.array([[-2.2, -0.9], [2.2, -0.9], [2.2, 0.9], [-2.2, 0.9]])
        azimuth = math.radians(appearance.sun_azimuth_deg)
        cast = np.array([-math.sin(azimuth), math.cos(azimuth)]) * 0.6
        light = light_tables(appearance)
        for (x, y, angle), colour in zip(taken, colours, strict=True):
            c, s = math.cos(angle), math.sin(angle)
            centre = np.array([x, y])
            place = np.rint(centre / self.gsd_m).astype(int).clip(0, len(image) - 1)
            lit = light[sun[place[1], place[0]]]
            body = centre + half @ np.array([[c, s], [-s, c]])
            shape = [(body + cast, lit * 45.0), (body, lit * colour)]
            glass = centre + (half * [0.45, 0.8] - [0.2, 0.0]) @ np.array([[c, s], [-s, c]])
            shape.append((glass, lit * colour * 0.45))
            for points, paint in shape:
                fixed = np.rint((points / self.gsd_m - 0.5) * 16.0).astype(np.int32)
                cv2.fillConvexPoly(image, fixed, paint.clip(0, 255).tolist(), cv2.LINE_AA, 4)


def make_world(seed: int, size_m: float = 1500.0, gsd_m: float = 0.3) -> World:
    """Build a world of its own kind from a seed; the same seed gives the same bytes.

    Args:
        seed: Any whole number from 0.
        size_m: Side of the square, 100 m or more.
        gsd_m: Size of a pixel.

    Raises:
        ValueError: The size or the resolution makes no world.
    """
    size_px = world_size_px(size_m, gsd_m)
    rng = np.random.default_rng([seed, 0x1F])
    canvas = Canvas(size_px, gsd_m)
    painter = Painter(canvas, rng)
    plan = make_plan(rng, size_m)
    districts = [District.random(rng, plan, index) for index in range(len(plan.seeds))]
    _lay_ground(canvas, plan)
    _draw_river(painter, plan)
    _draw_verges(painter, plan)
    draw_streets(rng, painter, plan, districts)
    _draw_roads(painter, plan)
    _mark_roads(painter, plan)
    fill(painter, plan, districts)
    _line_roads(painter, plan)
    noise, patches = (
        _noise(rng, size_px, (1.0, 2.7, 7.1, 19.3, 83.0)),
        _noise(rng, size_px, (31.0, 90.0, 250.0)),
    )
    slots = np.array(canvas.car_slots, np.float32).reshape(-1, 3)
    return World(
        LocalFrame(DATUM), size_px * gsd_m, gsd_m, canvas.height, canvas.material, canvas.tint, noise, patches, slots, seed
    )  # fmt: skip


def world_size_px(size_m: float, gsd_m: float) -> int:
    """Side of a world in pixels.

    Raises:
        ValueError: The size or the resolution makes no world.
    """
    if not (math.isfinite(size_m) and math.isfinite(gsd_m) and gsd_m > 0.0 and 100.0 <= size_m <= 6000.0):
        raise ValueError(
            f"a world of {size_m} m at {gsd_m} m per pixel: give 100..6000 m and a positive pixel"
        )
    size_px = round(size_m / gsd_m)
    if size_px > 12_000:
        raise ValueError(f"a world of {size_px} pixels a side does not fit in memory: give a larger gsd_m")
    return size_px


def _lay_ground(canvas: Canvas, plan: Plan) -> None:
    """What lies between blocks and roads, by district."""
    step = 2.0
    count = math.ceil(canvas.size_px * canvas.gsd_m / step)
    axis = (np.arange(count) + 0.5) * step
    label = plan.district(plan.bend.inverse(np.stack(np.meshgrid(axis, axis), axis=-1)))
    ground = {
        Kind.TOWN: Material.PAVEMENT,
        Kind.INDUSTRY: Material.GRASS,
        Kind.CAMPUS: Material.GRASS,
        Kind.SUBURB: Material.GRASS,
    }
    of_district = np.array([ground.get(kind, Material.MEADOW) for kind in plan.kinds], np.uint8)
    index = np.minimum(((np.arange(canvas.size_px) + 0.5) * canvas.gsd_m / step).astype(int), count - 1)
    canvas.district[...] = label[np.ix_(index, index)]
    canvas.material[...] = of_district[canvas.district]
    canvas.tint[canvas.material == Material.PAVEMENT] = (146, 143, 138)


def _draw_river(painter: Painter, plan: Plan) -> None:
    if plan.river is None:
        return
    canvas = painter.canvas
    canvas.polyline(plan.river, plan.river_width_m + 14.0, Material.MEADOW, (120, 120, 120), reserve=True)
    canvas.polyline(plan.river, plan.river_width_m, Material.WATER, (128, 128, 128), reserve=True)


def _draw_verges(painter: Painter, plan: Plan) -> None:
    """What runs along the main roads: pavement in town, grass outside."""
    canvas = painter.canvas
    for road in plan.roads:
        verge = Material.PAVEMENT if road.width_m > 7.0 else Material.GRASS
        tint = (160, 157, 152) if verge is Material.PAVEMENT else (122, 122, 122)
        canvas.polyline(road.points, road.width_m + 4.5, verge, tint, reserve=True)


def _draw_roads(painter: Painter, plan: Plan) -> None:
    """The main roads' carriageways, and roundabouts."""
    canvas = painter.canvas
    for road in plan.roads:
        material, tint = (
            (Material.ASPHALT, (104, 104, 108)) if road.paved else (Material.GRAVEL, (126, 126, 126))
        )
        canvas.polyline(road.points, road.width_m, material, tint, reserve=True)
    for x, y in plan.junctions:
        if painter.chance(0.22):
            a = np.linspace(0.0, 2 * math.pi, 48)
            ring = np.stack([np.cos(a), np.sin(a)], axis=1)
            radius = painter.between(12.0, 19.0)
            canvas.polygon(ring * (radius + 2.5) + (x, y), Material.PAVEMENT, (158, 155, 150), reserve=True)
            canvas.polygon(ring * radius + (x, y), Material.ASPHALT, (104, 104, 108), reserve=True)
            canvas.polygon(ring * (radius - 7.5) + (x, y), Material.GRASS, (132, 132, 132), reserve=True)


def _mark_roads(painter: Painter, plan: Plan) -> None:
    """Lane marks, which end before the junctions, and cars on the wide roads."""
    white = (206, 206, 202)
    for road in plan.roads:
        clear = road.points[6:-6]
        if not road.paved or len(clear) < 3:
            continue
        for start in range(0, len(clear) - 1, 2):
            painter.canvas.polyline(clear[start : start + 2], 0.3, Material.PAINT, white)
        painter.kerbside(clear, road.width_m * 0.75, cars=0.08)
        if road.width_m > 9.0:
            step = np.gradient(clear, axis=0)
            normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(step[:, 0], step[:, 1])[:, None]
            for side in (-1.0, 1.0):
                painter.canvas.polyline(
                    clear + normal * side * (road.width_m / 2 - 0.5), 0.3, Material.PAINT, white
                )


def _line_roads(painter: Painter, plan: Plan) -> None:
    """Avenues, and trees along the river."""
    lines = [(road.points, road.width_m / 2 + 3.2) for road in plan.roads if painter.chance(0.45)]
    if plan.river is not None:
        lines.append((plan.river, plan.river_width_m / 2 + 8.0))
    for points, distance in lines:
        step = np.gradient(points, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(step[:, 0], step[:, 1])[:, None]
        every, size = int(painter.rng.integers(2, 4)), painter.between(0.6, 1.1)
        for side in (-1.0, 1.0):
            for x, y in (points + normal * side * distance)[::every]:
                if painter.chance(0.8):
                    painter.plant(float(x), float(y), size)


def _noise(rng: np.random.Generator, size_px: int, scales_px: tuple[float, ...]) -> NDArray[np.uint8]:
    """Smooth noise of several scales, each of the same strength; 128 on average, deviation about 40."""
    reduce = max(1, int(min(scales_px) / 4))
    side = math.ceil(size_px / reduce)
    total = np.full((side, side), 128.0, np.float32)
    for scale in scales_px:
        count = max(4, math.ceil(size_px / scale) + 1)
        coarse = np.frombuffer(rng.bytes(count * count), np.uint8).reshape(count, count).astype(np.float32)
        gain = 2.0 * 40.0 / 74.0 / math.sqrt(len(scales_px))
        smooth = cv2.GaussianBlur(coarse - 127.5, (3, 3), 0.8) * gain
        total += np.asarray(cv2.resize(smooth, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    grain = np.clip(total, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(grain, (size_px, size_px), interpolation=cv2.INTER_LINEAR))
