"""Small worlds, and grounds with a known mark on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.scenario import Scenario, camera
from lkpan_ros.simulation.world import World, make_world

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME = LocalFrame(LatLon(47.0, 8.0))


def plain_ground(
    size_m: float = 400.0, gsd_m: float = 0.5, height: NDArray[np.float32] | None = None, grey: int = 60
) -> Ground:
    """Even ground about the datum."""
    size_px = round(size_m / gsd_m)
    flat = Ground.from_image(
        np.full((size_px, size_px, 3), grey, np.uint8), FRAME, -size_m / 2, size_m / 2, gsd_m
    )
    return Ground(
        flat.frame, flat.west_m, flat.north_m, gsd_m, flat.levels, height, appearance=flat.appearance
    )


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(seed=0, size_m=240.0, gsd_m=0.6)


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """A short flight over a small world."""
    settings = FlightSettings(seconds=4.0, rate_hz=2.0, height_m=60.0, tilt_deg=20.0)
    return Scenario(0, 240.0, 0.6, settings, camera(320, 240))
