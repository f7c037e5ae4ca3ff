"""How farmland, woods, parks and sports grounds fill a block."""

from __future__ import annotations

import math

import numpy as np

from lkpan_ros.simulation.appearance import CROPS, Material
from lkpan_ros.simulation.canvas import Box, Colour, Roof
from lkpan_ros.simulation.painter import HALLS, TILES, Painter


def farmland(painter: Painter, block: Box) -> None:
    """Strips of crops and meadow, perhaps a farmstead, hedges along the borders."""
    canvas = painter.canvas
    strips = int(painter.rng.integers(1, 4))
    half = block.half_v / strips
    for i in range(strips):
        field_box = block.part(0.0, -block.half_v + (2 * i + 1) * half, block.half_u, half - 0.4)
        if painter.chance(0.2):
            canvas.ground(field_box, Material.MEADOW, painter.vary((128, 128, 128), 0.1))
            continue
        crop = CROPS[int(painter.rng.integers(len(CROPS)))]
        canvas.rows(
            field_box,
            crop,
            painter.vary((128, 128, 128), 0.09),
            painter.between(1.5, 4.0),
            painter.between(0.03, 0.12),
        )
    if painter.chance(0.22):
        _farmstead(
            painter,
            block.part(
                painter.between(-0.6, 0.6) * block.half_u,
                painter.between(-0.4, 0.4) * block.half_v,
                24.0,
                18.0,
            ),
        )
    if painter.chance(0.08):
        painter.scatter(block.part(0.0, 0.0, block.half_u, block.half_v), 6.0, 0.7)  # an orchard or a copse
    corners = block.corners(0.5)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if painter.chance(0.28):
            painter.row(start, end, painter.between(2.5, 9.0), painter.between(0.3, 1.0))
    painter.scatter(block, 90.0, 1.2)


def _farmstead(painter: Painter, box: Box) -> None:
    if not painter.canvas.is_free(box):
        return
    painter.canvas.box(box, Material.GRAVEL, painter.vary((124, 122, 118)))
    painter.house(box.part(-15.0, -9.0, 6.5, 4.5))
    for u, v in ((12.0, -9.0), (10.0, 10.0)):
        barn = box.part(u, v, painter.between(8.0, 14.0), painter.between(4.5, 7.0))
        painter.canvas.building(
            barn,
            painter.between(4.0, 6.5),
            painter.between(2.0, 4.0),
            Roof.GABLE,
            painter.pick(TILES + HALLS),
        )
    painter.scatter(box, 14.0)


def wood(painter: Painter, block: Box) -> None:
    """Two stands of trees of different kinds, or clearings."""
    painter.canvas.ground(block, Material.MEADOW, painter.vary((104, 104, 104), 0.08))
    parts = [
        block.part(u, 0.0, block.half_u / 2, block.half_v) for u in (-block.half_u / 2, block.half_u / 2)
    ]
    for part in parts:
        kind = painter.rng.choice(["mixed", "conifer", "young", "clearing"], p=[0.5, 0.25, 0.13, 0.12])
        if kind == "clearing":
            painter.canvas.ground(part, Material.MEADOW, painter.vary((128, 128, 128)))
            painter.scatter(part, 16.0)
        else:
            spacing = {"mixed": 5.0, "conifer": 4.3, "young": 3.2}[str(kind)]
            painter.scatter(
                part, spacing, 0.45 if kind == "young" else 1.1, 0.9 if kind == "conifer" else 0.25
            )


def park(painter: Painter, block: Box) -> None:
    """Lawn, trees, paths and perhaps a pond."""
    canvas = painter.canvas
    canvas.ground(block, Material.GRASS, painter.vary((128, 128, 128), 0.07))
    a = np.linspace(0.0, 2 * math.pi, 60)
    reach = 0.75 + 0.15 * np.sin(2 * a + painter.between(0, 6)) + 0.06 * np.sin(3 * a + painter.between(0, 6))
    if not canvas.is_free(block.part(0.0, 0.0, block.half_u * 0.8, block.half_v * 0.8)):
        painter.scatter(block, painter.between(8.0, 16.0), 1.2)
        return
    loop = block.points(np.cos(a) * reach * block.half_u, np.sin(a) * reach * block.half_v)
    canvas.polyline(loop, 2.4, Material.GRAVEL, (126, 124, 120), reserve=True)
    for _ in range(int(painter.rng.integers(1, 4))):
        i, j = painter.rng.integers(60, size=2)
        canvas.polyline(loop[[i, j]], 2.0, Material.GRAVEL, (126, 124, 120), reserve=True)
    if painter.chance(0.5):
        pond = block.points(np.cos(a) * reach * block.half_u * 0.4, np.sin(a) * reach * block.half_v * 0.4)
        canvas.polygon(pond, Material.WATER, (128, 128, 128), reserve=True)
    painter.scatter(block, painter.between(8.0, 16.0), 1.2)


def stadium(painter: Painter, block: Box) -> None:
    """A pitch with its marks, mostly within a running track."""
    canvas = painter.canvas
    field_box = block.part(0.0, 0.0, min(50.0, block.half_u * 0.62), min(32.0, block.half_v * 0.6))
    if not canvas.is_free(
        Box(field_box.x, field_box.y, field_box.half_u + 12, field_box.half_v + 5, field_box.angle), 0.0
    ):
        return
    if painter.chance(0.6):
        a = np.linspace(-math.pi / 2, math.pi / 2, 20)
        radius = field_box.half_v + 5.0
        u = np.concatenate(
            [np.cos(a) * radius + field_box.half_u - 14, -np.cos(a) * radius - field_box.half_u + 14]
        )
        v = np.concatenate([np.sin(a) * radius, -np.sin(a) * radius])
        canvas.polygon(block.points(u, v), Material.PAINT, painter.vary((168, 92, 74)), reserve=True)
    canvas.rows(field_box, Material.GRASS, painter.vary((132, 132, 132), 0.05), 11.0, 0.06)
    white: Colour = (212, 212, 206)
    for part in (
        field_box,
        field_box.part(0.0, 0.0, 0.01, field_box.half_v),
        *(field_box.part(s * (field_box.half_u - 8), 0.0, 8.0, 16.0) for s in (-1, 1)),
    ):
        canvas.polyline(part.corners()[[0, 1, 2, 3, 0]], 0.3, Material.PAINT, white)
    a = np.linspace(0.0, 2 * math.pi, 40)
    canvas.polyline(field_box.points(np.cos(a) * 9.1, np.sin(a) * 9.1), 0.3, Material.PAINT, white)


def courts(painter: Painter, block: Box) -> None:
    """Tennis courts side by side."""
    surface = painter.pick(((170, 98, 70), (70, 110, 84), (64, 96, 138)))
    for u in np.arange(-block.half_u * 0.7, block.half_u * 0.7, 19.0):
        court = block.part(float(u), 0.0, 8.5, 17.5)
        if not painter.canvas.is_free(court, 0.0):
            continue
        painter.canvas.box(court, Material.PAINT, surface, reserve=True)
        for part in (court.part(0, 0, 5.5, 11.9), court.part(0, 0, 4.1, 11.9), court.part(0, 0, 4.1, 6.4)):
            painter.canvas.polyline(part.corners()[[0, 1, 2, 3, 0]], 0.2, Material.PAINT, (216, 216, 212))
