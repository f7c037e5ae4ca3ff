"""How towns, suburbs and campuses fill a block between their streets."""

from __future__ import annotations

import math

import numpy as np

from lkpan_ros.simulation.appearance import Material
from lkpan_ros.simulation.canvas import Box, Colour, Roof
from lkpan_ros.simulation.open_land import courts, park, stadium
from lkpan_ros.simulation.painter import FLATS, TILES, Painter


def town(painter: Painter, block: Box) -> None:
    """Houses around a court or in bars, a complex, towers, a park or a car park."""
    uses = ["court", "bars", "complex", "square", "parking", "towers"]
    use = painter.rng.choice(uses, p=[0.42, 0.16, 0.18, 0.06, 0.06, 0.12])
    ground: tuple[Material, Colour] = (
        (Material.GRASS, painter.vary((128, 128, 128), 0.08))
        if painter.chance(0.4)
        else (Material.PAVEMENT, painter.vary((150, 146, 140), 0.08))
    )
    painter.canvas.ground(block, *ground)
    eaves, pitched = painter.between(9.0, 20.0), painter.chance(0.5)
    if use == "court":
        _court(painter, block, eaves, pitched=pitched)
    elif use == "bars":
        _bars(painter, block, eaves, pitched=pitched)
    elif use == "complex":
        _complex(painter, block, eaves)
        painter.scatter(block, 13.0)
    elif use == "towers":
        _towers(painter, block)
    elif use == "parking":
        painter.car_park(block.part(block.half_u * 0.3, 0.0, block.half_u * 0.62, block.half_v * 0.85))
        rest = block.part(-block.half_u * 0.7, 0.0, block.half_u * 0.25, block.half_v * 0.85)
        painter.block_of_flats(rest, eaves)
    else:
        park(painter, block)


def _court(painter: Painter, block: Box, eaves: float, *, pitched: bool) -> None:
    """Terraces along the four streets, trees within."""
    depth = painter.between(5.0, 7.5)
    inner_u, inner_v = block.half_u - 2 * depth, block.half_v - 2 * depth
    painter.scatter(Box(block.x, block.y, inner_u, inner_v, block.angle), 11.0)
    for v in (-block.half_v + depth, block.half_v - depth):
        _terrace(painter, block, v, depth, eaves, pitched=pitched)
    for u in (-block.half_u + depth, block.half_u - depth):
        side = block.across(u, 0.0, max(1.0, block.half_v - 2 * depth - 0.5), depth)
        painter.block_of_flats(side, eaves + painter.between(-2, 3), pitched=pitched)


def _bars(painter: Painter, block: Box, eaves: float, *, pitched: bool) -> None:
    """Long houses side by side, with green between."""
    for v in np.arange(-block.half_v + 8.0, block.half_v - 6.0, painter.between(19.0, 27.0)):
        house = block.part(
            painter.between(-4, 4),
            float(v),
            block.half_u * painter.between(0.6, 0.9),
            painter.between(5.0, 7.0),
        )
        height = eaves + painter.between(-2, 8)
        painter.block_of_flats(house, height, pitched=pitched and painter.chance(0.7))
    painter.scatter(block, 10.0)


def _towers(painter: Painter, block: Box) -> None:
    """One to three high-rise buildings and their car park."""
    for _ in range(int(painter.rng.integers(1, 4))):
        tower = block.part(
            painter.between(-0.6, 0.6) * block.half_u,
            painter.between(-0.6, 0.6) * block.half_v,
            painter.between(8, 13),
            painter.between(7, 11),
        )
        painter.block_of_flats(tower, painter.between(24.0, 42.0))
    painter.car_park(block.part(0.0, 0.0, block.half_u * 0.45, block.half_v * 0.4))
    painter.scatter(block, 10.0)


def _terrace(painter: Painter, block: Box, v: float, depth: float, eaves: float, *, pitched: bool) -> None:
    u = -block.half_u
    while u < block.half_u - 6.0:
        width = min(painter.between(10.0, 26.0), block.half_u - u)
        if painter.chance(0.93):
            painter.block_of_flats(
                block.part(u + width / 2, v, width / 2 - 1.1, depth),
                eaves + painter.between(-3.0, 3.0),
                pitched=pitched,
            )
        u += width


