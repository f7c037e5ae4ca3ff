"""What registrations say of the place of the view: odds, errors and what the compass makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.localization.background import Chance
from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import HEIGHT, PLACE, TILT, TURN, SensorErrors
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.measurement import fit_sigma_m, heading_prior, log_odds, measure
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Registrations
from test.localization.beliefs import everywhere, pose_of
from test.localization.patches import TILE_PX, as_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Evidence
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import GroundView

    Array = NDArray[np.float64]

CONFIG = LocalizerConfig()
PATCH = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
shares = st.floats(-1, 1)


FOREIGN = Chance(mean=0.1, spread=0.05)


def tilted(attitude: Attitude, height_m: float = 100.0, *, heading_known: bool = True) -> GroundView:
    pose = pose_of(attitude, height_m)
    return as_view(PATCH, heading_known=heading_known, pose=pose, offset_m=pose.offset_m())


def registered(
    position_m: tuple[float, float] = (0.0, 0.0), *, turn_deg: float = 0.0, scale: float = 1.0,
    fitted: bool = True, view: int = 0, sought: bool = False, similarity: float = 0.5,
) -> Registrations:  # fmt: skip
    return Registrations(
        match=np.zeros(1, np.int64),
        view=np.array([view]),
        position_m=np.array([position_m]),
        spread_m2=np.zeros((1, 2, 2)),
        turn_deg=np.array([turn_deg]),
        scale=np.array([scale]),
        quality=np.array([0.5]),
        similarity=np.array([similarity], np.float32),
        fitted=np.array([fitted]),
        sought=np.array([sought]),
    )


def measured(
    gallery: Gallery, found: Registrations, *views: GroundView, config: LocalizerConfig = CONFIG
) -> Evidence:
    return measure(found, views, FOREIGN, gallery, config, [0.0])


def vehicle(said: Evidence) -> Array:
    """(STATES,) of the vehicle that the first frame, which found one place, is taken to be from."""
    place = BayesFilter(CONFIG.filter)
    place.update(said, everywhere)
    mean: Array = place.belief.mean[0]
    return mean


@given(st.lists(st.tuples(shares, shares), min_size=3, max_size=9), shares, st.floats(0.01, 1))
def test_better_is_more_probable(others: list[tuple[float, float]], level: float, better: float) -> None:
    quality, similarity = np.array(others).T
    best, chance = int(quality.argmax()), Chance(level, 0.1)
    plain = log_odds(quality, similarity, chance, CONFIG)
    raised = np.arange(len(quality)) == best  # not one of the worst: what chance gives stays what it was
    assert log_odds(quality + better * raised, similarity, chance, CONFIG)[best] >= plain[best]
    assert log_odds(quality, similarity + better * raised, chance, CONFIG)[best] >= plain[best]
    assert log_odds(quality, similarity, Chance(level + better, 0.1), CONFIG).max() <= plain.max() + 1e-9


@given(st.floats(0.1, 10), st.floats(0.1, 10), shares)
def test_camera_and_map_may_be_of_any_contrast(alike: float, fit: float, level: float) -> None:
    """Odds are of standard deviations: all similarities, or all qualities, times as much say the same."""
    quality, similarity = np.array([1.0, 1.2, 1.1, 2.4]), np.array([0.3, 0.9, 0.2, 0.4])
    plain = log_odds(quality * 1e3, similarity, Chance(level, 0.1), CONFIG)
    as_much = log_odds(quality * 1e3 * fit, similarity * alike, Chance(level * alike, 0.1 * alike), CONFIG)
    assert as_much == pytest.approx(plain, abs=0.01)


def test_no_frame_is_surer_than_thousands_of_frames_have_shown() -> None:
    """Some 20,000 fixes of simulated flights, a few of which were false."""
    odds = np.exp(log_odds(np.ones(1), np.ones(1), Chance(-1.0, 0.01), CONFIG))
    assert 0.99 < odds / (1.0 + odds) < 0.9997


def test_the_bound_on_the_best_does_not_raise_the_others_to_it() -> None:
    quality, similarity = np.ones(2), np.array([0.9, 0.7])
    odds = log_odds(quality, similarity, Chance(-1.0, 0.1), CONFIG)
    assert odds[0] - odds[1] == pytest.approx(0.2 / 0.1 / CONFIG.similarity.temperature)


def test_what_speaks_neither_way_is_as_likely_as_none() -> None:
    """A registration that fits as chance does, about a tile as much alike as it takes."""
    similarity = FOREIGN.mean + FOREIGN.spread * CONFIG.similarity.none_of_these
    assert log_odds(np.array([0.5]), np.array([similarity]), FOREIGN, CONFIG) == pytest.approx(
        [0.0], abs=1e-5
    )


def test_a_tile_that_no_search_would_bring_loses_half_of_what_it_is_less_alike() -> None:
    """Odds are calibrated with what searches bring, about 1.5 standard deviations above foreign places at the least."""

    def odds(sigmas: float) -> float:
        similarity = np.array([FOREIGN.mean + sigmas * FOREIGN.spread])
        return (
            float(log_odds(np.array([0.5]), similarity, FOREIGN, CONFIG)[0]) * CONFIG.similarity.temperature
        )

    assert odds(3.0) - odds(2.0) == pytest.approx(1.0)
    assert odds(1.5) - odds(-2.5) == pytest.approx(2.0)
    assert odds(2.0) - odds(1.0) == pytest.approx(0.75)


def test_what_was_only_sought_does_not_say_what_chance_gives() -> None:
    """A frame on a track seeks places that fit badly; the others are no better for it."""
    quality, similarity = np.array([0.2, 0.25, 0.3, 0.5]), np.full(4, 0.2)
    plain = log_odds(quality, similarity, FOREIGN, CONFIG)
    more = np.append(quality, [-0.4, 0.9])
    sought = np.array([False] * 4 + [True] * 2)
    along = log_odds(more, np.full(6, 0.2), FOREIGN, CONFIG, sought)
    assert along[:4] - along[0] == pytest.approx(plain - plain[0])
    assert along[4] < along[0] < along[3] < along[5]
    alone = log_odds(quality, similarity, FOREIGN, CONFIG, np.ones(4, np.bool_))
    assert np.isfinite(alone).all()


@given(st.floats(0, 60), st.floats(0, 359), st.floats(50, 300))
def test_the_vehicle_is_the_view_less_the_way_to_it(
    plain_gallery: Gallery, tilt: float, heading: float, height_m: float
) -> None:
    view = tilted(Attitude(tilt, heading), height_m)
    said = measured(plain_gallery, registered((33.0, -21.0)), view)
    ahead_m = height_m * math.tan(math.radians(tilt))
    radians = math.radians(heading)
    expected = (33.0 - ahead_m * math.sin(radians), -21.0 - ahead_m * math.cos(radians))
    assert np.allclose(vehicle(said)[PLACE], expected, atol=1e-6)
    assert np.allclose(said.view_m, [(33.0, -21.0)])
    assert np.allclose(said.covariance_m2, np.eye(2) * fit_sigma_m(plain_gallery, CONFIG) ** 2)


@given(st.floats(20, 60), st.floats(0, 359), st.floats(-12, 12), st.floats(0.88, 1.12))
def test_turn_and_scale_correct_a_wrong_heading_and_height(
    plain_gallery: Gallery, tilt: float, heading: float, heading_error: float, height_ratio: float
) -> None:
    """A view drawn with a wrong heading and height lies on the map turned and scaled by what was wrong."""
    vague = with_values(CONFIG, {"view.heading_sigma_deg": 60.0, "view.height_sigma_ratio": 0.9})
    true_m = pose_of(Attitude(tilt, heading), 100.0 * height_ratio).offset_m()
    sensed = tilted(Attitude(tilt, heading - heading_error))
    found = registered(turn_deg=heading_error, scale=height_ratio)
    said = measured(plain_gallery, found, sensed, config=vague)
    assert np.hypot(*(-vehicle(said)[PLACE] - true_m)) < 0.01 * np.hypot(*true_m)
    assert said.turn_deg == pytest.approx([heading_error])


def test_good_sensors_are_not_corrected_by_a_coarse_fit(plain_gallery: Gallery) -> None:
    level = {"view.tilt_sigma_deg": 0.0}
    sharp = with_values(CONFIG, level | {"view.heading_sigma_deg": 0.1, "view.height_sigma_ratio": 0.001})
    view = tilted(Attitude(45.0, 0.0))
    found = measured(plain_gallery, registered(scale=1.05), view, config=sharp)
    assert np.allclose(vehicle(found)[PLACE], (0.0, -100.0), atol=0.5)
    exact = with_values(CONFIG, level | {"view.height_sigma_ratio": 0.0, "view.heading_sigma_deg": 0.0})
    found = measured(plain_gallery, registered(scale=1.05), view, config=exact)
    assert np.allclose(vehicle(found)[PLACE], (0.0, -100.0), atol=0.01)
    good = with_values(CONFIG, {"view.tilt_sigma_deg": 0.5, "view.height_sigma_ratio": 0.01})
    coarse = measured(plain_gallery, registered(scale=1.17, fitted=False), view, config=good)
    assert np.allclose(vehicle(coarse)[PLACE], (0.0, -100.0), atol=1.0)


@given(st.floats(0, 359), st.floats(-20, 20))
def test_without_a_heading_the_turn_is_the_heading(
    plain_gallery: Gallery, assumed: float, turn_deg: float
) -> None:
    views = [tilted(Attitude(30.0, heading), heading_known=False) for heading in (0.0, assumed)]
    said = measured(plain_gallery, registered(turn_deg=turn_deg, view=1), *views)
    heading = math.radians(assumed + turn_deg)
    ahead_m = 100.0 * math.tan(math.radians(30.0))
    way_m = (ahead_m * math.sin(heading), ahead_m * math.cos(heading))
    assert np.allclose(-vehicle(said)[PLACE], way_m, atol=1e-6)
    assert math.cos(math.radians(vehicle(said)[TURN]) - heading) == pytest.approx(1.0)
    assert said.prior == pytest.approx([1.0 / 3.0])  # whatever it is: chance had eight tries
    assert said.errors.heading_deg is None


def test_without_geometry_the_place_is_the_views(plain_gallery: Gallery) -> None:
    said = measured(plain_gallery, registered((5.0, 6.0)), as_view(PATCH, offset_m=None))
    assert np.allclose(vehicle(said)[PLACE], (5.0, 6.0))


def test_a_turn_that_was_only_tried_is_less_sure_than_a_fitted_one(plain_gallery: Gallery) -> None:
    view = tilted(Attitude(0.0, 0.0))
    tried, fit = (measured(plain_gallery, registered(fitted=f), view) for f in (False, True))
    assert tried.turn_sigma_deg[0] > fit.turn_sigma_deg[0] > 0.0
    assert tried.stretch_sigma[0] > fit.stretch_sigma[0] > 0.0


def test_a_scale_that_sensors_cannot_explain_is_the_heights(plain_gallery: Gallery) -> None:
    """Not the tilt's, and whatever the height is said to be known to."""
    view = tilted(Attitude(45.0, 0.0))
    good = with_values(CONFIG, {"view.tilt_sigma_deg": 0.5, "view.height_sigma_ratio": 0.01})
    said = vehicle(measured(plain_gallery, registered(scale=1.3), view, config=good))
    assert said[HEIGHT] == pytest.approx(0.3)
    assert np.allclose(said[PLACE], (0.0, -130.0))
    assert np.all(said[TILT] == 0.0)


