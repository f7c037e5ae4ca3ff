"""A frame in, a fix or a refusal out: over a map made by code, with the shipped weights."""

from __future__ import annotations

import gc
import re
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.geodesy import LatLon, distance_m
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.measurement import fit_sigma_m
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Fix, Prior, Reason, Reference, Rejection

if TYPE_CHECKING:
    from lkpan_model.encoder import Encoder
    from test.localization.conftest import Ground

CONFIG = with_values(LocalizerConfig(), {"gate.min_probability": 0.5})
NADIR = Attitude(tilt_deg=0.0, heading_deg=0.0)


@pytest.fixture
def localizer(gallery: Gallery, encoder: Encoder) -> Localizer:
    return Localizer(gallery, encoder, CONFIG)


@pytest.mark.parametrize(
    ("east_m", "north_m", "attitude"),
    [(30.0, -60.0, NADIR), (-60.0, 60.0, Attitude(25.0, 0.0)), (0.0, 30.0, Attitude(20.0, 130.0))],
)
def test_a_frame_of_the_map_is_found_where_it_was_taken(
    ground: Ground, localizer: Localizer, east_m: float, north_m: float, attitude: Attitude
) -> None:
    frame = ground.look(east_m, north_m, attitude)
    fix = localizer.localize(frame)
    assert isinstance(fix, Fix), fix
    assert distance_m(fix.view, ground.frame.point(east_m, north_m)) < 3.0
    offset = 100.0 * np.tan(np.radians(attitude.tilt_deg))
    heading_deg = attitude.heading_deg or 0.0
    heading = np.radians(heading_deg)
    vehicle = ground.frame.point(east_m - offset * np.sin(heading), north_m - offset * np.cos(heading))
    assert fix.reference is Reference.VEHICLE
    assert distance_m(fix.position, vehicle) < 5.0
    assert fix.stamp_s == frame.stamp_s
    assert fix.probability >= CONFIG.gate.min_probability
    assert np.linalg.eigvalsh(fix.covariance_m2 - fix.view_covariance_m2).min() >= 0.0
    assert np.linalg.eigvalsh(fix.view_covariance_m2).min() >= fit_sigma_m(localizer.gallery, CONFIG) ** 2
    assert fix.heading_deg is not None
    assert abs((fix.heading_deg - heading_deg + 180.0) % 360.0 - 180.0) < 2.0
    assert all(seconds > 0.0 for seconds in vars(fix.timings).values())


def test_tilt_widens_the_vehicles_covariance_along_the_view(
    ground: Ground, gallery: Gallery, encoder: Encoder
) -> None:
    figures = {"view.heading_sigma_deg": 0.5, "view.height_sigma_ratio": 0.1, "view.tilt_sigma_deg": 1.0}
    sure_of_heading = with_values(CONFIG, figures)
    fix = Localizer(gallery, encoder, sure_of_heading).localize(ground.look(0.0, 0.0, Attitude(25.0, 0.0)))
    assert isinstance(fix, Fix)
    extra = fix.covariance_m2 - fix.view_covariance_m2
    assert extra[1, 1] > extra[0, 0] > 0.0  # it looks north: tilt and height move the foot along north


@pytest.mark.parametrize("quarter", range(4))
def test_without_heading_the_frame_is_turned_until_it_fits(
    ground: Ground, localizer: Localizer, quarter: int
) -> None:
    frame = ground.look(-30.0, 0.0, Attitude(0.0, 90.0 * quarter))
    fix = localizer.localize(replace(frame, attitude=Attitude(0.0, None)))
    assert isinstance(fix, Fix), fix
    assert distance_m(fix.view, ground.frame.point(-30.0, 0.0)) < 25.0


def test_without_height_the_fix_is_the_views_and_its_covariance_wide(
    ground: Ground, gallery: Gallery, localizer: Localizer
) -> None:
    # From 95 m the short side of this camera spans one tile, as the centred square assumes.
    fix = localizer.localize(replace(ground.look(0.0, 0.0, NADIR), height_m=None))
    assert isinstance(fix, Fix), fix
    assert fix.reference is Reference.VIEW
    assert fix.position == fix.view
    assert fix.covariance_m2[0, 0] >= CONFIG.view.unknown_offset_m**2
    assert fix.view_covariance_m2[0, 0] < gallery.tile_size_m**2


def test_a_vehicle_that_cannot_be_placed_well_is_not_stated(
    ground: Ground, gallery: Gallery, encoder: Encoder
) -> None:
    careless = with_values(CONFIG, {"view.tilt_sigma_deg": 30.0})
    fix = Localizer(gallery, encoder, careless).localize(ground.look(0.0, 0.0, Attitude(25.0, 0.0)))
    assert isinstance(fix, Fix), fix
    assert fix.reference is Reference.VIEW


