"""A localizer that is lied to: a camera that hangs, a prior that is led away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lkpan_ros.localization.geodesy import distance_m
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Fix, Prior, Reason, Rejection
from test.localization.test_localizer_track import (
    CONFIG,
    SPEED_MPS,
    at,
    fly,
    localizer_of,
    vehicle_at,
    without_attitude,
    without_odometry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.localizer import Localizer
    from lkpan_ros.localization.types import Frame
    from test.localization.conftest import Ground


@pytest.fixture
def localizer(plain_gallery: Gallery) -> Localizer:
    """Its tilt is known well enough for the track to tell the speed within seconds."""
    return localizer_of(plain_gallery, with_values(CONFIG, {"view.tilt_sigma_deg": 2.0}))


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ((), "odometry has moved by"),
        ((without_odometry,), "the vehicle was moving and should have gone"),
        ((without_odometry, without_attitude), "the vehicle was moving and should have gone"),
    ],
)
def test_a_camera_that_hangs_in_flight_is_refused_until_it_goes_on(
    ground: Ground, localizer: Localizer, known: tuple[Callable[[Frame], Frame], ...], words: str
) -> None:
    def frozen(frame: Frame) -> Frame:
        return replace(frame, image=at(ground, 5.0).image.copy())

    list(fly(localizer, ground, 0, 6, *known))
    for outcome, _ in fly(localizer, ground, 6, 10, frozen, *known):
        assert isinstance(outcome, Rejection)
        assert outcome.reason is Reason.BAD_IMAGE
        assert words in outcome.detail
        assert "frozen" in outcome.detail
    after = list(fly(localizer, ground, 10, 15, *known))
    assert isinstance(after[-1][0], Fix)
    assert not any(error_m > 10.0 for _, error_m in after)


def test_a_camera_that_hangs_from_the_start_is_told_by_its_attitude(
    ground: Ground, localizer: Localizer
) -> None:
    first = without_odometry(at(ground, 0.0))
    localizer.localize(first)
    turned = replace(first, stamp_s=1.0, attitude=at(ground, 0.0, heading=64.0).attitude)
    refused = localizer.localize(turned)
    assert isinstance(refused, Rejection)
    assert "the camera has turned by" in refused.detail
    localizer.reset()
    assert localizer.localize(turned).probability is not None  # by itself it is a picture like any other


def prior_at(ground: Ground, stamp_s: float, away_m: float) -> Prior:
    east_m, north_m = vehicle_at(stamp_s)
    return Prior(ground.frame.point(float(east_m) + away_m, float(north_m)), 10.0)


def test_a_prior_that_is_led_away_is_found_out_and_the_pictures_win(
    ground: Ground, localizer: Localizer
) -> None:
    conflicts = []
    for stamp_s in range(14):
        away_m = 15.0 * max(0, stamp_s - 4)
        frame = replace(at(ground, float(stamp_s)), prior=prior_at(ground, stamp_s, away_m))
        outcome = localizer.localize(frame)
        conflicts.append(localizer.conflict)
        if stamp_s >= 4:
            assert isinstance(outcome, Fix), outcome
            assert distance_m(outcome.position, prior_at(ground, stamp_s, 0.0).position) < 10.0
    assert not any(conflicts[:6])  # 15 m are within what both are sure of
    assert all(conflicts[9:])
    assert "prior_fix (within 10 m) lies 135 m from where the pictures have the vehicle" in conflicts[-1]
    list(fly(localizer, ground, 14, 15))
    assert not localizer.conflict  # it has ended
    assert SPEED_MPS * 14.0 < 135.0


def test_a_prior_that_jumps_away_is_not_followed(ground: Ground, localizer: Localizer) -> None:
    list(fly(localizer, ground, 0, 5))
    outcome = localizer.localize(replace(at(ground, 5.0), prior=prior_at(ground, 5.0, 5000.0)))
    assert isinstance(outcome, Fix), outcome
    assert "lies 5000 m from" in localizer.conflict
