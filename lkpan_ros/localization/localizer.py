"""A frame in, a fix or a refusal out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.background import Background
from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import RATE
from lkpan_ros.localization.conflicts import height_conflict, prior_conflict
from lkpan_ros.localization.decision import Decision
from lkpan_ros.localization.frozen_picture import FrozenPicture
from lkpan_ros.localization.headings import Headings, is_tracked, turns_to_try
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.measurement import measure
from lkpan_ros.localization.motion import Motion
from lkpan_ros.localization.refinement import Expected, make_refiner
from lkpan_ros.localization.retrieval import about_hypotheses, joined
from lkpan_ros.localization.types import Reason, Refusal, Rejection, Timings
from lkpan_ros.localization.view import ground_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.belief import Belief, Evidence
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Fix, Frame, GroundView

_EXPECTED_SIGMAS, _EXPECTED_M = 2.5, (4.0, 40.0)  # how far about an expected view it is sought
_NEW_GROUND = 0.5  # a view that shows less of it says little new
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
    def conflict(self) -> str:
        """What the pictures contradict: the prior of the last frame, height and focal length; empty: nothing."""
        return "; ".join(text for text in (self._prior_conflict, self._height_conflict) if text)

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
        self._prior_conflict = self._height_conflict = ""
        self._news: _News | None = None
        self._headings = Headings()
        self._placed: bool | None = None

    def localize(self, frame: Frame) -> Fix | Rejection:
        """Find where a frame was taken. A frame that yields no fix yields the reason; nothing is raised for it."""
        clock = _Clock()
        try:
            return replace(self._locate(frame, clock), timings=clock.timings())
        except Refusal as refusal:
            return Rejection(frame.stamp_s, refusal.reason, refusal.detail, timings=clock.timings())
        except GalleryError as error:  # what is read of a mapped file is verified now
            return Rejection(frame.stamp_s, Reason.INTERNAL_ERROR, str(error), timings=clock.timings())

    def _locate(self, frame: Frame, clock: _Clock) -> Fix | Rejection:
        gallery, config = self._gallery, self._config
        self._check_stamp(frame.stamp_s)
        self._frozen.check(frame, self._filter.belief)
        self._motion.advance(self._filter, frame, config)
        views = self._views(frame)
        clock.lap("view_s")
        descriptors = self._encoder.encode([view.patch for view in views])
        clock.lap("encode_s")
        turns_deg = [view.turn_deg for view in views]
        retrieved = gallery.search(
            descriptors, config.search.candidates, self._search_area(frame, views), turns_deg=turns_deg
        )
        if len(retrieved.tile) == 0:
            raise Refusal(Reason.OUT_OF_MAP, "no tile of the gallery lies where the prior puts the view")
        expected = self._expected(views[0])
        tracked = about_hypotheses(gallery, descriptors, expected, turns_deg)
        clock.lap("search_s")
        tries_deg = turns_to_try(views, self._filter.belief, config.refinement)
        registrations = self._refiner.refine(
            views, joined(tracked, retrieved), tries_deg, self._windows(), expected
        )
        clock.lap("refine_s")
        chance = self._background.chance(descriptors)
        evidence = measure(registrations, views, chance, gallery, config, tries_deg)
        said, news = self._unsaid(evidence, descriptors, frame.stamp_s)
        self._filter.update(said, gallery.covers, news=news)
        self._headings.looked(
            frame.stamp_s, self._filter.belief, len(views), sensed=frame.heading_deg is not None
        )
        clock.lap("filter_s")
        self._height_conflict = (
            height_conflict(self._filter.belief, evidence.lever, config) if self._placed else ""
        )
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
        """The patch; one for each heading that it may have."""
        gallery, settings = self._gallery, self._config.view
        placed = None not in (frame.intrinsics, frame.attitude, frame.height_m)
        if placed != self._placed:  # places of vehicles are no places of views
            self._filter.reset()
            self._news, self._placed = None, placed
        turns_deg = self._headings.turns_deg(
            frame.stamp_s, self._filter.belief, self._config.refinement, sensed=frame.heading_deg is not None
        )
        return [
            ground_patch(frame, gallery.tile_size_m, gallery.tile_px, settings, turn_deg=turn_deg)
            for turn_deg in turns_deg
        ]

    def _windows(self) -> int:
        settings = self._config.refinement
        return (
            min(settings.windows, settings.tracked_windows)
            if is_tracked(self._filter.belief)
            else settings.windows
        )

    def _expected(self, view: GroundView) -> list[Expected]:
        """Where the heaviest hypotheses put the middle of the view."""
        belief, lever = self._filter.belief, Lever.of(view)
        heaviest = belief.select(np.arange(min(len(belief), self._config.filter.expected_places)))
        middle_m = lever.view_m(heaviest.mean)
        spread_m2 = np.trace(lever.view_covariance_m2(heaviest.mean, heaviest.covariance), axis1=1, axis2=2)
        radius_m = np.clip(_EXPECTED_SIGMAS * np.sqrt(spread_m2 / 2.0), *_EXPECTED_M)
        return [
            Expected(*map(float, (east_m, north_m, reach_m, turn_deg)))
            for (east_m, north_m), reach_m, turn_deg in zip(
                middle_m, radius_m, heaviest.turn_deg, strict=True
            )
        ]

    def _search_area(self, frame: Frame, views: Sequence[GroundView]) -> tuple[float, float, float] | None:
        """East, north and radius in metres within which a prior puts the centre of the view."""
        view = views[0]
        offset_sigma_m = self._config.view.unknown_offset_m if view.offset_m is None else 0.0
        # Of a wrong height or focal length the vehicle is not where it is believed to be.
        if view.offset_m is not None and self._height_conflict:
            offset_sigma_m = float(np.linalg.norm(view.offset_m))
        self._prior_conflict = prior_conflict(
            frame.prior, self._filter.belief, self._gallery.frame, self._config.gate.radius_m, offset_sigma_m
        )
        if frame.prior is None or self._prior_conflict:
            return None
        vehicle = self._gallery.frame.to_local(frame.prior.position.lat_deg, frame.prior.position.lon_deg)
        radius_m = frame.prior.radius_m + self._config.search.prior_margin_m
        if view.offset_m is None:
            radius_m += self._config.view.unknown_offset_m
        elif view.heading_known and len(views) == 1:
            vehicle = vehicle + view.offset_m
        else:
            radius_m += float(np.linalg.norm(view.offset_m))
        return float(vehicle[0]), float(vehicle[1]), radius_m

    def _unsaid(
        self, evidence: Evidence, descriptors: NDArray[np.float32], stamp_s: float
    ) -> tuple[Evidence, float]:
        """What a frame says that the last one that was news did not, and how much of it is news, 0 to 1.

        All that it says of other ground; half and more where that much of the ground is new; of the same ground, seen
        far better, only what goes beyond the look before. In between, what a place owes to chance moves along with the
        view for as long as the old ground is in it.
        """
        before, belief = self._news, self._filter.belief
        odds = float((evidence.odds * evidence.prior).sum())
        if before is not None and stamp_s - before.stamp_s < _FORGOTTEN_S:
            # Over woods and fields the look may stay the same for long; then the way that was flown tells.
            speed_mps = float(np.hypot(*belief.mean[0, RATE])) if len(belief) else 0.0
            speed_mps = min(speed_mps, self._config.filter.max_speed_mps)
            new = min(1.0, speed_mps * (stamp_s - before.stamp_s) / self._gallery.tile_size_m)
            fall = 1.0 - float((descriptors @ before.descriptors.T).max())
            if fall >= self._config.filter.independent_view:
                new = 1.0
            if new < _NEW_GROUND:
                if 1.0 + odds < _CLEARER * (1.0 + before.odds):
                    return evidence, 0.0
                beyond = evidence.odds / (1.0 + before.odds)
                evidence = replace(evidence, odds=beyond, sought=np.ones_like(evidence.sought))
                new = 1.0
            self._news = _News(stamp_s, descriptors, odds)
            return evidence, new
        self._news = _News(stamp_s, descriptors, odds)
        return evidence, 1.0


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
