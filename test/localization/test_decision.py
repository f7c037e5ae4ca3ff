"""Fix or refusal, and of whom: from a belief that is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import HEIGHT, SensorErrors
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import GallerySettings, LocalizerConfig
from lkpan_ros.localization.decision import Decision
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.measurement import fit_sigma_m
from lkpan_ros.localization.settings import with_values
from lkpan_ros.localization.types import Fix, Reason, Reference, Registrations, Rejection
from test.localization.beliefs import believed, everywhere, evidence, pose_of
from test.localization.patches import TILE_PX, as_view, matches_at

if TYPE_CHECKING:
    from lkpan_ros.localization.belief import Belief
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import GroundView

CONFIG = LocalizerConfig(gallery=GallerySettings(map_sigma_m=0.0))
PATCH = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
NOTHING = Registrations(
    match=np.zeros(0, np.int64),
    view=np.zeros(0, np.int64),
    position_m=np.zeros((0, 2)),
    spread_m2=np.zeros((0, 2, 2)),
    turn_deg=np.zeros(0),
    scale=np.zeros(0),
    quality=np.zeros(0),
    similarity=np.zeros(0, np.float32),
    fitted=np.zeros(0, np.bool_),
    sought=np.zeros(0, np.bool_),
)


def view_under(tilt_deg: float = 0.0, heading_deg: float = 0.0, *, heading_known: bool = True) -> GroundView:
    pose = pose_of(Attitude(tilt_deg, heading_deg))
    return as_view(PATCH, heading_known=heading_known, pose=pose, offset_m=pose.offset_m())


def decide(
    gallery: Gallery, belief: Belief, view: GroundView | None = None, *, config: LocalizerConfig = CONFIG
) -> Fix | Rejection:
    view = view or view_under()
    matches = matches_at([(0.0, 0.0)])
    return Decision(5.0, gallery, config, [view], matches, NOTHING, Lever.of(view)).decide(belief)


def seen(view: GroundView, place_m: tuple[float, float] = (0.0, 0.0), **errors: float) -> Belief:
    """What is believed once a view was found at a place and nowhere else, by sensors that err by that much."""
    said = {"heading_deg": 5.0, "height_ratio": 0.05, "tilt_deg": 2.0, **errors}
    place = BayesFilter(CONFIG.filter)
    found = evidence((*place_m, 1e4), lever=Lever.of(view), errors=SensorErrors(**said))
    place.update(found, everywhere)
    return place.belief


def fixed(gallery: Gallery, belief: Belief, view: GroundView | None = None, **more: object) -> Fix:
    fix = decide(gallery, belief, view, **more)  # type: ignore[arg-type]
    assert isinstance(fix, Fix), fix
    return fix


@pytest.mark.parametrize(
    ("belief", "reason"),
    [
        (believed(), Reason.LOW_SIMILARITY),
        (believed((0.4, 0.0, 0.0)), Reason.LOW_SIMILARITY),
        (believed((0.49, 0.0, 0.0), (0.49, 100.0, 0.0)), Reason.AMBIGUOUS),
        (believed((0.8, 0.0, 0.0), (0.15, 100.0, 0.0)), Reason.AMBIGUOUS),
        (believed((0.99, 0.0, 0.0), sigma_m=30.0), Reason.UNCERTAIN),
        (believed((0.99, 1000.0, 0.0)), Reason.OUT_OF_MAP),
    ],
)
def test_each_doubt_has_its_reason(plain_gallery: Gallery, belief: Belief, reason: Reason) -> None:
    refused = decide(plain_gallery, belief)
    assert isinstance(refused, Rejection)
    assert refused.reason is reason
    assert refused.detail
    assert refused.stamp_s == 5.0
    assert refused.matches is not None
    assert refused.registrations is NOTHING
    assert refused.probability is not None
    if reason is not Reason.OUT_OF_MAP:
        assert refused.probability < CONFIG.gate.min_probability


@given(st.sampled_from(["weight", "mean", "covariance"]))
def test_what_is_no_number_is_no_fix(plain_gallery: Gallery, broken: str) -> None:
    belief = believed((0.99, 0.0, 0.0))
    belief = replace(belief, **{broken: np.full_like(getattr(belief, broken), np.nan)})
    with np.errstate(invalid="ignore"):
        assert not isinstance(decide(plain_gallery, belief), Fix)


def test_a_known_place_is_stated_with_its_probability(plain_gallery: Gallery) -> None:
    fix = fixed(plain_gallery, believed((0.98, 40.0, -30.0), (0.01, 200.0, 0.0), sigma_m=3.0))
    assert fix.reference is Reference.VEHICLE
    assert np.allclose(plain_gallery.frame.to_local(*vars(fix.position).values()), (40.0, -30.0), atol=1e-3)
    assert 0.9 < fix.probability <= 0.98
    assert fix.stamp_s == 5.0


def test_a_track_that_is_surer_than_a_fit_is_not_stated_so(plain_gallery: Gallery) -> None:
    fix = fixed(plain_gallery, believed((0.99, 0.0, 0.0), sigma_m=0.01))
    floor_m2 = fit_sigma_m(plain_gallery, CONFIG) ** 2
    assert np.linalg.eigvalsh(fix.view_covariance_m2).min() >= floor_m2
    assert np.linalg.eigvalsh(fix.covariance_m2).min() >= floor_m2


@given(st.floats(0, 35), st.floats(0, 359), st.floats(-10, 10))
def test_the_view_lies_ahead_by_what_the_track_knows_of_the_heading(
    plain_gallery: Gallery, tilt: float, heading: float, turn: float
) -> None:
    """No registration supports the place: the way to the view is by the sensors and the track's turn."""
    track = believed((0.99, 0.0, 0.0, turn), sigma_m=2.0)
    fix = fixed(plain_gallery, track, view_under(tilt, heading))
    assert fix.reference is Reference.VEHICLE
    ahead_m, azimuth = 100.0 * np.tan(np.radians(tilt)), np.radians(heading + turn)
    seen_m = plain_gallery.frame.to_local(fix.view.lat_deg, fix.view.lon_deg)
    assert np.allclose(seen_m, (ahead_m * np.sin(azimuth), ahead_m * np.cos(azimuth)), atol=1e-3)
    assert fix.heading_deg == pytest.approx((heading + turn) % 360.0)


