"""The small things that occur in every kind of district: trees, houses, blocks of flats, car parks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.simulation.appearance import Material
from lkpan_ros.simulation.canvas import Box, Canvas, Colour, Roof, crowns

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILES: tuple[Colour, ...] = ((158, 88, 66), (140, 76, 60), (172, 108, 82), (118, 74, 62), (98, 92, 92), (84, 84, 90), (128, 108, 92))  # fmt: skip
FLATS: tuple[Colour, ...] = ((168, 166, 162), (190, 188, 184), (138, 138, 140), (112, 110, 110), (206, 204, 198), (150, 142, 132), (120, 132, 124))  # fmt: skip
HALLS: tuple[Colour, ...] = ((196, 198, 200), (170, 176, 182), (120, 138, 160), (150, 80, 70), (142, 142, 142), (214, 214, 210), (96, 104, 110))  # fmt: skip


@dataclass(eq=False)
class Painter:
    """A canvas, a source of chance, and the small things that occur everywhere."""

    canvas: Canvas
    rng: np.random.Generator
    crowns: list[NDArray[np.float32]] = field(init=False)

    def __post_init__(self) -> None:
        self.crowns = crowns(self.rng, self.canvas.gsd_m)

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly."""
        return float(self.rng.uniform(low, high))

    def vary(self, colour: Colour, spread: float = 0.1) -> Colour:
        """A colour near another one, brighter or darker."""
        gain = 1.0 + self.rng.normal(0.0, spread) + self.rng.normal(0.0, spread / 4, 3)
        red, green, blue = np.clip(np.asarray(colour) * gain, 8, 250)
        return int(red), int(green), int(blue)

    def pick(self, colours: tuple[Colour, ...], spread: float = 0.1) -> Colour:
        """One of several colours, varied."""
        return self.vary(colours[int(self.rng.integers(len(colours)))], spread)

    def tree(self, x: float, y: float, size: float = 1.0, conifer: float = 0.15) -> None:
        """A tree of about `size` (1: 3.5 m radius) where nothing is built."""
        limit = self.canvas.size_px
        column, row = int(x / self.canvas.gsd_m), int(y / self.canvas.gsd_m)
        if not (0 <= column < limit and 0 <= row < limit) or self.canvas.reserved[row, column]:
            return
        if self.canvas.district[row, column] == self.canvas.here:
            self.plant(x, y, size, conifer)

    def plant(self, x: float, y: float, size: float = 1.0, conifer: float = 0.15) -> None:
        """A tree wherever it is wanted, if it may overhang a road."""
        place = float(np.clip(self.rng.normal(0.45 * size, 0.15), 0.0, 0.99))
        crown = self.crowns[int(place * len(self.crowns))]
        kind = Material.CONIFER if self.chance(conifer) else Material.DECIDUOUS
        height = (
            self.between(1.5, 2.1)
            * crown.shape[0]
            * self.canvas.gsd_m
            / 2
            * (1.35 if kind is Material.CONIFER else 1.0)
        )
        self.canvas.tree(x, y, crown, height + 1.0, kind, self.vary((128, 128, 128), 0.16))

    def scatter(self, box: Box, spacing_m: float, size: float = 1.0, conifer: float = 0.15) -> None:
        """Trees all over a box, about one per spacing²."""
        # A narrow block has no inside: its box is turned inside out.
        count = max(0, int(4 * box.half_u * box.half_v / spacing_m**2 + self.rng.random()))
        u, v = self.rng.uniform(-1, 1, (2, count))
        for x, y in box.points(u * box.half_u, v * box.half_v):
            self.tree(x, y, size, conifer)

    def row(
        self, start: NDArray[np.float64], end: NDArray[np.float64], spacing_m: float, size: float
    ) -> None:
        """Trees in a row."""
        count = int(np.hypot(*(end - start)) / spacing_m) + 1
        for t in np.linspace(0.0, 1.0, count):
            x, y = start + t * (end - start) + self.rng.normal(0.0, 0.4, 2)
            self.tree(float(x), float(y), size)

    def kerbside(self, points: NDArray[np.float64], width_m: float, cars: float) -> None:
        """Places to park along a street; which are taken is another day's matter."""
        step = np.diff(points, axis=0)
        angle = np.arctan2(step[:, 1], step[:, 0])
        for (x, y), turn in zip(points[:-1], angle, strict=True):
            if self.chance(cars):
                side = (width_m / 2 - 1.2) * (1 if self.chance(0.5) else -1)
                self.canvas.car_slots.append((x - math.sin(turn) * side, y + math.cos(turn) * side, turn))

    def car_park(self, box: Box) -> None:
        """Asphalt with rows of bays, and trees between some of them."""
        if not self.canvas.is_free(box, 0.0):
            return
        self.canvas.box(box, Material.ASPHALT, self.vary((120, 120, 122), 0.1))
        for v in np.arange(-box.half_v + 3.0, box.half_v - 2.0, 7.8):
            for u in np.arange(-box.half_u + 2.0, box.half_u - 1.0, 2.7):
                mark = box.part(float(u) - 1.35, float(v), 0.08, 2.4)
                self.canvas.box(mark, Material.PAINT, (186, 186, 184))
                x, y = box.points(np.array(u), np.array(v))
                self.canvas.car_slots.append((float(x), float(y), box.angle + math.pi / 2))
            if self.chance(0.3):
                ends = box.points(np.array([-box.half_u, box.half_u]), np.array([v - 2.8, v - 2.8]))
                self.row(ends[0], ends[1], 9.0, 0.6)

    def house(self, box: Box) -> bool:
        """A house with a pitched roof, perhaps a wing and a garage. False: there is no room."""
        if not self.canvas.is_free(box):
            return False
        tint = self.pick(TILES)
        eaves, rise = self.between(3.0, 6.5), self.between(1.8, 3.4)
        roof = (Roof.GABLE, Roof.HIP, Roof.GABLE, Roof.SHED)[int(self.rng.integers(4))]
        self.canvas.building(box, eaves, rise, roof, tint)
        if self.chance(0.4):
            wing = box.part(
                self.between(-0.4, 0.4) * box.half_u, box.half_v, box.half_v * 0.55, box.half_v * 0.7
            )
            self.canvas.building(
                Box(wing.x, wing.y, wing.half_v, wing.half_u, wing.angle + math.pi / 2),
                eaves,
                rise * 0.7,
                Roof.GABLE,
                tint,
            )
        if self.chance(0.35):
            self.canvas.building(
                box.part(box.half_u + 1.8, -box.half_v * 0.3, 1.7, 3.0),
                2.6,
                0.0,
                Roof.FLAT,
                self.pick(FLATS),
            )
        if self.chance(0.15):
            self.canvas.box(
                box.part(0.0, box.half_v * 0.45, box.half_u * 0.6, box.half_v * 0.25),
                Material.ROOF,
                (38, 44, 62),
            )
        return True

    def block_of_flats(self, box: Box, eaves_m: float, *, pitched: bool = False) -> bool:
        """A large building; flat roofs carry machinery, skylights and panels. False: there is no room."""
        if not self.canvas.is_free(box):
            return False
        if pitched:
            self.canvas.building(
                box,
                eaves_m,
                min(box.half_v * 0.7, 4.5),
                Roof.HIP if self.chance(0.4) else Roof.GABLE,
                self.pick(TILES),
            )
            return True
        tint = self.pick(FLATS)
        self.canvas.building(box, eaves_m + 0.8, 0.0, Roof.FLAT, self.vary(tint, 0.15))
        inner = Box(box.x, box.y, box.half_u - 0.5, box.half_v - 0.5, box.angle)
        self.canvas.box(inner, Material.ROOF, tint)
        for _ in range(int(box.half_u * box.half_v / 45) + 1):
            u, v = self.between(-0.75, 0.75) * box.half_u, self.between(-0.7, 0.7) * box.half_v
            a, b = self.between(0.5, 2.6), self.between(0.5, 2.0)
            self.canvas.building(
                box.part(u, v, min(a, box.half_u * 0.2), min(b, box.half_v * 0.25)),
                eaves_m + 0.8 + self.between(0.8, 2.8),
                0.0,
                Roof.FLAT,
                self.pick(FLATS, 0.2),
            )
        if self.chance(0.25):
            self._panels(box)
        return True

    def _panels(self, box: Box) -> None:
        half_u, half_v = box.half_u * self.between(0.3, 0.7), box.half_v * self.between(0.3, 0.7)
        for v in np.arange(-half_v, half_v, 2.6):
            self.canvas.box(box.part(0.0, float(v), half_u, 0.85), Material.ROOF, (40, 46, 66))
