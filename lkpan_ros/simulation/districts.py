"""What stands in a district: streets, blocks between them, and how each kind of district fills its blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.simulation.appearance import Material
from lkpan_ros.simulation.canvas import Box
from lkpan_ros.simulation.housing import campus, suburb, town
from lkpan_ros.simulation.industry import industry
from lkpan_ros.simulation.layout import Kind, Plan
from lkpan_ros.simulation.open_land import farmland, wood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lkpan_ros.simulation.painter import Painter


@dataclass(frozen=True)
class Style:
    """The street grid of a kind of district, metres. Streets of width 0 are not drawn."""

    block_u: tuple[float, float]
    block_v: tuple[float, float]
    street_m: float
    paved: bool
    keep: float  # share of the street pieces that exist


_STYLES = {
    Kind.TOWN: Style((70.0, 115.0), (55.0, 85.0), 8.0, paved=True, keep=0.9),
    Kind.SUBURB: Style((90.0, 170.0), (56.0, 72.0), 6.0, paved=True, keep=0.85),
    Kind.INDUSTRY: Style((110.0, 180.0), (90.0, 140.0), 8.5, paved=True, keep=0.75),
    Kind.FARMLAND: Style((110.0, 260.0), (50.0, 140.0), 3.0, paved=False, keep=0.4),
    Kind.WOOD: Style((90.0, 200.0), (80.0, 160.0), 3.0, paved=False, keep=0.6),
    Kind.CAMPUS: Style((100.0, 160.0), (80.0, 130.0), 5.0, paved=True, keep=0.7),
}

_FILLINGS: dict[Kind, Callable[[Painter, Box], None]] = {
    Kind.TOWN: town,
    Kind.SUBURB: suburb,
    Kind.INDUSTRY: industry,
    Kind.FARMLAND: farmland,
    Kind.WOOD: wood,
    Kind.CAMPUS: campus,
}


@dataclass(frozen=True, eq=False)
class District:
    """One Voronoi cell with its own street grid."""

    index: int
    kind: Kind
    seed: NDArray[np.float64]
    angle: float
    lines_u: NDArray[np.float64]
    lines_v: NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator, plan: Plan, index: int) -> District:
        """A street grid with its own turn and uneven blocks."""
        style = _STYLES[plan.kinds[index]]
        return cls(
            index, plan.kinds[index], plan.seeds[index], float(rng.uniform(0.0, math.pi)),
            _lines(rng, style.block_u), _lines(rng, style.block_v),
        )  # fmt: skip

    def straight(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) straight plane of points of the street grid."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.seed + np.stack([u * c - v * s, u * s + v * c], axis=-1)


def _lines(rng: np.random.Generator, spacing: tuple[float, float]) -> NDArray[np.float64]:
    steps = rng.uniform(*spacing, size=2 * math.ceil(330.0 / spacing[0]) + 1)
    lines = np.cumsum(steps)
    return np.asarray(lines - lines[len(lines) // 2])


def streets(rng: np.random.Generator, plan: Plan, district: District) -> Iterator[NDArray[np.float64]]:
    """The streets of a district in pieces, (N, 2) canvas metres each."""
    keep = _STYLES[district.kind].keep
    for lines, across, swap in (
        (district.lines_u, district.lines_v, False),
        (district.lines_v, district.lines_u, True),
    ):
        along = np.arange(across[0], across[-1], 5.0)
        piece = np.searchsorted(across, along, side="right")
        for fixed in lines:
            still = np.full_like(along, fixed)
            q = district.straight(along, still) if swap else district.straight(still, along)
            drawn = (plan.district(q) == district.index) & (rng.random(len(across) + 1) < keep)[piece]
            for run in np.split(np.arange(len(along)), np.flatnonzero(np.diff(drawn)) + 1):
                if drawn[run[0]]:
                    last = min(run[-1] + 2, len(along))  # up to the crossing or the border
                    yield plan.bend.forward(q[run[0] : last])


def blocks(plan: Plan, district: District) -> Iterator[Box]:
    """The blocks of a district as boxes on the canvas; those at its border reach beyond it."""
    half_street = _STYLES[district.kind].street_m / 2 + (3.5 if _STYLES[district.kind].paved else 0.5)
    for u0, u1 in zip(district.lines_u[:-1], district.lines_u[1:], strict=True):
        for v0, v1 in zip(district.lines_v[:-1], district.lines_v[1:], strict=True):
            frame = np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1], [(u0 + u1) / 2, (v0 + v1) / 2]])
            q = district.straight(frame[:, 0], frame[:, 1])
            if not (plan.district(q) == district.index).any():
                continue
            p = plan.bend.forward(q)
            edge = (p[1] - p[0] + p[2] - p[3]) / 2
            side = (p[3] - p[0] + p[2] - p[1]) / 2
            half_u, half_v = (
                float(np.hypot(*edge)) / 2 - half_street,
                float(np.hypot(*side)) / 2 - half_street,
            )
            x, y = p[:4].mean(axis=0)
            yield Box(float(x), float(y), half_u, half_v, math.atan2(edge[1], edge[0]))


def draw_streets(rng: np.random.Generator, painter: Painter, plan: Plan, districts: list[District]) -> None:
    """Pavements first, then carriageways, so that junctions come out clean."""
    pieces = [(run, _STYLES[district.kind]) for district in districts for run in streets(rng, plan, district)]
    canvas = painter.canvas
    for points, style in pieces:
        if style.paved:
            canvas.polyline(points, style.street_m + 4.0, Material.PAVEMENT, (158, 155, 150), reserve=True)
    for points, style in pieces:
        if style.paved:
            canvas.polyline(points, style.street_m, Material.ASPHALT, (112, 112, 115), reserve=True)
            painter.kerbside(points, style.street_m, cars=0.25)
        else:
            canvas.polyline(points, style.street_m, Material.GRAVEL, (124, 124, 124), reserve=True)


def fill(painter: Painter, plan: Plan, districts: list[District]) -> None:
    """Build on every block."""
    for district in districts:
        filling = _FILLINGS[district.kind]
        painter.canvas.here = district.index
        for block in blocks(plan, district):
            if block.half_u > 8.0 and block.half_v > 8.0:
                filling(painter, block)
