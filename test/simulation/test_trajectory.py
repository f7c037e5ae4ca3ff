"""Where a simulated vehicle goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.simulation.flight import Flight, FlightSettings
from lkpan_ros.simulation.scenario import camera
from lkpan_ros.simulation.trajectory import Excursion
from test.simulation.conftest import plain_ground

START = np.array([100.0, -50.0])


@st.composite
def excursions(draw: st.DrawFn) -> Excursion:
    reach = draw(st.floats(10.0, 2000.0))
    return Excursion(START, draw(st.floats(-360.0, 720.0)), reach, draw(st.floats(0.05, 1.0)) * reach)


def _ahead_m(way: Excursion, distance_m: float) -> float:
    """How far a point of the way lies ahead of the start."""
    east, north, _ = way.at(distance_m)
    azimuth = math.radians(way.heading_deg)
    return float((np.array([east, north]) - START) @ (math.sin(azimuth), math.cos(azimuth)))


@given(way=excursions(), share=st.floats(0.0, 1.2))
def test_an_excursion_is_smooth_and_as_long_as_it_says(way: Excursion, share: float) -> None:
    step, here = 0.01, share * way.length_m
    one, other = way.at(here), way.at(here + step)
    assert math.hypot(other[0] - one[0], other[1] - one[1]) == pytest.approx(step, rel=1e-3)
    flown = math.degrees(math.atan2(other[0] - one[0], other[1] - one[1]))
    assert abs((flown - one[2] + 180.0) % 360.0 - 180.0) < math.degrees(step / way.radius_m) + 1e-3
    assert 0.0 <= one[2] <= 360.0  # a hair below 0 is rounded up to 360


@given(way=excursions())
def test_an_excursion_goes_as_far_as_it_is_told_and_comes_back(way: Excursion) -> None:
    ahead = [_ahead_m(way, d) for d in np.linspace(0.0, way.length_m, 201)]
    assert max(ahead) == pytest.approx(way.reach_m, abs=1e-6)
    assert _ahead_m(way, way.length_m / 2) == pytest.approx(way.reach_m)
    assert min(ahead) > -1e-6
    assert way.at(0.0)[:2] == pytest.approx(tuple(START))
    east, north, heading = way.at(way.length_m)
    assert math.hypot(*(np.array([east, north]) - START)) == pytest.approx(2 * way.radius_m)
    assert _ahead_m(way, way.length_m) == pytest.approx(0.0, abs=1e-6)
    assert (heading - way.heading_deg) % 360.0 == pytest.approx(180.0)


@pytest.mark.parametrize(
    ("reach", "radius"), [(100.0, 0.0), (50.0, 60.0), (math.nan, 10.0), (math.inf, 10.0)]
)
def test_an_excursion_that_cannot_be_flown_is_refused(reach: float, radius: float) -> None:
    with pytest.raises(ValueError, match="give a positive radius"):
        Excursion(START, 0.0, reach, radius)


def test_a_flight_takes_the_way_it_is_given() -> None:
    way = Excursion(np.array([0.0, -100.0]), 90.0, 150.0, 30.0)
    settings = FlightSettings(30.0, 1.0, speed_mps=10.0, height_m=60.0, wind=0.0, sensor_error=0.0)
    flight = Flight(plain_ground(600.0), camera(64, 48), settings, 3, way)
    for time_s in (0.0, 12.0, 16.0, 25.0):
        pose = flight.pose(time_s)
        east, north, heading = way.at(10.0 * time_s)
        assert (pose.east_m, pose.north_m) == pytest.approx((east, north))
        assert pose.attitude.heading_deg == pytest.approx(heading, abs=1e-6)