@pytest.mark.parametrize("tilt_deg", [0.0, 25.0, 45.0])
@pytest.mark.parametrize("stated_over_true", [0.75, 1.3])
def test_a_wrong_focal_length_or_height_is_found_out(
    ground: Ground, gallery: Gallery, encoder: Encoder, stated_over_true: float, tilt_deg: float
) -> None:
    """The view is found in the size that it has; the vehicle, which one of the two would move, is not stated."""
    frame = ground.look(-30.0, 60.0, Attitude(tilt_deg, 0.0))
    camera = frame.intrinsics
    assert camera is not None
    assert frame.height_m is not None
    long = replace(camera, fx_px=camera.fx_px * stated_over_true, fy_px=camera.fy_px * stated_over_true)
    for lie in (replace(frame, intrinsics=long), replace(frame, height_m=frame.height_m / stated_over_true)):
        localizer = Localizer(gallery, encoder, CONFIG)
        for second in range(40):  # and it is not forgotten
            fix = localizer.localize(replace(lie, stamp_s=float(second)))
            assert isinstance(fix, Fix), fix
            assert distance_m(fix.view, ground.frame.point(-30.0, 60.0)) < 5.0
            assert fix.reference is Reference.VIEW
            assert fix.position == fix.view
        told = re.search(r"the map shows the ground (\S+) times as large", localizer.conflict)
        assert told is not None
        assert float(told[1]) == pytest.approx(stated_over_true, rel=0.08)
        honest = replace(lie, stamp_s=50.0, height_m=None)
        localizer.localize(honest)
        assert localizer.conflict == ""  # without a height no size is wrong


def test_stamps_that_repeat_or_go_back_are_refused_until_reset(ground: Ground, localizer: Localizer) -> None:
    frame = ground.look(0.0, 0.0, NADIR, stamp_s=10.0)
    assert isinstance(localizer.localize(frame), Fix)
    for stamp_s in (10.0, 9.0, float("nan")):
        refused = localizer.localize(replace(frame, stamp_s=stamp_s))
        assert isinstance(refused, Rejection)
        assert refused.reason is Reason.STALE_FRAME
    localizer.reset()
    assert isinstance(localizer.localize(replace(frame, stamp_s=9.0)), Fix)


def test_a_prior_restricts_the_search(ground: Ground, localizer: Localizer) -> None:
    frame = ground.look(60.0, 60.0, NADIR)
    near = replace(frame, prior=Prior(ground.frame.point(50.0, 50.0), 20.0))
    assert isinstance(localizer.localize(near), Fix)
    localizer.reset()  # a track would contradict what follows
    elsewhere = replace(frame, stamp_s=2.0, prior=Prior(LatLon(47.5, 8.0), 20.0))
    refused = localizer.localize(elsewhere)
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.OUT_OF_MAP


def test_ground_that_is_not_in_the_map_is_refused(ground: Ground, localizer: Localizer) -> None:
    known = ground.look(0.0, 0.0, NADIR)
    stripes = np.zeros_like(known.image)
    stripes[::16] = 255
    refused = localizer.localize(replace(known, image=stripes))
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.LOW_SIMILARITY
    assert "nothing looks enough like it" in refused.detail
    assert refused.registrations is not None
    assert isinstance(localizer.localize(replace(known, stamp_s=2.0)), Fix)


def test_bad_frames_are_refused_with_their_reason(ground: Ground, localizer: Localizer) -> None:
    frame = ground.look(0.0, 0.0, NADIR)
    cases = {
        Reason.BAD_IMAGE: replace(frame, image=np.zeros_like(frame.image)),
        Reason.VIEW_INVALID: replace(frame, stamp_s=2.0, height_m=-1.0),
    }
    for reason, bad in cases.items():
        refused = localizer.localize(bad)
        assert isinstance(refused, Rejection)
        assert refused.reason is reason
        assert refused.detail


def test_settings_and_gallery_change_between_frames(
    ground: Ground, gallery: Gallery, localizer: Localizer
) -> None:
    frame = ground.look(0.0, 0.0, NADIR)
    assert isinstance(localizer.localize(frame), Fix)
    localizer.configure(with_values(CONFIG, {"gate.min_probability": 1.0}))
    refused = localizer.localize(replace(frame, stamp_s=2.0))
    assert isinstance(refused, Rejection)
    assert refused.reason is Reason.AMBIGUOUS
    localizer.replace_gallery(gallery)
    assert localizer.gallery is gallery


def test_a_gallery_that_is_replaced_is_let_go_at_once(
    ground: Ground, gallery: Gallery, localizer: Localizer
) -> None:
    """Without the garbage collector, which lets hundreds of megabytes gather before it comes to them."""
    localizer.replace_gallery(
        Gallery(gallery.info, gallery.rows, gallery.positions_m, replace(gallery.mosaic))
    )
    old = weakref.ref(localizer.gallery.mosaic)
    assert isinstance(localizer.localize(ground.look(0.0, 0.0, NADIR)), Fix)
    gc.disable()
    try:
        localizer.replace_gallery(gallery)
        assert old() is None
    finally:
        gc.enable()
