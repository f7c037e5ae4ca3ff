"""A frame in, a fix or a refusal out."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.integrity import Place, most_probable_place, probability_within
from lkpan_ros.localization.types import Fix, Reason, Reference, Refusal, Rejection, Timings
from lkpan_ros.localization.view import ground_patch, quarter_turn, quarter_turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Frame, GroundView, Matches


class Localizer:
    """Finds frames in a gallery.

    Args:
        gallery: Made with the same encoder.
        encoder: Turns patches into descriptors.
        config: Settings; those that may change at run time can be replaced by `configure`.
    """

    def __init__(self, gallery: Gallery, encoder: Encoder, config: LocalizerConfig) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._config = config
        self._last_stamp_s = -math.inf

    @property
    def gallery(self) -> Gallery:
        """The gallery in use."""
        return self._gallery

    @property
    def config(self) -> LocalizerConfig:
        """The settings in use."""
        return self._config

    def configure(self, config: LocalizerConfig) -> None:
        """Use other settings from the next frame on."""
        self._config = config

    def replace_gallery(self, gallery: Gallery) -> None:
        """Use another gallery, made with the same encoder, from the next frame on."""
        self._gallery = gallery

    def reset(self) -> None:
        """Forget what earlier frames said; the next stamp may be any."""
        self._last_stamp_s = -math.inf

    def localize(self, frame: Frame) -> Fix | Rejection:
        """Find where a frame was taken. A frame that yields no fix yields the reason; nothing is raised for it."""
        clock = _Clock()
        try:
            return replace(self._locate(frame, clock), timings=clock.timings())
        except Refusal as refusal:
            return Rejection(frame.stamp_s, refusal.reason, refusal.detail, timings=clock.timings())

    def _locate(self, frame: Frame, clock: _Clock) -> Fix | Rejection:
        gallery, config = self._gallery, self._config
        self._check_stamp(frame.stamp_s)
        view = ground_patch(frame, gallery.tile_size_m, gallery.tile_px, config.view)
        clock.lap("view_s")
        descriptors = self._encoder.encode(quarter_turns(view))
        clock.lap("encode_s")
        matches = gallery.search(
            descriptors, config.search.candidates, self._search_area(frame, view, gallery)
        )
        clock.lap("search_s")
        decision = self._decide(frame, view, matches, gallery)
        clock.lap("decide_s")
        return decision

    def _check_stamp(self, stamp_s: float) -> None:
        if not math.isfinite(stamp_s):
            raise Refusal(Reason.STALE_FRAME, f"the stamp {stamp_s} is no time")
        if stamp_s <= self._last_stamp_s:
            raise Refusal(
                Reason.STALE_FRAME,
                f"stamp {stamp_s:.3f} s is not after the last one, {self._last_stamp_s:.3f} s; "
                "after a jump of the clock call the reset service",
            )
        self._last_stamp_s = stamp_s

    def _search_area(
        self, frame: Frame, view: GroundView, gallery: Gallery
    ) -> tuple[float, float, float] | None:
        """East, north and radius in metres within which a prior puts the centre of the view."""
        if frame.prior is None:
            return None
        vehicle = gallery.frame.to_local(frame.prior.position.lat_deg, frame.prior.position.lon_deg)
        radius_m = frame.prior.radius_m + self._config.search.prior_margin_m
        if view.offset_m is None:
            radius_m += self._config.view.unknown_offset_m
        elif view.north_up:
            vehicle = vehicle + view.offset_m
        else:
            radius_m += float(np.linalg.norm(view.offset_m))
        return float(vehicle[0]), float(vehicle[1]), radius_m

    def _decide(self, frame: Frame, view: GroundView, matches: Matches, gallery: Gallery) -> Fix | Rejection:
        gate = self._config.gate
        if len(matches.tile) == 0:
            raise Refusal(Reason.OUT_OF_MAP, "no tile of the gallery lies where the prior puts the view")
        place = most_probable_place(matches, self._config.similarity, gate.radius_m, gallery.stride_m)
        view_probability = place.mass * probability_within(place.covariance_m2, gate.radius_m)
        sure = view_probability >= gate.min_probability  # asked this way round, NaN is not sure
        if not sure:
            return _rejection(frame.stamp_s, place, view_probability, matches, gate.min_probability)
        return self._fix(frame.stamp_s, view, place, view_probability, matches, gallery)

    def _fix(
        self,
        stamp_s: float,
        view: GroundView,
        place: Place,
        view_probability: float,
        matches: Matches,
        gallery: Gallery,
    ) -> Fix:
        """The vehicle's position where the view's geometry gives it well enough, else the view's."""
        gate, seen = self._config.gate, gallery.frame.point(*place.position_m)
        fix = Fix(
            stamp_s=stamp_s,
            position=seen,
            covariance_m2=place.covariance_m2,
            reference=Reference.VIEW,
            view=seen,
            view_covariance_m2=place.covariance_m2,
            probability=view_probability,
            matches=matches,
        )
        if view.offset_m is None:
            return replace(
                fix, covariance_m2=_widened(place.covariance_m2, self._config.view.unknown_offset_m)
            )
        turn = quarter_turn(place.rotation)
        covariance = place.covariance_m2 + turn @ view.offset_covariance_m2 @ turn.T
        probability = place.mass * probability_within(covariance, gate.radius_m)
        sure = probability >= gate.min_probability
        if not sure:
            return replace(fix, covariance_m2=_widened(covariance, float(np.linalg.norm(view.offset_m))))
        vehicle = place.position_m - turn @ view.offset_m
        return replace(
            fix,
            position=gallery.frame.point(*vehicle),
            covariance_m2=covariance,
            reference=Reference.VEHICLE,
            probability=probability,
        )


def _widened(covariance_m2: NDArray[np.float64], offset_m: float) -> NDArray[np.float64]:
    """The covariance of a view's position when it stands for a vehicle about `offset_m` away from it."""
    return covariance_m2 + np.eye(2) * offset_m**2


def _rejection(
    stamp_s: float, place: Place, probability: float, matches: Matches, needed: float
) -> Rejection:
    """Why the most probable place is not good enough."""
    numbers = (
        f"best place {place.mass:.2f}, next {place.runner_up:.2f}, none of the gallery {place.none_of_these:.2f}, "
        f"best similarity {matches.similarity[0]:.3f}, gate.min_probability {needed:g}"
    )
    if place.none_of_these >= max(place.mass, place.runner_up):
        return Rejection(
            stamp_s, Reason.LOW_SIMILARITY, f"nothing looks enough like it: {numbers}", probability, matches
        )
    return Rejection(
        stamp_s, Reason.AMBIGUOUS, f"several places look like it: {numbers}", probability, matches
    )


class _Clock:
    """Measures the stages of one frame; an interrupted stage counts up to the interruption."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = now - self._last
        self._last = now

    def timings(self) -> Timings:
        return Timings(**self._laps)