@given(st.floats(0, 40), st.floats(0, 359))
def test_where_a_view_was_found_the_vehicle_is_less_sure(
    plain_gallery: Gallery, tilt: float, heading: float
) -> None:
    """By what the way to it may be wrong, which does not blur the view itself."""
    view = view_under(tilt, heading)
    fix = fixed(plain_gallery, seen(view), view)
    assert fix.reference is Reference.VEHICLE
    seen_m = plain_gallery.frame.to_local(fix.view.lat_deg, fix.view.lon_deg)
    assert np.allclose(seen_m, (0.0, 0.0), atol=1e-3)
    vehicle_m = plain_gallery.frame.to_local(fix.position.lat_deg, fix.position.lon_deg)
    assert view.offset_m is not None
    assert np.allclose(vehicle_m, -view.offset_m, atol=1e-3)
    assert np.allclose(fix.view_covariance_m2, np.eye(2) * 4.0, atol=1e-6)
    lean_m = 100.0 * np.radians(2.0)  # straight down, a tilt of 2 degrees
    assert np.linalg.eigvalsh(fix.covariance_m2 - fix.view_covariance_m2).min() >= 0.99 * lean_m**2


def test_vehicles_that_their_tilt_alone_parts_share_a_view(plain_gallery: Gallery) -> None:
    view, pitch_deg = view_under(45.0), 12.0
    lever = Lever.of(view)
    back_m = -pitch_deg * lever.per_tilt_m[0]
    assert np.hypot(*back_m) > CONFIG.gate.radius_m
    belief = believed((0.5, 0.0, 0.0), (0.49, *back_m), sigma_m=2.0, tilt_sigma_deg=0.1)
    belief.mean[1, 6] = pitch_deg
    fix = fixed(plain_gallery, belief, view)
    assert fix.reference is Reference.VIEW
    assert fix.probability > CONFIG.gate.min_probability
    seen_m = plain_gallery.frame.to_local(fix.view.lat_deg, fix.view.lon_deg)
    assert np.allclose(seen_m, lever.ahead_m, atol=0.5)


