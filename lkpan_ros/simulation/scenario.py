"""What demo, camera node and command lines fly unless they are told otherwise.

The map is flown at noon in summer; the flight takes place on a hazy autumn afternoon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lkpan_ros.localization.camera import Intrinsics
from lkpan_ros.simulation.appearance import MAP_APPEARANCE, Appearance, Season
from lkpan_ros.simulation.camera import Faults, SimulatedCamera
from lkpan_ros.simulation.flight import Flight, FlightSettings
from lkpan_ros.simulation.geotiff import write_geotiff
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.world import World, make_world, world_size_px

if TYPE_CHECKING:
    from pathlib import Path

    from lkpan_ros.localization.settings import Value

WORLD_SEED = 2026  # no world of the training data
FLIGHT_APPEARANCE = Appearance(
    season=Season.AUTUMN,
    sun_azimuth_deg=225.0,
    sun_elevation_deg=36.0,
    overcast=0.3,
    brightness=0.95,
    contrast=0.9,
    cast=(1.05, 1.0, 0.94),
    haze=0.05,
    visibility_m=3000.0,
    variant=1,
)
CAMERA_FAULTS = Faults(blur_px=0.6, vignette=0.15, noise=3.0)

# What the data sheets of the simulated sensors would say (see FlightSettings.sensor_error), as the localizer wants it.
SENSOR_FIGURES: dict[str, Value] = {
    "gallery.map_sigma_m": 0.0,  # the map is drawn from the world itself
    "view.tilt_sigma_deg": 0.8,
    "view.heading_sigma_deg": 2.5,
    "view.height_sigma_ratio": 0.022,  # 2 % and 1 m at 120 m
}


def camera(
    width_px: int = 640, height_px: int = 480, hfov_deg: float = 70.0, faults: Faults = CAMERA_FAULTS
) -> SimulatedCamera:
    """The camera of the flights."""
    return SimulatedCamera(Intrinsics.from_field_of_view(width_px, height_px, hfov_deg), faults)


@dataclass(frozen=True)
class Scenario:
    """A world, its map, and a flight over it on another day.

    Attributes:
        seed: Of the world and of the flight.
        size_m: Side of the world.
        gsd_m: Size of its pixels.
        settings: How it is flown.
        camera: With what.
        map_appearance: The day of the map.
        flight_appearance: The day of the flight.
    """

    seed: int = WORLD_SEED
    size_m: float = 1500.0
    gsd_m: float = 0.3
    settings: FlightSettings = field(default_factory=FlightSettings)
    camera: SimulatedCamera = field(default_factory=camera)
    map_appearance: Appearance = MAP_APPEARANCE
    flight_appearance: Appearance = FLIGHT_APPEARANCE

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: give 0 or more")
        world_size_px(self.size_m, self.gsd_m)

    @cached_property
    def world(self) -> World:
        """Made when first asked for, which takes some seconds."""
        return make_world(self.seed, self.size_m, self.gsd_m)

    @cached_property
    def flight(self) -> Flight:
        """The flight; the map is not made for it."""
        ground = Ground.from_world(self.world, self.flight_appearance)
        return Flight(ground, self.camera, self.settings, self.seed)

    def write_map(self, path: Path) -> None:
        """Write the world on the day of the map as a GeoTIFF.

        Raises:
            MapError: It cannot be written.
        """
        world = self.world
        texture = world.texture(self.map_appearance)
        write_geotiff(path, texture, world.frame, world.west_m, world.north_m, world.gsd_m)