@pytest.mark.parametrize("sigma_deg", [1.0, 5.0])
def test_a_scale_is_shared_between_height_and_tilt(plain_gallery: Gallery, sigma_deg: float) -> None:
    """By how much each may err: a camera at 45 degrees that is tilted a degree further sees 2.6 % more ground."""
    config = with_values(CONFIG, {"view.tilt_sigma_deg": sigma_deg})
    view = tilted(Attitude(45.0, 0.0))
    said = vehicle(measured(plain_gallery, registered(scale=1.05), view, config=config))
    by_tilt, by_height = 0.026 * said[TILT][0], said[HEIGHT]
    assert by_tilt / by_height == pytest.approx((0.026 * sigma_deg / 0.05) ** 2, rel=0.05)
    assert said[TILT][1] == pytest.approx(0.0, abs=1e-9)


def test_another_scale_than_the_sensors_say_needs_a_far_better_fit(plain_gallery: Gallery) -> None:
    view = tilted(Attitude(0.0, 0.0))
    nominal, off = (measured(plain_gallery, registered(scale=s), view).prior[0] for s in (1.0, 1.37))
    assert nominal == pytest.approx(1.0)
    assert off == pytest.approx(0.05)
    unknown = as_view(PATCH, offset_m=None)  # without a height no scale contradicts anything
    assert measured(plain_gallery, registered(scale=1.37), unknown).prior[0] > 0.9


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0.0, 1.0)), min_size=2, max_size=12), st.floats(0, 8))
def test_what_looks_right_in_two_places_is_chance_to_that_extent(
    plain_gallery: Gallery, places: list[tuple[float, float]], alike: float
) -> None:
    """The best place stands out against none of them by no more than against the next; their ranks stay."""
    east, quality = (np.array(column) for column in zip(*places, strict=True))
    count = len(places)
    found = replace(
        registered(), match=np.arange(count), view=np.zeros(count, np.int64), spread_m2=np.zeros((count, 2, 2)),
        position_m=np.column_stack([east, np.zeros(count)]), quality=quality, turn_deg=np.zeros(count),
        scale=np.ones(count), similarity=np.full(count, 0.1 + 0.05 * (9.7 + alike), np.float32),
        fitted=np.ones(count, np.bool_), sought=np.zeros(count, np.bool_),
    )  # fmt: skip
    odds = np.log(measured(plain_gallery, found, tilted(Attitude(0.0, 0.0))).odds)
    best = odds.argmax()
    rivals = odds[np.abs(east - east[best]) > CONFIG.gate.radius_m]
    assert np.all(rivals <= 1e-6)
    alone = log_odds(quality, found.similarity, FOREIGN, CONFIG)
    assert np.allclose(odds - odds[best], alone - alone[best], atol=1e-6)
    if len(rivals) == 0:
        assert np.allclose(odds, alone)


