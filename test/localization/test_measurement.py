"""What registrations say of the vehicle's place: odds, and the way from the view back to the vehicle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.measurement import fit_sigma_m, log_odds, measure, remaining_sigmas
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Registrations
from lkpan_ros.localization.view import Pose
from test.localization.patches import TILE_PX, as_view

if TYPE_CHECKING:
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.measurement import Measurement
    from lkpan_ros.localization.types import GroundView

CONFIG = LocalizerConfig()
PATCH = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
shares = st.floats(-1, 1)


def tilted(attitude: Attitude, height_m: float = 100.0, *, north_up: bool = True) -> GroundView:
    view = as_view(PATCH)
    pose = Pose(view.pose.intrinsics, attitude, height_m, placed=True)
    return as_view(PATCH, north_up=north_up, pose=pose, offset_m=pose.offset_m())


def registered(
    position_m: tuple[float, float] = (0.0, 0.0), *, turn_deg: float = 0.0, scale: float = 1.0,
    fitted: bool = True, view: int = 0,
) -> Registrations:  # fmt: skip
    return Registrations(
        match=np.zeros(1, np.int64),
        view=np.array([view]),
        position_m=np.array([position_m]),
        spread_m2=np.zeros((1, 2, 2)),
        turn_deg=np.array([turn_deg]),
        scale=np.array([scale]),
        quality=np.array([0.5]),
        similarity=np.array([0.5], np.float32),
        fitted=np.array([fitted]),
    )


def measured(
    gallery: Gallery, found: Registrations, *views: GroundView, config: LocalizerConfig = CONFIG,
    level: float = 0.1,
) -> Measurement:  # fmt: skip
    return measure(found, views, level, gallery, config)


@given(st.lists(st.tuples(shares, shares), min_size=3, max_size=9), shares, st.floats(0.01, 1))
def test_better_is_more_probable(others: list[tuple[float, float]], level: float, better: float) -> None:
    quality, similarity = np.array(others).T
    best = int(quality.argmax())
    plain = log_odds(quality, similarity, level, CONFIG)
    raised = np.arange(len(quality)) == best  # above the median: what chance gives stays what it was
    assert log_odds(quality + better * raised, similarity, level, CONFIG)[best] >= plain[best]
    assert log_odds(quality, similarity + better * raised, level, CONFIG)[best] >= plain[best]
    assert log_odds(quality, similarity, level + better, CONFIG).max() <= plain.max() + 1e-9


def test_no_frame_is_surer_than_the_calibration_has_seen() -> None:
    odds = np.exp(log_odds(np.ones(1), np.ones(1), -1.0, CONFIG))
    assert odds / (1.0 + odds) < 0.995


def test_what_speaks_neither_way_is_as_likely_as_none(plain_gallery: Gallery) -> None:
    """A registration that fits as chance does, about a tile as much alike as it takes."""
    level = 0.5 - CONFIG.similarity.none_of_these
    said = measured(plain_gallery, registered(), tilted(Attitude(0.0, 0.0)), level=level).evidence
    assert said.odds == pytest.approx([1.0], rel=1e-5)


@given(st.floats(0, 60), st.floats(0, 359), st.floats(50, 300))
def test_the_vehicle_is_the_view_less_the_way_to_it(
    plain_gallery: Gallery, tilt: float, heading: float, height_m: float
) -> None:
    view = tilted(Attitude(tilt, heading), height_m)
    said = measured(plain_gallery, registered((33.0, -21.0)), view)
    ahead_m = height_m * math.tan(math.radians(tilt))
    radians = math.radians(heading)
    vehicle = (33.0 - ahead_m * math.sin(radians), -21.0 - ahead_m * math.cos(radians))
    assert np.allclose(said.evidence.position_m, [vehicle], atol=1e-6)
    assert np.allclose(said.evidence.position_m + said.offset_m, [(33.0, -21.0)])
    assert np.allclose(said.evidence.covariance_m2, np.eye(2) * fit_sigma_m(plain_gallery, CONFIG) ** 2)


@given(st.floats(20, 60), st.floats(0, 359), st.floats(-12, 12), st.floats(0.88, 1.12))
def test_turn_and_scale_correct_a_wrong_heading_and_height(
    plain_gallery: Gallery, tilt: float, heading: float, heading_error: float, height_ratio: float
) -> None:
    """A view drawn with a wrong heading and height lies on the map turned and scaled by what was wrong."""
    vague = with_values(CONFIG, {"view.heading_sigma_deg": 60.0, "view.height_sigma_ratio": 0.9})
    true_m = tilted(Attitude(tilt, heading), 100.0 * height_ratio).offset_m
    assert true_m is not None
    sensed = tilted(Attitude(tilt, heading - heading_error))
    found = registered(turn_deg=heading_error, scale=height_ratio)
    said = measured(plain_gallery, found, sensed, config=vague)
    assert np.hypot(*(said.offset_m[0] - true_m)) < 0.01 * np.hypot(*true_m)
    assert said.evidence.turn_deg == pytest.approx([heading_error])


def test_good_sensors_are_not_corrected_by_a_coarse_fit(plain_gallery: Gallery) -> None:
    sharp = with_values(CONFIG, {"view.heading_sigma_deg": 0.1, "view.height_sigma_ratio": 0.001})
    view = tilted(Attitude(45.0, 0.0))
    said = measured(plain_gallery, registered(turn_deg=4.0, scale=1.05), view, config=sharp)
    assert np.allclose(said.offset_m, [[0.0, 100.0]], atol=0.5)
    exact = with_values(CONFIG, {"view.height_sigma_ratio": 0.0})
    assert measured(plain_gallery, registered(scale=1.05), view, config=exact).offset_m[0, 1] == (
        pytest.approx(100.0)
    )


@given(st.floats(0, 359), st.floats(-20, 20))
def test_without_a_heading_the_turn_is_the_heading(
    plain_gallery: Gallery, assumed: float, turn_deg: float
) -> None:
    views = [tilted(Attitude(30.0, heading), north_up=False) for heading in (0.0, assumed)]
    said = measured(plain_gallery, registered(turn_deg=turn_deg, view=1), *views)
    heading = math.radians(assumed + turn_deg)
    ahead_m = 100.0 * math.tan(math.radians(30.0))
    assert np.allclose(said.offset_m, [[ahead_m * math.sin(heading), ahead_m * math.cos(heading)]], atol=1e-6)
    assert math.cos(math.radians(said.evidence.turn_deg[0]) - heading) == pytest.approx(1.0)


def test_without_geometry_the_place_is_the_views(plain_gallery: Gallery) -> None:
    said = measured(plain_gallery, registered((5.0, 6.0)), as_view(PATCH, offset_m=None))
    assert np.allclose(said.evidence.position_m, [(5.0, 6.0)])
    assert not said.offset_m.any()


def test_a_turn_that_was_only_tried_is_less_sure_than_a_fitted_one(plain_gallery: Gallery) -> None:
    view = tilted(Attitude(0.0, 0.0))
    tried, fit = (measured(plain_gallery, registered(fitted=f), view).evidence for f in (False, True))
    assert tried.turn_sigma_deg[0] > fit.turn_sigma_deg[0] > 0.0


def test_two_sensors_are_better_than_each() -> None:
    heading, height = remaining_sigmas(known_heading=True, config=CONFIG)
    alone, _ = remaining_sigmas(known_heading=False, config=CONFIG)
    assert heading < min(CONFIG.view.heading_sigma_deg, CONFIG.registration.turn_sigma_deg)
    assert height < min(CONFIG.view.height_sigma_ratio, CONFIG.registration.scale_sigma)
    assert alone == CONFIG.registration.turn_sigma_deg