@pytest.mark.parametrize(("height", "reference"), [(0.1, Reference.VEHICLE), (-0.25, Reference.VIEW)])
def test_where_the_map_contradicts_the_height_the_vehicle_is_not_stated(
    plain_gallery: Gallery, height: float, reference: Reference
) -> None:
    belief = believed((0.99, 0.0, 0.0), sigma_m=2.0, height_sigma=0.02)
    belief.mean[0, HEIGHT] = height
    fix = fixed(plain_gallery, belief, view_under(45.0))
    assert fix.reference is reference
    if reference is Reference.VIEW:  # as unsure as the way from the vehicle is long
        assert np.linalg.eigvalsh(fix.covariance_m2).min() > 100.0**2


def test_the_error_of_the_maps_own_position_is_part_of_what_is_stated(plain_gallery: Gallery) -> None:
    belief = seen(view_under())
    exact = fixed(plain_gallery, belief)
    placed = fixed(plain_gallery, belief, config=replace(CONFIG, gallery=GallerySettings(map_sigma_m=3.0)))
    for of in ("covariance_m2", "view_covariance_m2"):
        assert np.allclose(getattr(placed, of), getattr(exact, of) + 9.0 * np.eye(2))
    assert placed.probability < exact.probability
    nobody_knows = replace(CONFIG, gallery=GallerySettings(map_sigma_m=100.0))
    assert isinstance(decide(plain_gallery, belief, config=nobody_knows), Rejection)


def test_without_a_heading_the_tracks_heading_points_to_the_view(plain_gallery: Gallery) -> None:
    view = view_under(25.0, 45.0, heading_known=False)  # drawn as if it headed to the north-east
    fix = fixed(plain_gallery, believed((0.99, 0.0, 0.0, 90.0), sigma_m=2.0), view)
    seen_m = plain_gallery.frame.to_local(fix.view.lat_deg, fix.view.lon_deg)
    assert np.allclose(seen_m, (100.0 * np.tan(np.radians(25.0)), 0.0), atol=1e-3)
    assert fix.heading_deg == pytest.approx(90.0)


def test_a_vehicle_that_cannot_be_placed_is_not_stated_but_its_view(plain_gallery: Gallery) -> None:
    view = view_under(30.0)
    fix = fixed(plain_gallery, seen(view, tilt_deg=15.0), view)
    assert fix.reference is Reference.VIEW
    assert fix.position == fix.view
    ahead_m = 100.0 * np.tan(np.radians(30.0))
    assert np.linalg.eigvalsh(fix.covariance_m2).min() > ahead_m**2
    assert np.trace(fix.view_covariance_m2) < 30.0**2


def test_unknown_geometry_widens_the_position_and_not_the_view(plain_gallery: Gallery) -> None:
    fix = fixed(plain_gallery, believed((0.99, 0.0, 0.0), sigma_m=2.0), as_view(PATCH, offset_m=None))
    assert fix.reference is Reference.VIEW
    assert fix.position == fix.view
    extra = fix.covariance_m2 - fix.view_covariance_m2
    assert np.allclose(extra, np.eye(2) * CONFIG.view.unknown_offset_m**2)


@given(st.floats(0.001, 1.0), st.floats(1.0, 60.0), st.floats(0.01, 1.0))
def test_nothing_less_probable_than_the_gate_is_stated(
    plain_gallery: Gallery, weight: float, sigma_m: float, needed: float
) -> None:
    config = with_values(CONFIG, {"gate.min_probability": needed})
    outcome = decide(plain_gallery, believed((weight, 0.0, 0.0), sigma_m=sigma_m), config=config)
    assert outcome.probability is not None
    assert isinstance(outcome, Fix) == (outcome.probability >= needed)
