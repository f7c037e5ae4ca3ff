"""The localizer along a flight over a map made by code: what the frames before make of the next one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from lkpan_ros.localization.belief import RATE
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.geodesy import distance_m
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Fix, Odometry, Prior, Reason, Reference, Rejection
from test.localization.beliefs import evidence
from test.localization.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Frame
    from test.localization.conftest import Ground

# What the thumbnails' similarities are worth, and from when on one of them is news.
CONFIG = with_values(
    LocalizerConfig(),
    {"similarity.temperature": 1.0, "similarity.none_of_these": 4.0, "filter.independent_view": 0.15},
)
HEADING, TILT, HEIGHT_M, SPEED_MPS = 60.0, 25.0, 100.0, 8.0
AHEAD_M = HEIGHT_M * math.tan(math.radians(TILT))
TOWARDS = np.array([math.sin(math.radians(HEADING)), math.cos(math.radians(HEADING))])
START_M = np.array([-130.0, -90.0])


def localizer_of(gallery: Gallery, config: LocalizerConfig = CONFIG) -> Localizer:
    return Localizer(gallery, cast("Encoder", Thumbnails()), config)


@pytest.fixture
def localizer(plain_gallery: Gallery) -> Localizer:
    return localizer_of(plain_gallery)


def vehicle_at(stamp_s: float) -> NDArray[np.float64]:
    place_m: NDArray[np.float64] = START_M + SPEED_MPS * stamp_s * TOWARDS
    return place_m


def at(ground: Ground, stamp_s: float, heading: float = HEADING) -> Frame:
    """The frame of a straight flight, with odometry whose frame is turned by 30 degrees."""
    vehicle = vehicle_at(stamp_s)
    east_m, north_m = vehicle + AHEAD_M * np.array(
        [math.sin(math.radians(heading)), math.cos(math.radians(heading))]
    )
    yaw = math.radians(90.0 - heading + 30.0)
    c, s = math.cos(yaw), math.sin(yaw)
    turned = np.array([[math.cos(math.radians(30)), -0.5], [0.5, math.cos(math.radians(30))]]) @ vehicle
    odometry = Odometry(np.array([*turned, 9.0]), np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))
    return ground.look(float(east_m), float(north_m), Attitude(TILT, heading), stamp_s, odometry=odometry)


def without_heading(frame: Frame) -> Frame:
    return replace(frame, attitude=Attitude(TILT, None))


def without_attitude(frame: Frame) -> Frame:
    return replace(frame, attitude=None)


def without_odometry(frame: Frame) -> Frame:
    return replace(frame, odometry=None)


def fly(
    localizer: Localizer, ground: Ground, start_s: int, end_s: int, *changes: Callable[[Frame], Frame]
) -> Iterator[tuple[Fix | Rejection, float]]:
    """Outcomes of frames a second apart, and how far the vehicle is from where a fix has it (NaN without)."""
    for stamp_s in range(start_s, end_s):
        frame = at(ground, float(stamp_s))
        for change in changes:
            frame = change(frame)
        outcome = localizer.localize(frame)
        east_m, north_m = vehicle_at(stamp_s)
        error_m = math.nan
        if isinstance(outcome, Fix) and outcome.reference is Reference.VEHICLE:
            error_m = distance_m(outcome.position, ground.frame.point(float(east_m), float(north_m)))
        yield outcome, error_m


@pytest.mark.parametrize("changes", [(), (without_odometry,)])
def test_a_flight_is_followed_to_metres(
    ground: Ground, localizer: Localizer, changes: tuple[Callable[[Frame], Frame], ...]
) -> None:
    outcomes = list(fly(localizer, ground, 0, 10, *changes))
    errors = [error_m for outcome, error_m in outcomes[2:] if isinstance(outcome, Fix)]
    assert len(errors) == 8
    assert max(errors) < 5.0
    assert localizer.belief.weight[0] > 0.95
    rate = localizer.belief.mean[0, RATE]
    assert np.hypot(*(rate - SPEED_MPS * TOWARDS)) < 3.0


@pytest.mark.parametrize("changes", [(without_heading,), (without_heading, without_odometry)])
def test_a_flight_without_a_heading_finds_it(
    ground: Ground, localizer: Localizer, changes: tuple[Callable[[Frame], Frame], ...]
) -> None:
    for outcome, error_m in list(fly(localizer, ground, 0, 8, *changes))[3:]:
        assert isinstance(outcome, Fix), outcome
        assert error_m < 8.0
        assert outcome.heading_deg == pytest.approx(HEADING, abs=4.0)


def test_a_compass_that_errs_is_corrected(ground: Ground, localizer: Localizer) -> None:
    def astray(frame: Frame) -> Frame:
        return replace(frame, attitude=Attitude(TILT, HEADING - 8.0))

    for outcome, error_m in list(fly(localizer, ground, 0, 6, astray))[2:]:
        assert isinstance(outcome, Fix), outcome
        assert error_m < 6.0
        assert outcome.heading_deg == pytest.approx(HEADING, abs=3.0)


@pytest.mark.parametrize("error_deg", [50.0, 180.0])
def test_a_compass_that_leads_nowhere_is_found_out_after_seconds_and_trusted_again(
    ground: Ground, plain_gallery: Gallery, error_deg: float
) -> None:
    # Thumbnails look alike enough for a place to be found under any heading, if that is all that is asked for.
    localizer = localizer_of(plain_gallery, with_values(CONFIG, {"similarity.none_of_these": 9.0}))

    def astray(frame: Frame) -> Frame:
        return replace(frame, attitude=Attitude(TILT, HEADING + error_deg))

    during = list(fly(localizer, ground, 0, 18, astray))
    for outcome, error_m in during[16:]:
        assert isinstance(outcome, Fix), outcome
        assert error_m < 8.0
        assert outcome.heading_deg == pytest.approx(HEADING, abs=4.0)
    after = list(fly(localizer, ground, 18, 24))
    assert isinstance(after[-1][0], Fix)
    assert not np.nanmax([error_m for _, error_m in after]) > 10.0


@pytest.mark.parametrize("lost", [without_heading, without_attitude])
def test_an_attitude_that_is_lost_and_found_in_mid_flight_costs_seconds_and_no_false_fix(
    ground: Ground, localizer: Localizer, lost: Callable[[Frame], Frame]
) -> None:
    before = list(fly(localizer, ground, 0, 5))
    during = list(fly(localizer, ground, 5, 13, lost))
    after = list(fly(localizer, ground, 13, 20))
    assert isinstance(before[-1][0], Fix)
    errors = np.array([error_m for _, error_m in before + during + after])
    assert np.nanmax(errors) < 10.0
    if lost is without_heading:  # what the track knows of the heading stands for it
        assert all(isinstance(outcome, Fix) for outcome, _ in during + after)
    assert isinstance(after[-1][0], Fix)
    assert after[-1][1] < 5.0


def test_a_vehicle_that_hovers_gets_no_surer_but_stays_found(ground: Ground, localizer: Localizer) -> None:
    frame = at(ground, 5.0)
    outcomes = [localizer.localize(replace(frame, stamp_s=5.0 + 0.1 * k)) for k in range(12)]
    first, last = outcomes[0], outcomes[-1]
    assert first.probability is not None
    assert last.probability is not None
    assert last.probability <= first.probability + 0.02
    if isinstance(first, Fix):
        assert isinstance(last, Fix)


def test_it_is_found_again_after_a_jump(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 6))
    back = [
        localizer.localize(replace(at(ground, float(k)), stamp_s=50.0 + k, odometry=None)) for k in range(5)
    ]
    last = back[-1]
    assert isinstance(last, Fix), last
    assert distance_m(last.position, ground.frame.point(*vehicle_at(4.0).tolist())) < 5.0


def test_a_prior_that_is_right_helps_and_one_that_is_wrong_is_no_fix(
    ground: Ground, plain_gallery: Gallery
) -> None:
    frame = at(ground, 4.0)
    place = ground.frame.point(*vehicle_at(4.0).tolist())
    right = localizer_of(plain_gallery).localize(replace(frame, prior=Prior(place, 10.0)))
    assert right.matches is not None
    reach_m = 10.0 + CONFIG.search.prior_margin_m
    view_m = vehicle_at(4.0) + AHEAD_M * TOWARDS
    assert np.hypot(*(right.matches.position_m - view_m).T).max() <= reach_m + 1e-6
    far = Prior(ground.frame.point(160.0, 160.0), 1.0)
    wrong = localizer_of(plain_gallery, with_values(CONFIG, {"search.prior_margin_m": 10.0})).localize(
        replace(frame, attitude=Attitude(TILT, None), prior=far)
    )
    if isinstance(wrong, Fix):
        assert distance_m(wrong.position, place) < 10.0
    beyond = Prior(ground.frame.point(3000.0, 0.0), 50.0)
    refused = localizer_of(plain_gallery).localize(replace(frame, prior=beyond))
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.OUT_OF_MAP


def test_reset_forgets_the_track_and_the_stamps(ground: Ground, localizer: Localizer) -> None:
    first = localizer.localize(at(ground, 3.0))
    list(fly(localizer, ground, 4, 6))
    localizer.reset()
    assert len(localizer.belief) == 0
    again = localizer.localize(at(ground, 3.0))
    assert again.probability == first.probability
    assert type(again) is type(first)


def test_the_same_flight_gives_the_same_outcomes(ground: Ground, plain_gallery: Gallery) -> None:
    flights = [list(fly(localizer_of(plain_gallery), ground, 0, 4)) for _ in range(2)]
    assert [(o.probability, e) for o, e in flights[0][2:]] == [(o.probability, e) for o, e in flights[1][2:]]


def test_frames_out_of_order_change_nothing(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 4))
    believed = localizer.belief
    for stamp_s in (3.0, 1.0, -math.inf, math.nan):
        stale = localizer.localize(replace(at(ground, 10.0), stamp_s=stamp_s))
        assert isinstance(stale, Rejection)
        assert stale.reason is Reason.STALE_FRAME
    assert localizer.belief is believed


def test_a_frame_that_shows_nothing_leaves_the_track(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 4))
    dark = localizer.localize(replace(at(ground, 4.0), image=np.zeros((240, 320, 3), np.uint8)))
    assert isinstance(dark, Rejection)
    assert dark.reason is Reason.BAD_IMAGE
    (outcome, error_m), *_ = fly(localizer, ground, 5, 6)
    assert isinstance(outcome, Fix), outcome
    assert error_m < 5.0


def test_another_gallery_starts_anew(ground: Ground, plain_gallery: Gallery, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 4))
    localizer.replace_gallery(plain_gallery)
    assert len(localizer.belief) == 0
    assert isinstance(localizer.localize(at(ground, 1.0)), (Fix, Rejection))  # its stamps start anew, too


def test_settings_that_change_keep_the_track(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 4))
    weight = localizer.belief.weight[0]
    localizer.configure(with_values(CONFIG, {"gate.min_probability": 1.0}))
    (outcome, _), *_ = fly(localizer, ground, 4, 5)
    assert isinstance(outcome, Rejection)
    assert localizer.belief.weight[0] >= weight - 0.05


def test_the_same_ground_seen_better_counts_for_what_it_adds(localizer: Localizer) -> None:
    """Else a look-alike that grows clearer would be confirmed by every look at it."""
    look = np.eye(1, 4, dtype=np.float32)
    assert localizer._unsaid(evidence((0.0, 0.0, 1.0)), look, 0.0)[1] == 1.0
    said, news = localizer._unsaid(evidence((0.0, 0.0, 20.0)), look, 1.0)
    assert news == 1.0
    assert said.odds == pytest.approx([10.0])
    assert said.sought.all()
    again, news = localizer._unsaid(evidence((0.0, 0.0, 60.0)), look, 2.0)
    assert news == 0.0
    assert again.odds == pytest.approx([60.0])
    other, news = localizer._unsaid(evidence((0.0, 0.0, 60.0)), np.roll(look, 1), 3.0)
    assert news == 1.0
    assert other.odds == pytest.approx([60.0])


def test_a_view_of_half_new_ground_says_half(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 6))
    rate_mps = float(np.hypot(*localizer.belief.mean[0, RATE]))
    tile_m = localizer.gallery.tile_size_m
    look = np.eye(1, 4, dtype=np.float32)
    for share, counted in ((0.4, 0.0), (0.7, 0.7), (1.5, 1.0)):
        localizer._unsaid(evidence((0.0, 0.0, 60.0)), np.roll(look, 1), 1000.0 * (1.0 + share))
        stamp_s = 1000.0 * (1.0 + share) + share * tile_m / rate_mps
        _, news = localizer._unsaid(evidence((0.0, 0.0, 60.0)), np.roll(look, 1), stamp_s)
        assert news == pytest.approx(counted)
