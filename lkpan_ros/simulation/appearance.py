"""How the same ground looks on another day: season, sun, weather and the camera's colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Material(IntEnum):
    """What a piece of ground is made of."""

    GRASS = 0
    MEADOW = 1
    WHEAT = 2
    MAIZE = 3
    RAPE = 4
    BEET = 5
    SOIL = 6
    ASPHALT = 7
    PAVEMENT = 8
    ROOF = 9
    WATER = 10
    DECIDUOUS = 11
    CONIFER = 12
    GRAVEL = 13
    PAINT = 14


CROPS = (Material.WHEAT, Material.MAIZE, Material.RAPE, Material.BEET, Material.SOIL)
VEGETATION = (Material.GRASS, Material.MEADOW, *CROPS, Material.DECIDUOUS)


class Season(Enum):
    """A time of the year; its value is the column of the colour table."""

    SPRING = 0
    SUMMER = 1
    AUTUMN = 2
    WINTER = 3


# RGB of a neutral tint (128), spring to winter. What is not listed keeps the tint as its colour.
_COLOURS: dict[Material, tuple[tuple[int, int, int], ...]] = {
    Material.GRASS: ((98, 122, 62), (108, 122, 68), (120, 116, 72), (116, 110, 82)),
    Material.MEADOW: ((110, 122, 72), (136, 130, 86), (136, 120, 80), (122, 110, 86)),
    Material.WHEAT: ((92, 130, 60), (182, 160, 104), (150, 128, 96), (106, 116, 74)),
    Material.MAIZE: ((146, 120, 94), (78, 112, 54), (150, 134, 86), (138, 118, 96)),
    Material.RAPE: ((172, 164, 70), (126, 130, 76), (130, 108, 86), (96, 116, 70)),
    Material.BEET: ((134, 112, 90), (90, 122, 64), (114, 98, 78), (128, 112, 94)),
    Material.SOIL: ((150, 124, 98), (160, 134, 106), (140, 114, 90), (132, 110, 90)),
    Material.WATER: ((70, 90, 90), (60, 84, 84), (66, 82, 78), (80, 92, 98)),
    Material.DECIDUOUS: ((84, 108, 56), (66, 92, 48), (124, 98, 54), (106, 96, 82)),
    Material.CONIFER: ((56, 78, 50), (54, 76, 48), (56, 76, 50), (54, 70, 50)),
    Material.GRAVEL: ((168, 158, 140), (176, 164, 144), (162, 150, 132), (154, 146, 134)),
}
# How strongly the ground's own noise shows, as a share of the brightness.
_ROUGHNESS: dict[Material, float] = {
    Material.GRASS: 0.28, Material.MEADOW: 0.33, Material.WHEAT: 0.25, Material.MAIZE: 0.3, Material.RAPE: 0.25,
    Material.BEET: 0.3, Material.SOIL: 0.4, Material.ASPHALT: 0.18, Material.PAVEMENT: 0.22, Material.ROOF: 0.16,
    Material.WATER: 0.06, Material.DECIDUOUS: 0.4, Material.CONIFER: 0.4, Material.GRAVEL: 0.3,
    Material.PAINT: 0.12,
}  # fmt: skip


@dataclass(frozen=True)
class Appearance:
    """One day's look of the world.

    Attributes:
        season: Colours of the vegetation.
        sun_azimuth_deg: Where the sun stands, clockwise from north.
        sun_elevation_deg: Its height above the horizon, 5..90.
        overcast: 0: hard shadows; 1: none.
        brightness: Gain of the picture.
        contrast: Spread of the picture about its middle grey.
        cast: Gain of red, green and blue.
        haze: 0: clear air; 1: nothing but haze.
        visibility_m: Distance over which haze between camera and ground takes 63 % of the contrast.
        variant: Seed of what moves between two days (parked cars, mowing, growth).
    """

    season: Season = Season.SUMMER
    sun_azimuth_deg: float = 150.0
    sun_elevation_deg: float = 52.0
    overcast: float = 0.15
    brightness: float = 1.0
    contrast: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    haze: float = 0.0
    visibility_m: float = 6000.0
    variant: int = 0

    def __post_init__(self) -> None:
        if not 5.0 <= self.sun_elevation_deg <= 90.0:
            raise ValueError(f"sun elevation {self.sun_elevation_deg} is not within 5..90 degrees")
        if not (0.0 <= self.overcast <= 1.0 and 0.0 <= self.haze <= 1.0):
            raise ValueError(f"overcast {self.overcast} and haze {self.haze} must be within 0..1")
        if min(self.brightness, self.contrast, self.visibility_m, *self.cast) <= 0.0:
            raise ValueError("brightness, contrast, visibility and colour cast must be positive")

    @classmethod
    def random(cls, seed: int) -> Appearance:
        """Some day of the year at some hour, in some weather."""
        rng = np.random.default_rng([seed, 0xA11])
        cast = rng.normal(1.0, 0.05, 3).clip(0.85, 1.15)
        return cls(
            season=Season(int(rng.integers(4))),
            sun_azimuth_deg=float(rng.uniform(80.0, 280.0)),
            sun_elevation_deg=float(rng.uniform(22.0, 65.0)),
            overcast=float(rng.beta(1.0, 1.5)),
            brightness=float(rng.uniform(0.8, 1.25)),
            contrast=float(rng.uniform(0.75, 1.25)),
            cast=(float(cast[0]), float(cast[1]), float(cast[2])),
            haze=float(rng.uniform(0.0, 0.18)),
            visibility_m=float(np.exp(rng.uniform(math.log(800.0), math.log(8000.0)))),
            variant=seed,
        )

    @property
    def to_sun(self) -> NDArray[np.float64]:
        """(3,) unit vector towards the sun: east, north, up."""
        azimuth, elevation = math.radians(self.sun_azimuth_deg), math.radians(self.sun_elevation_deg)
        level = math.cos(elevation)
        return np.array([level * math.sin(azimuth), level * math.cos(azimuth), math.sin(elevation)])


# The day on which the maps are flown: high sun, clear air.
MAP_APPEARANCE = Appearance()
# For pictures that have their own light.
CLEAR_AIR = Appearance(visibility_m=1e6)


def colour_table(season: Season) -> NDArray[np.uint8]:
    """(256, 3) uint8: RGB that a neutral tint (128) of each material takes in a season."""
    table = np.full((256, 3), 128, np.uint8)
    for material, colours in _COLOURS.items():
        table[material] = colours[season.value]
    return table


def roughness_table() -> NDArray[np.float32]:
    """(256,) float32: how strongly noise shows on each material, share of its brightness."""
    table = np.zeros(256, np.float32)
    for material, share in _ROUGHNESS.items():
        table[material] = share
    return table


def dryness_table(season: Season) -> NDArray[np.float32]:
    """(256,) float32: how far patches of each material's vegetation fade from green to straw in a season."""
    table = np.zeros(256, np.float32)
    for material in VEGETATION:
        table[material] = {Season.SPRING: 0.1, Season.SUMMER: 0.3, Season.AUTUMN: 0.25, Season.WINTER: 0.12}[
            season
        ]
    return table
