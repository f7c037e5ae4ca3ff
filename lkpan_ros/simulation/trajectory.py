"""Where a simulated vehicle goes, and how wind and sensors wander about the truth. All of it as functions of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 20_000


class Way(Protocol):
    """Where to fly, as a function of the distance flown."""

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """East, north and heading (degrees clockwise from north) after a distance."""


@dataclass(frozen=True)
class Straight:
    """A straight line.

    Attributes:
        east_m: Where it begins.
        north_m: Where it begins.
        heading_deg: Clockwise from north.
    """

    east_m: float
    north_m: float
    heading_deg: float

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """East, north and heading (degrees clockwise from north) after a distance along it."""
        turn = math.radians(self.heading_deg)
        return (
            self.east_m + distance_m * math.sin(turn),
            self.north_m + distance_m * math.cos(turn),
            self.heading_deg,
        )


@dataclass(frozen=True, eq=False)
class Loop:
    """A closed Lissajous figure (2 : 3) flown at constant speed: smooth turns, and no stretch is flown twice.

    Attributes:
        centre_m: (2,) east and north of its middle.
        half_m: (2,) how far it reaches to the east and to the north.
        phase: Between its two waves; a multiple of a quarter turn keeps its arms furthest apart.
        start: Where on it the flight begins, 0..1.
    """

    centre_m: NDArray[np.float64]
    half_m: NDArray[np.float64]
    phase: float
    start: float

    @classmethod
    def random(
        cls, rng: np.random.Generator, centre_m: NDArray[np.float64], half_m: NDArray[np.float64]
    ) -> Loop:
        """Some loop within a rectangle, given by its centre (east, north) and half sides."""
        quarter = int(rng.integers(4)) * math.pi / 2
        return cls(centre_m, half_m, quarter + float(rng.uniform(-0.1, 0.1)), float(rng.random()))

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """East, north and heading (degrees clockwise from north) after a distance along the loop."""
        turns, length = self._length_m
        angle = np.asarray(np.interp(distance_m % length[-1], length, turns), np.float64)
        east, north = self._place(angle)
        ahead_east, ahead_north = self._place(angle + 1e-5)
        heading = math.degrees(math.atan2(ahead_east - east, ahead_north - north)) % 360.0
        return float(east), float(north), heading

    def _place(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        east = self.centre_m[0] + self.half_m[0] * np.sin(2.0 * angle)
        north = self.centre_m[1] + self.half_m[1] * np.sin(3.0 * angle + self.phase)
        return np.stack([east, north])

    @cached_property
    def _length_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Angles of the figure, and the distance flown up to each."""
        angles = np.asarray((self.start + np.linspace(0.0, 1.0, _STEPS + 1)) * 2.0 * math.pi, np.float64)
        steps = np.hypot(*np.diff(self._place(angles), axis=1))
        return angles, np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True, eq=False)
class Excursion:
    """Straight out, half a circle to the right, and straight back beside the way out, on beyond the start.

    Attributes:
        start_m: (2,) east and north of its first point.
        heading_deg: Of the way out, clockwise from north.
        reach_m: How far its outermost point lies from the start, measured along that heading.
        radius_m: Of the turn, above 0 and at most the reach.
    """

    start_m: NDArray[np.float64]
    heading_deg: float
    reach_m: float
    radius_m: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reach_m) and 0.0 < self.radius_m <= self.reach_m):
            raise ValueError(
                f"reach_m = {self.reach_m}, radius_m = {self.radius_m}: give a positive radius, at most the reach"
            )

    @property
    def length_m(self) -> float:
        """Distance flown until the vehicle is back beside the start."""
        return 2.0 * self._straight_m + math.pi * self.radius_m

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """East, north and heading (degrees clockwise from north) after a distance along the way."""
        beyond_m = distance_m - self._straight_m
        turn = min(max(beyond_m / self.radius_m, 0.0), math.pi)
        back_m = max(beyond_m - math.pi * self.radius_m, 0.0)
        ahead = min(distance_m, self._straight_m) + self.radius_m * math.sin(turn) - back_m
        right = self.radius_m * (1.0 - math.cos(turn))
        azimuth = math.radians(self.heading_deg)
        c, s = math.cos(azimuth), math.sin(azimuth)
        east, north = self.start_m
        east += ahead * s + right * c
        north += ahead * c - right * s
        return float(east), float(north), (self.heading_deg + math.degrees(turn)) % 360.0

    @property
    def _straight_m(self) -> float:
        return self.reach_m - self.radius_m


@dataclass(frozen=True, eq=False)
class Wander:
    """A number that wanders smoothly about a mean: a few waves of random length.

    Attributes:
        mean: Its mean.
        amplitude: (K,) of the waves.
        rate: (K,) radians per second.
        phase: (K,) radians.
    """

    mean: float
    amplitude: NDArray[np.float64]
    rate: NDArray[np.float64]
    phase: NDArray[np.float64]

    @classmethod
    def random(
        cls, rng: np.random.Generator, sigma: float, period_s: tuple[float, float], bias: float = 0.0
    ) -> Wander:
        """Some wander of standard deviation `sigma`, whose mean is drawn with standard deviation `bias`."""
        count = 6
        amplitude = rng.uniform(0.5, 1.0, count)
        amplitude *= sigma * math.sqrt(2.0) / np.linalg.norm(amplitude)
        shortest, longest = period_s
        period = np.exp(rng.uniform(math.log(shortest), math.log(longest), count))
        return cls(
            float(rng.normal(0.0, bias)), amplitude, 2 * math.pi / period, rng.uniform(0, 2 * math.pi, count)
        )

    def at(self, time_s: float) -> float:
        """The number at a time."""
        return self.mean + float(self.amplitude @ np.sin(self.rate * time_s + self.phase))