def _complex(painter: Painter, block: Box, eaves: float) -> None:
    """A large building of several wings: L, U, H or comb."""
    half_u, half_v = block.half_u * painter.between(0.6, 0.9), block.half_v * painter.between(0.6, 0.9)
    depth, tint = painter.between(5.0, 9.0), painter.pick(FLATS)
    if not painter.canvas.is_free(Box(block.x, block.y, half_u, half_v, block.angle)):
        return
    roof = Roof.HIP if painter.chance(0.3) else Roof.FLAT
    rise = 3.5 if roof is Roof.HIP else 0.0
    spine = half_v - depth if painter.chance(0.6) else 0.0
    painter.canvas.building(block.part(0.0, spine, half_u, depth), eaves, rise, roof, tint)
    for u in np.linspace(-half_u + depth, half_u - depth, int(painter.rng.integers(1, 5))):
        wing = block.across(u, 0.0, half_v, depth * 0.9)
        painter.canvas.building(wing, eaves + painter.between(-3, 1), rise, roof, painter.vary(tint, 0.05))
    for _ in range(int(painter.rng.integers(3, 12))):
        unit = block.part(
            painter.between(-0.9, 0.9) * half_u,
            spine + painter.between(-0.6, 0.6) * depth,
            painter.between(0.6, 2.5),
            painter.between(0.6, 2.0),
        )
        painter.canvas.building(
            unit, eaves + painter.between(1.0, 3.5), 0.0, Roof.FLAT, painter.pick(FLATS, 0.2)
        )


def suburb(painter: Painter, block: Box) -> None:
    """Two rows of lots back to back, a house and a garden on each."""
    canvas = painter.canvas
    canvas.ground(block, Material.GRASS, painter.vary((128, 128, 128), 0.06))
    width = painter.between(15.0, 25.0)
    for side in (-1.0, 1.0):
        for u in np.arange(-block.half_u + width / 2, block.half_u - width / 2 + 0.1, width):
            _lot(painter, block.part(float(u), side * block.half_v / 2, width / 2, block.half_v / 2), side)


def _lot(painter: Painter, lot: Box, side: float) -> None:
    canvas = painter.canvas
    canvas.ground(
        lot, Material.GRASS if painter.chance(0.8) else Material.MEADOW, painter.vary((128, 128, 128), 0.1)
    )
    setback = side * (lot.half_v - painter.between(8.5, 13.0))
    house = lot.part(
        painter.between(-2.0, 2.0), setback, painter.between(4.2, 6.8), painter.between(3.6, 5.2)
    )
    if painter.chance(0.25):
        house = Box(house.x, house.y, house.half_u, house.half_v, house.angle + math.pi / 2)
    drive = lot.part(lot.half_u * 0.55, side * (lot.half_v - 5.0), 1.5, 6.0)
    if canvas.is_free(drive, 0.0):
        canvas.box(drive, Material.PAVEMENT, painter.vary((146, 142, 138), 0.12))
        canvas.car_slots.append((drive.x, drive.y, drive.angle + math.pi / 2))
    if painter.house(house):
        canvas.box(
            lot.part(0.0, setback - side * 8.0, 3.0, 1.8),
            Material.PAVEMENT,
            painter.vary((150, 138, 126), 0.1),
        )
    back = lot.part(0.0, -side * lot.half_v * 0.4, lot.half_u, lot.half_v * 0.55)
    if painter.chance(0.07):
        canvas.ground(back.part(0.0, 0.0, 4.0, 2.2), Material.PAINT, (110, 160, 176))
    if painter.chance(0.3):
        canvas.building(
            back.part(lot.half_u * 0.6, -side * 2.0, 1.6, 1.4), 2.2, 0.4, Roof.GABLE, painter.pick(TILES)
        )
    painter.scatter(back, 9.5, 0.75)
    if painter.chance(0.5):
        ends = lot.points(np.array([lot.half_u, lot.half_u]), np.array([-lot.half_v, lot.half_v * 0.8]))
        painter.row(ends[0], ends[1], 1.6, 0.12)


def campus(painter: Painter, block: Box) -> None:
    """Large buildings, sports grounds, parks and car parks, on lawn."""
    canvas = painter.canvas
    canvas.ground(block, Material.GRASS, painter.vary((128, 128, 128), 0.07))
    choice = painter.rng.choice(["complex", "slabs", "sports", "park", "parking", "courts"])
    if choice == "complex":
        _complex(painter, block, painter.between(8.0, 18.0))
    elif choice == "slabs":
        for u in (-0.5, 0.5):
            painter.block_of_flats(
                block.part(
                    u * block.half_u,
                    painter.between(-0.3, 0.3) * block.half_v,
                    block.half_u * 0.35,
                    painter.between(6.0, 11.0),
                ),
                painter.between(9.0, 24.0),
            )
    elif choice == "sports":
        stadium(painter, block)
    elif choice == "courts":
        courts(painter, block)
    elif choice == "parking":
        painter.car_park(block.part(0.0, 0.0, block.half_u * 0.8, block.half_v * 0.7))
    else:
        park(painter, block)
    painter.scatter(block, painter.between(10.0, 18.0))
