"""How industry fills a block: halls, yards, car parks."""

from __future__ import annotations

import numpy as np

from lkpan_ros.simulation.appearance import Material
from lkpan_ros.simulation.canvas import Box, Colour, Roof
from lkpan_ros.simulation.painter import FLATS, HALLS, Painter


def industry(painter: Painter, block: Box) -> None:
    """Two lots of halls, a yard or a car park."""
    canvas = painter.canvas
    material, tint = (
        (Material.ASPHALT, (124, 124, 124)) if painter.chance(0.6) else (Material.GRAVEL, (128, 128, 128))
    )
    canvas.ground(block, material, painter.vary(tint, 0.1))
    cut = painter.between(-0.2, 0.4) * block.half_u
    left = block.part((cut - block.half_u) / 2, 0.0, (cut + block.half_u) / 2 - 4.0, block.half_v - 5.0)
    right = block.part((cut + block.half_u) / 2, 0.0, (block.half_u - cut) / 2 - 4.0, block.half_v - 5.0)
    for lot in (left, right):
        if lot.half_u < 8.0:
            continue
        use = painter.rng.choice(["hall", "hall", "halls", "parking", "yard"])
        if use == "parking":
            painter.car_park(lot)
        elif use == "yard":
            _yard(painter, lot)
        else:
            for v in (0.0,) if use == "hall" else (-lot.half_v * 0.55, lot.half_v * 0.55):
                half_v = lot.half_v * (painter.between(0.6, 0.95) if use == "hall" else 0.4)
                _hall(painter, lot.part(0.0, v, lot.half_u * painter.between(0.7, 0.98), half_v))
    painter.scatter(block, 30.0, 0.8)


def _hall(painter: Painter, box: Box) -> None:
    if not painter.canvas.is_free(box):
        return
    roof = (Roof.FLAT, Roof.FLAT, Roof.GABLE, Roof.SAWTOOTH, Roof.BARREL)[int(painter.rng.integers(5))]
    eaves = painter.between(6.0, 12.0)
    painter.canvas.building(
        box, eaves, 0.0 if roof is Roof.FLAT else painter.between(1.2, 2.6), roof, painter.pick(HALLS, 0.06)
    )
    for u in np.arange(-box.half_u + 4.0, box.half_u - 3.0, painter.between(6.0, 14.0)):  # skylights
        painter.canvas.box(
            box.part(float(u), 0.0, 0.7, box.half_v * 0.8), Material.ROOF, painter.vary((150, 160, 166), 0.12)
        )
    for _ in range(int(painter.rng.integers(0, 7))):
        unit = box.part(
            painter.between(-0.8, 0.8) * box.half_u,
            painter.between(-0.7, 0.7) * box.half_v,
            painter.between(0.8, 2.5),
            painter.between(0.8, 2.0),
        )
        painter.canvas.building(
            unit, eaves + painter.between(2.5, 4.5), 0.0, Roof.FLAT, painter.pick(FLATS, 0.15)
        )


def _yard(painter: Painter, lot: Box) -> None:
    """Containers, lorries, heaps."""
    painter.canvas.ground(lot, Material.GRAVEL, painter.vary((128, 126, 122), 0.1))
    colours: tuple[Colour, ...] = (
        (150, 70, 60),
        (60, 90, 140),
        (190, 190, 186),
        (180, 120, 50),
        (70, 110, 80),
        (110, 110, 112),
    )
    for v in np.arange(-lot.half_v + 3.0, lot.half_v - 2.0, painter.between(4.0, 9.0)):
        for u in np.arange(-lot.half_u + 7.0, lot.half_u - 6.0, 13.0):
            if painter.chance(0.6):
                box = lot.part(float(u), float(v), 6.0, 1.25)
                if painter.canvas.is_free(box):
                    painter.canvas.building(
                        box,
                        2.6 * int(painter.rng.integers(1, 4)),
                        0.0,
                        Roof.FLAT,
                        painter.pick(colours, 0.15),
                    )
