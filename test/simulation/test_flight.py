from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.geodesy import distance_m, east_north_m
from lkpan_ros.localization.view import Pose
from lkpan_ros.simulation.flight import Flight, FlightSettings
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.scenario import Scenario, camera
from test.simulation.conftest import FRAME, plain_ground

if TYPE_CHECKING:
    from lkpan_ros.localization.camera import Attitude

LENS = camera(64, 48)


def _angle_deg(one: Attitude, other: Attitude) -> float:
    turn = one.rotation().T @ other.rotation()
    return math.degrees(math.acos(np.clip((turn.trace() - 1) / 2, -1, 1)))


def test_a_seed_flies_the_same_pictures_in_any_order(scenario: Scenario) -> None:
    flight = scenario.flight
    again = Flight(flight.ground, flight.camera, flight.settings, flight.seed)
    assert len(flight) == len(flight.times_s) == 8
    last, first = again[7], again[0]
    assert np.array_equal(last.image, flight[-1].image)
    assert np.array_equal(first.image, next(iter(flight)).image)
    assert last.vehicle == flight[7].vehicle
    assert first.image.shape == (240, 320, 3)
    assert first.image.std() > 10.0


def test_another_seed_flies_elsewhere(scenario: Scenario) -> None:
    other = replace(scenario.flight, seed=77)
    assert distance_m(other[0].vehicle, scenario.flight[0].vehicle) > 1.0


def test_a_frame_that_is_not_there_is_an_index_error(scenario: Scenario) -> None:
    with pytest.raises(IndexError, match="frame 8 of a flight of 8"):
        scenario.flight[8]


def test_the_way_is_flown_at_the_wanted_speed_within_the_ground() -> None:
    flight = Flight(plain_ground(800.0), LENS, FlightSettings(200.0, 5.0, 15.0, 100.0, 30.0), 5)
    poses = [flight.pose(t) for t in flight.times_s]
    steps = [math.hypot(b.east_m - a.east_m, b.north_m - a.north_m) for a, b in pairwise(poses)]
    assert np.allclose(steps, 3.0, atol=0.05)  # chords of bends are shorter
    for pose in poses:
        centre = pose.view_centre_m()
        assert centre is not None
        assert flight.ground.contains(*centre)


def test_the_truth_of_a_frame_is_that_of_its_pose(scenario: Scenario) -> None:
    frame = scenario.flight[3]
    offset = Pose(
        scenario.camera.intrinsics, frame.pose.attitude, frame.pose.height_m, placed=True
    ).offset_m()
    assert frame.view is not None
    assert np.abs(east_north_m(frame.vehicle, frame.view) - offset).max() < 0.01
    assert distance_m(frame.vehicle, scenario.world.frame.point(frame.pose.east_m, frame.pose.north_m)) < 1e-6


def test_sensors_without_error_say_the_truth_and_others_nearly() -> None:
    settings = FlightSettings(60.0, 0.2, sensor_error=0.0)
    ground = plain_ground(600.0)
    for frame in Flight(ground, LENS, settings, 2):
        assert _angle_deg(frame.attitude, frame.pose.attitude) < 1e-3
        assert frame.height_m == pytest.approx(frame.pose.height_m)
    angles, heights = [], []
    for seed in range(6):
        for frame in Flight(ground, LENS, replace(settings, sensor_error=1.0), seed):
            angles.append(_angle_deg(frame.attitude, frame.pose.attitude))
            heights.append(abs(frame.height_m / frame.pose.height_m - 1.0))
    assert 0.5 < np.mean(angles) < 5.0
    assert 0.003 < np.mean(heights) < 0.06


def test_without_wind_the_camera_looks_ahead_at_its_tilt() -> None:
    flight = Flight(
        plain_ground(600.0), LENS, FlightSettings(5.0, 1.0, wind=0.0, tilt_deg=30.0, sensor_error=0.0), 4
    )
    one, two = flight.pose(1.0), flight.pose(1.1)
    track = math.degrees(math.atan2(two.east_m - one.east_m, two.north_m - one.north_m)) % 360.0
    assert one.attitude.tilt_deg == pytest.approx(30.0)
    assert one.attitude.heading_deg == pytest.approx(track, abs=2.0)
    assert one.height_m == pytest.approx(120.0)
    frame = flight[1]
    assert frame.heading_deg == pytest.approx(one.attitude.heading_deg)
    assert frame.body.tilt_deg == pytest.approx(0.0, abs=1e-4)


def test_the_vehicles_heading_is_its_own_even_where_wind_tips_a_camera_that_looks_down() -> None:
    flight = Flight(plain_ground(600.0), LENS, FlightSettings(20.0, 0.5, tilt_deg=0.0, sensor_error=0.0), 4)
    for frame in flight:
        forward = -frame.body.rotation()[:, 1]  # the picture's top
        assert frame.heading_deg == pytest.approx(
            math.degrees(math.atan2(forward[0], forward[1])) % 360.0, abs=0.5
        )


def test_a_view_beyond_the_ground_has_no_truth() -> None:
    flight = Flight(plain_ground(100.0), LENS, FlightSettings(30.0, 1.0, tilt_deg=70.0, height_m=100.0), 1)
    assert all(frame.view is None for frame in flight)


def test_over_a_map_with_a_hole_the_way_leads_round_it() -> None:
    plain = plain_ground(1200.0, 2.0)
    known = np.ones((600, 600), bool)
    known[:, :300] = False
    ground = Ground(
        FRAME, plain.west_m, plain.north_m, 2.0, plain.levels, appearance=plain.appearance, known=known
    )
    flight = Flight(ground, LENS, FlightSettings(60.0, 1.0), 1)
    views = [flight.pose(t).view_centre_m() for t in flight.times_s]
    assert np.mean([view is not None and ground.contains(*view) for view in views]) > 0.95


@pytest.mark.parametrize(
    "values",
    [{"rate_hz": 0.0}, {"seconds": math.nan}, {"tilt_deg": 85.0}, {"height_m": -3.0}, {"wind": -1.0}],
)
def test_a_flight_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} = .*give"):
        FlightSettings(**values)
