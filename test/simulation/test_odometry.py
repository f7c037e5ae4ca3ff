"""The odometry of a simulated flight: right but for a scale and a slow turn, and the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.simulation.flight import Flight, FlightSettings
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.odometry import DriftingOdometry
from lkpan_ros.simulation.scenario import camera

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def ground() -> Ground:
    flat = np.full((400, 400, 3), 128, np.uint8)
    return Ground(LocalFrame(LatLon(47.0, 8.0)), -500.0, 500.0, 2.5, (flat,))


def flight(ground: Ground, seed: int = 3) -> Flight:
    return Flight(ground, camera(), FlightSettings(seconds=60.0), seed)


def true_place(flown: Flight, time_s: float) -> NDArray[np.float64]:
    pose = flown.pose(time_s)
    return np.array([pose.east_m, pose.north_m, pose.height_m])


@pytest.fixture(scope="module")
def exact(ground: Ground) -> DriftingOdometry:
    return DriftingOdometry(flight(ground), scale_sigma=0.0, heading_drift_dps=0.0)


@settings(max_examples=30, deadline=None)
@given(time_s=st.floats(0.0, 60.0))
def test_without_errors_it_tells_every_way_and_turn_in_the_vehicles_own_axes(
    exact: DriftingOdometry, time_s: float
) -> None:
    odometry, flown = exact, exact.flight
    start, here = odometry.at(0.0), odometry.at(time_s)
    np.testing.assert_array_equal(start.position_m, 0.0)
    np.testing.assert_allclose(start.rotation[1, 0], 0.0, atol=1e-9)  # x is ahead
    assert start.rotation[0, 0] > 0.9
    way, true = here.position_m, true_place(flown, time_s) - true_place(flown, 0.0)
    assert np.linalg.norm(way) == pytest.approx(np.linalg.norm(true), abs=0.1)
    assert way[2] == pytest.approx(true[2], abs=0.1)
    turned = flown.pose(0.0).attitude.rotation().T @ flown.pose(time_s).attitude.rotation()
    assert np.trace(start.rotation.T @ here.rotation) == pytest.approx(np.trace(turned), abs=1e-6)


def test_the_vehicle_flies_forward(ground: Ground) -> None:
    odometry = DriftingOdometry(flight(ground))
    step = odometry.at(20.2).position_m - odometry.at(20.0).position_m
    ahead = odometry.at(20.1).rotation[:, 0]
    assert step @ ahead > 0.9 * np.linalg.norm(step)


def test_the_same_flight_has_the_same_odometry_and_another_has_other_errors(ground: Ground) -> None:
    first, same, other = (DriftingOdometry(flight(ground, seed)).at(50.0) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.position_m, same.position_m)
    np.testing.assert_array_equal(first.rotation, same.rotation)
    assert abs(np.linalg.norm(first.position_m) - np.linalg.norm(other.position_m)) > 0.1


def test_it_drifts_slowly(ground: Ground) -> None:
    """Over a minute (720 m) by more than nothing and by less than a twentieth of the way."""
    for seed in range(4):
        flown = flight(ground, seed)
        exact = DriftingOdometry(flown, scale_sigma=0.0, heading_drift_dps=0.0).at(60.0)
        off_m = np.linalg.norm(DriftingOdometry(flown).at(60.0).position_m - exact.position_m)
        assert 0.1 < off_m < 36.0
