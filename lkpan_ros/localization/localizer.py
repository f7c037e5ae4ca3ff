"""A frame in, a fix or a refusal out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.background import Background
from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import RATE
from lkpan_ros.localization.decision import Decision
from lkpan_ros.localization.frozen_picture import FrozenPicture
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.measurement import measure
from lkpan_ros.localization.motion import Motion
from lkpan_ros.localization.prior_conflict import prior_conflict
from lkpan_ros.localization.refinement import Expected, make_refiner, turns_within
from lkpan_ros.localization.retrieval import about_hypotheses, joined
from lkpan_ros.localization.types import Reason, Refusal, Rejection, Timings
from lkpan_ros.localization.view import drawn_turn_deg, ground_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.belief import Belief, Evidence
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Fix, Frame, GroundView

_HEADINGS = 8  # tried where the heading is unknown
_TRACKED_MASS = 0.9  # from this on the heading that the track has is taken for granted
_TRACKED_TURN_DEG = 25.0
_EXPECTED_SIGMAS, _EXPECTED_M = 2.5, (4.0, 40.0)  # how far about an expected view it is sought
_CLEARER = 5.0  # times the evidence of the last look at the same ground
_FORGOTTEN_S = 60.0  # after that long the same picture is news


class Localizer:
    """Finds frames in a gallery, with what the frames before said.

    Args:
        gallery: Made with the same encoder.
        encoder: Turns patches into descriptors.
        config: Settings; those that may change at run time can be replaced by `configure`.
    """

    def __init__(self, gallery: Gallery, encoder: Encoder, config: LocalizerConfig) -> None:
        self._encoder = encoder
        self._config = config
        self.replace_gallery(gallery)

    @property
    def gallery(self) -> Gallery:
        """The gallery in use."""
        return self._gallery

    @property
    def config(self) -> LocalizerConfig:
        """The settings in use."""
        return self._config

    @property
    def belief(self) -> Belief:
        """What the frames so far say of the place."""
        return self._filter.belief

    @property
    def prior_conflict(self) -> str:
        """Why the prior of the last frame was not used; empty where it was, or there was none."""
        return self._prior_conflict

    def configure(self, config: LocalizerConfig) -> None:
        """Use other settings from the next frame on; what is believed is kept."""
        self._config = config
        self._filter.configure(config.filter)

    def replace_gallery(self, gallery: Gallery) -> None:
        """Use another gallery, made with the same encoder, from the next frame on; what was believed is forgotten."""
        self._gallery = gallery
        self._background = Background(gallery)
        self._refiner = make_refiner(gallery, self._config.refinement)
        self.reset()

    def reset(self) -> None:
        """Forget what earlier frames said; the next stamp may be any."""
        self._last_stamp_s = -math.inf
        self._filter = BayesFilter(self._config.filter)
        self._motion = Motion()
        self._frozen = FrozenPicture()
        self._prior_conflict = ""
        self._news: _News | None = None
        self._known: tuple[bool, bool] | None = None

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
        self._frozen.check(frame, self._filter.belief)
        self._motion.advance(self._filter, frame, config)
        views = self._views(frame)
        clock.lap("view_s")
        descriptors = self._encoder.encode([view.patch for view in views])
        clock.lap("encode_s")
        turns_deg = [drawn_turn_deg(view) for view in views]
        retrieved = gallery.search(
            descriptors, config.search.candidates, self._search_area(frame, views[0]), turns_deg=turns_deg
        )
        if len(retrieved.tile) == 0:
            raise Refusal(Reason.OUT_OF_MAP, "no tile of the gallery lies where the prior puts the view")
        expected = self._expected(views[0])
        places_m = np.array([(e.east_m, e.north_m) for e in expected]).reshape(-1, 2)
        tracked = about_hypotheses(gallery, descriptors, places_m, turns_deg)
        clock.lap("search_s")
        registrations = self._refiner.refine(
            views, joined(tracked, retrieved), self._turns_to_try(views), self._windows(), expected
        )
        clock.lap("refine_s")
        chance = self._background.chance(descriptors)
        evidence = measure(registrations, views, chance, gallery, config)
        said, news = self._unsaid(evidence, descriptors, frame.stamp_s)
        self._filter.update(said, gallery.covers, news=news)
        clock.lap("filter_s")
        decision = Decision(frame.stamp_s, gallery, config, views, retrieved, registrations, evidence.lever)
        outcome = decision.decide(self._filter.belief)
        clock.lap("decide_s")
        return outcome

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

    def _views(self, frame: Frame) -> list[GroundView]:
        """The patch; one for each heading it may have where the heading is unknown."""
        gallery, settings = self._gallery, self._config.view
        heading_known = frame.attitude is not None and frame.attitude.heading_deg is not None
        known = (heading_known, None not in (frame.intrinsics, frame.attitude, frame.height_m))
        if known != self._known:
            # Places of vehicles are no places of views, errors of headings are no headings.
            self._filter.reset()
            self._news, self._known = None, known
        headings = [0.0] if heading_known else self._headings()
        return [
            ground_patch(
                frame, gallery.tile_size_m, gallery.tile_px, settings, assumed_heading_deg=heading_deg
            )
            for heading_deg in headings
        ]

    def _headings(self) -> list[float]:
        belief = self._filter.belief
        if self._tracking() and belief.turn_sigma_deg[0] < _TRACKED_TURN_DEG:
            return [float(belief.turn_deg[0]) % 360.0]
        return [360.0 / _HEADINGS * k for k in range(_HEADINGS)]

    def _tracking(self) -> bool:
        belief = self._filter.belief
        return len(belief) > 0 and bool(belief.weight[0] > _TRACKED_MASS)

    def _windows(self) -> int:
        settings = self._config.refinement
        return min(settings.windows, settings.tracked_windows) if self._tracking() else settings.windows

    def _turns_to_try(self, views: Sequence[GroundView]) -> tuple[float, ...]:
        settings, belief = self._config.refinement, self._filter.belief
        if len(views) > 1:
            return turns_within(180.0 / _HEADINGS, settings.turn_step_deg)
        if not views[0].north_up and len(belief):
            return turns_within(2.0 * float(belief.turn_sigma_deg[0]), settings.turn_step_deg)
        if self._tracking():
            return turns_within(
                2.0 * float(belief.turn_sigma_deg[0]), settings.turn_step_deg, float(belief.turn_deg[0])
            )
        return turns_within(settings.turn_reach_deg, settings.turn_step_deg)

    def _expected(self, view: GroundView) -> list[Expected]:
        """Where the heaviest hypotheses put the middle of the view."""
        belief, lever = self._filter.belief, Lever.of(view)
        heaviest = belief.select(np.arange(min(len(belief), self._config.filter.expected_places)))
        middle_m = lever.view_m(heaviest.mean)
        spread_m2 = np.trace(lever.view_covariance_m2(heaviest.mean, heaviest.covariance), axis1=1, axis2=2)
        radius_m = np.clip(_EXPECTED_SIGMAS * np.sqrt(spread_m2 / 2.0), *_EXPECTED_M)
        return [
            Expected(float(east_m), float(north_m), float(reach_m))
            for (east_m, north_m), reach_m in zip(middle_m, radius_m, strict=True)
        ]

    def _search_area(self, frame: Frame, view: GroundView) -> tuple[float, float, float] | None:
        """East, north and radius in metres within which a prior puts the centre of the view."""
        offset_sigma_m = self._config.view.unknown_offset_m if view.offset_m is None else 0.0
        self._prior_conflict = prior_conflict(
            frame.prior, self._filter.belief, self._gallery.frame, self._config.gate.radius_m, offset_sigma_m
        )
        if frame.prior is None or self._prior_conflict:
            return None
        vehicle = self._gallery.frame.to_local(frame.prior.position.lat_deg, frame.prior.position.lon_deg)
        radius_m = frame.prior.radius_m + self._config.search.prior_margin_m
        if view.offset_m is None:
            radius_m += self._config.view.unknown_offset_m
        elif view.north_up:
            vehicle = vehicle + view.offset_m
        else:
            radius_m += float(np.linalg.norm(view.offset_m))
        return float(vehicle[0]), float(vehicle[1]), radius_m

    def _unsaid(
        self, evidence: Evidence, descriptors: NDArray[np.float32], stamp_s: float
    ) -> tuple[Evidence, bool]:
        """What a frame says that the last one that was news did not, and whether it says anything new.

        All that it says of other ground; of the same ground, seen far better, only what goes beyond the look before. In
        between, what a place owes to chance moves along with the view for as long as the old ground is in it.
        """
        before, belief, odds = self._news, self._filter.belief, float(evidence.odds.sum())
        if before is not None and stamp_s - before.stamp_s < _FORGOTTEN_S:
            # Over woods and fields the look may stay the same for long; then the way that was flown tells.
            speed_mps = float(np.hypot(*belief.mean[0, RATE])) if len(belief) else 0.0
            speed_mps = min(speed_mps, self._config.filter.max_speed_mps)
            moved = speed_mps * (stamp_s - before.stamp_s) >= self._gallery.tile_size_m
            fall = 1.0 - float((descriptors @ before.descriptors.T).max())
            if fall < self._config.filter.independent_view and not moved:
                if 1.0 + odds < _CLEARER * (1.0 + before.odds):
                    return evidence, False
                beyond = evidence.odds / (1.0 + before.odds)
                evidence = replace(evidence, odds=beyond, sought=np.ones_like(evidence.sought))
        self._news = _News(stamp_s, descriptors, odds)
        return evidence, True


@dataclass(frozen=True, eq=False)
class _News:
    """The last frame that was news: its stamp, descriptors and summed odds."""

    stamp_s: float
    descriptors: NDArray[np.float32]
    odds: float


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