def test_what_was_sought_is_said_so(plain_gallery: Gallery) -> None:
    view = tilted(Attitude(0.0, 0.0))
    assert measured(plain_gallery, registered(sought=True), view).sought.tolist() == [True]
    assert measured(plain_gallery, registered(sought=False), view).sought.tolist() == [False]


@given(st.floats(-90, 90), st.floats(0.1, 20), st.floats(0.1, 20))
def test_a_turn_is_as_probable_as_compass_and_fit_together_make_it(
    turn: float, fit_deg: float, compass_deg: float
) -> None:
    """Against none: the integral over all true errors of the compass, by sampling them evenly."""
    sensors = SensorErrors(heading_deg=compass_deg, height_ratio=0.05, tilt_deg=3.0)
    errors = np.linspace(-300.0, 300.0, 60_001)

    def density(turn_deg: float) -> float:
        squared = (errors / compass_deg) ** 2 + ((turn_deg - errors) / fit_deg) ** 2
        return float(np.exp(-0.5 * squared).sum())

    found = heading_prior(np.array([turn, -turn, 0.0]), np.full(3, fit_deg), sensors)
    assert found is not None
    assert found[0] == pytest.approx(density(turn) / density(0.0), abs=1e-6)
    assert found[0] == found[1]
    assert found[2] == 1.0


def test_a_place_that_only_fits_a_wrong_heading_is_hardly_born(plain_gallery: Gallery) -> None:
    view = tilted(Attitude(30.0, 90.0))
    weights = []
    for turn_deg in (0.0, 25.0):
        place = BayesFilter(CONFIG.filter)
        place.update(measured(plain_gallery, registered(turn_deg=turn_deg), view), everywhere)
        weights.append(place.belief.weight.sum() / place.belief.elsewhere)
    assert weights[1] < 1e-3 * weights[0]
