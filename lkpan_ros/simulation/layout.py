"""Where things go: districts, the roads between them, a river. All of it as smooth curves, not pixels.

Districts are the Voronoi cells of scattered seeds in a plane that is then bent by a few long waves, so that roads
along their borders curve gently and meet in real junctions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import Voronoi

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Borders of districts that lie nearly in a line meet thousands of kilometres away.
_FAR_M = 50_000.0


class Kind(Enum):
    """What a district is used for."""

    TOWN = "town"
    SUBURB = "suburb"
    INDUSTRY = "industry"
    FARMLAND = "farmland"
    WOOD = "wood"
    CAMPUS = "campus"


@dataclass(frozen=True, eq=False)
class Bend:
    """The map from the straight plane to the canvas: p = q + a few waves of q, metres."""

    wave: NDArray[np.float64]  # (W, 2), radians per metre
    phase: NDArray[np.float64]  # (W,)
    shift: NDArray[np.float64]  # (W, 2), metres

    @classmethod
    def random(cls, rng: np.random.Generator) -> Bend:
        """Waves of 260 to 700 m and about 10 m each: streets turn, but do not fold."""
        count = 5
        length = rng.uniform(260.0, 700.0, count)
        direction = rng.uniform(0.0, 2 * math.pi, count)
        wave = np.stack([np.cos(direction), np.sin(direction)], axis=1) * (2 * math.pi / length)[:, None]
        shift = rng.normal(0.0, 0.018, (count, 2)) * length[:, None]
        return cls(wave, rng.uniform(0.0, 2 * math.pi, count), shift)

    def forward(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) straight plane to (..., 2) canvas, metres."""
        return q + np.sin(q @ self.wave.T + self.phase) @ self.shift

    def inverse(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) canvas to (..., 2) straight plane, to a centimetre or so."""
        q = p
        for _ in range(5):
            q = p - np.sin(q @ self.wave.T + self.phase) @ self.shift
        return q


@dataclass(frozen=True, eq=False)
class Road:
    """A road: (N, 2) canvas metres, its width in metres, and whether it is paved."""

    points: NDArray[np.float64]
    width_m: float
    paved: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """The skeleton of a world.

    Attributes:
        bend: From the straight plane to the canvas.
        seeds: (D, 2) centres of the districts in the straight plane, metres.
        kinds: Use of each district.
        roads: Between districts.
        junctions: (J, 2) canvas metres, where the roads meet.
        river: Its course, or None.
        river_width_m: Its width.
    """

    bend: Bend
    seeds: NDArray[np.float64]
    kinds: tuple[Kind, ...]
    roads: tuple[Road, ...]
    junctions: NDArray[np.float64]
    river: NDArray[np.float64] | None
    river_width_m: float

    def district(self, q: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which district points (..., 2) of the straight plane lie in."""
        square = (self.seeds**2).sum(axis=1) - 2.0 * (q @ self.seeds.T)
        return np.asarray(square.argmin(axis=-1))


def make_plan(rng: np.random.Generator, size_m: float) -> Plan:
    """Scatter districts over a square of `size_m` metres and lay the roads between them."""
    spacing = float(np.clip(size_m / 4.2, 140.0, 330.0))
    axis = np.arange(-1.5 * spacing, size_m + 1.6 * spacing, spacing)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    seeds = grid + rng.uniform(-0.36, 0.36, grid.shape) * spacing
    bend = Bend.random(rng)
    kinds = _kinds(rng, seeds, size_m)
    roads, junctions = _roads(rng, seeds, kinds, bend)
    river = _river(rng, size_m, bend) if rng.random() < 0.75 else None
    return Plan(bend, seeds, kinds, roads, junctions, river, float(rng.uniform(10.0, 34.0)))


def _kinds(rng: np.random.Generator, seeds: NDArray[np.float64], size_m: float) -> tuple[Kind, ...]:
    """Dense about a centre, open ground further out, everything mixed."""
    centre = rng.uniform(0.2, 0.8, 2) * size_m
    order = (Kind.TOWN, Kind.SUBURB, Kind.INDUSTRY, Kind.FARMLAND, Kind.WOOD, Kind.CAMPUS)
    inner = np.array([0.45, 0.2, 0.05, 0.02, 0.03, 0.25])
    outer = np.array([0.05, 0.27, 0.17, 0.28, 0.11, 0.12])
    kinds = []
    for seed in seeds:
        far = float(np.clip(np.hypot(*(seed - centre)) / (0.5 * size_m), 0.0, 1.0))
        kinds.append(order[rng.choice(len(order), p=(1.0 - far) * inner + far * outer)])
    return tuple(kinds)


def _roads(
    rng: np.random.Generator, seeds: NDArray[np.float64], kinds: tuple[Kind, ...], bend: Bend
) -> tuple[tuple[Road, ...], NDArray[np.float64]]:
    diagram = Voronoi(seeds)
    roads = []
    for (one, other), (start, end) in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if start < 0:
            continue
        rural = sum(kinds[i] in (Kind.FARMLAND, Kind.WOOD) for i in (one, other))
        width = float(rng.choice([6.5, 8.0, 10.0, 13.0], p=[0.3, 0.3, 0.25, 0.15]))
        paved = True
        if rural == 2:
            paved = rng.random() < 0.5
            width = 5.5 if paved else 3.2
        ends = diagram.vertices[[start, end]]
        count = max(2, int(np.hypot(*(ends[1] - ends[0])) / 4.0))
        line = ends[0] + np.linspace(0.0, 1.0, count)[:, None] * (ends[1] - ends[0])
        near = line[np.abs(line).max(axis=1) < _FAR_M]
        if len(near) > 1:
            roads.append(Road(bend.forward(near), width, paved))
    return tuple(roads), bend.forward(diagram.vertices)


def _river(rng: np.random.Generator, size_m: float, bend: Bend) -> NDArray[np.float64]:
    angle, offset = rng.uniform(0.0, math.pi), rng.uniform(-0.3, 0.3) * size_m
    along = np.arange(-size_m, size_m, 6.0)
    across = offset + 0.05 * size_m * np.sin(along / rng.uniform(70.0, 130.0) + rng.uniform(0.0, 6.0))
    across += 0.03 * size_m * np.sin(along / rng.uniform(30.0, 60.0))
    c, s = math.cos(angle), math.sin(angle)
    course = np.stack([along * c - across * s, along * s + across * c], axis=1) + size_m / 2
    return bend.forward(course)
