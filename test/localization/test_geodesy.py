"""The metric frame that galleries, views and fixes share."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from lkpan_ros.localization.geodesy import LatLon, LocalFrame, distance_m, east_north_m, wrap_degrees

data = st.builds(LatLon, st.floats(-70, 70), st.floats(-179, 179))
metres = st.floats(-20_000, 20_000)


@given(data, metres, metres)
def test_local_metres_survive_the_round_trip(datum: LatLon, east: float, north: float) -> None:
    frame = LocalFrame(datum)
    point = frame.point(east, north)
    assert np.allclose(frame.to_local(point.lat_deg, point.lon_deg), [east, north], atol=1e-3)


@given(data, metres, metres)
def test_local_distances_agree_with_the_ellipsoid(datum: LatLon, east: float, north: float) -> None:
    point = LocalFrame(datum).point(east, north)
    _, _, true_m = Geod(ellps="WGS84").inv(datum.lon_deg, datum.lat_deg, point.lon_deg, point.lat_deg)
    assert math.hypot(east, north) == pytest.approx(true_m, rel=1e-5, abs=1e-3)
    assert distance_m(datum, point) == pytest.approx(true_m, rel=1e-5, abs=1e-3)


@given(data, metres, metres)
def test_differences_agree_with_the_local_frame(datum: LatLon, east: float, north: float) -> None:
    difference = east_north_m(datum, LocalFrame(datum).point(east, north))
    assert np.allclose(difference, [east, north], rtol=1e-3, atol=40.0 * abs(east * north) / 6.4e6 + 1e-2)


def test_east_is_east_and_north_is_north() -> None:
    frame = LocalFrame(LatLon(47.0, 8.0))
    assert frame.point(100.0, 0.0).lon_deg > 8.0
    assert frame.point(0.0, 100.0).lat_deg > 47.0


@pytest.mark.parametrize(("lat", "lon"), [(90.1, 0.0), (math.nan, 0.0), (0.0, math.inf), (0.0, 400.0)])
def test_positions_that_are_none_are_refused(lat: float, lon: float) -> None:
    with pytest.raises(ValueError, match="is not within"):
        LatLon(lat, lon)


@given(st.floats(-1e4, 1e4))
def test_wrapped_angles_are_the_same_angle(angle: float) -> None:
    wrapped = wrap_degrees(angle)
    assert -180.0 <= wrapped < 180.0
    assert math.remainder(wrapped - angle, 360.0) == pytest.approx(0.0, abs=1e-6)
