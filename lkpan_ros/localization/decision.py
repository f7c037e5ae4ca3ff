"""Fix or no fix: the vehicle's position where the view's geometry gives it well enough, else the view's, else why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import PLACE, TURN
from lkpan_ros.localization.conflicts import contradicts_height
from lkpan_ros.localization.integrity import (
    most_probable_place,
    not_below,
    probability_within,
    refusal_reason,
)
from lkpan_ros.localization.measurement import fit_sigma_m
from lkpan_ros.localization.types import Fix, Reason, Reference, Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.integrity import Place
    from lkpan_ros.localization.lever import Lever
    from lkpan_ros.localization.types import GroundView, Matches, Registrations

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Decision:
    """All that a frame's outcome is made of.

    Attributes:
        stamp_s: Capture time of the frame, seconds.
        gallery: That was searched.
        config: Of the localizer.
        views: Of the frame, one for each heading it may have.
        matches: The gallery's best tiles.
        registrations: Of the views around the best of them.
        lever: From the vehicle to its view.
    """

    stamp_s: float
    gallery: Gallery
    config: LocalizerConfig
    views: Sequence[GroundView]
    matches: Matches
    registrations: Registrations
    lever: Lever

    def decide(self, belief: Belief) -> Fix | Rejection:
        """A fix if the view lies within `gate.radius_m` of where it is stated with `gate.min_probability`."""
        gate = self.config.gate
        seen = most_probable_place(self.lever.seen(belief), gate.radius_m)
        if seen is None:
            return self._refused(None, 0.0, 0.0)
        covariance_m2, probability = self._stated(seen)
        sure = probability >= gate.min_probability  # asked this way round, NaN is not sure
        if not sure:
            return self._refused(seen, probability, float(np.sqrt(np.trace(covariance_m2))))
        if not self.gallery.covers(seen.mean[None, PLACE])[0]:
            detail = "the track leaves the gallery: the view shows ground that is not in it"
            return self._rejection(Reason.OUT_OF_MAP, detail, probability)
        point = self.gallery.frame.point(*seen.mean[PLACE])
        fix = Fix(
            stamp_s=self.stamp_s,
            position=point,
            covariance_m2=covariance_m2,
            reference=Reference.VIEW,
            view=point,
            view_covariance_m2=covariance_m2,
            probability=probability,
            matches=self.matches,
            heading_deg=self._heading_deg(seen),
            registrations=self.registrations,
        )
        return self._of_the_vehicle(fix, belief)

    def _of_the_vehicle(self, fix: Fix, belief: Belief) -> Fix:
        """A view's fix made the vehicle's where that is sure, else with the covariance of what stands for the vehicle."""
        gate, offset_m = self.config.gate, self.views[0].offset_m
        if offset_m is None:
            return replace(fix, covariance_m2=_widened(fix.covariance_m2, self.config.view.unknown_offset_m))
        place = most_probable_place(belief, gate.radius_m)
        assert place is not None
        covariance_m2, probability = self._stated(place)
        sure = probability >= gate.min_probability
        if not sure or contradicts_height(place, self.lever, self.config):
            return replace(fix, covariance_m2=_widened(covariance_m2, float(np.linalg.norm(offset_m))))
        return replace(
            fix,
            position=self.gallery.frame.point(*place.mean[PLACE]),
            covariance_m2=covariance_m2,
            reference=Reference.VEHICLE,
            probability=probability,
        )

    def _stated(self, place: Place) -> tuple[Array, float]:
        """A place's covariance on the earth, and the probability that it is right within the gate's radius."""
        # Errors of neighbouring fits go together (walls that lean, shadows): averaging does not get below them.
        within_m2 = not_below(place.covariance[PLACE, PLACE], fit_sigma_m(self.gallery, self.config))
        # No frame tells how the map lies on the earth.
        covariance_m2 = _widened(within_m2, self.config.gallery.map_sigma_m)
        return covariance_m2, place.mass * probability_within(covariance_m2, self.config.gate.radius_m)

    def _heading_deg(self, place: Place) -> float:
        view = self.views[0]
        sensed_deg = (view.pose.attitude.heading_deg or 0.0) - view.turn_deg
        return (sensed_deg + float(place.mean[TURN])) % 360.0

    def _refused(self, place: Place | None, probability: float, spread_m: float) -> Rejection:
        needed = self.config.gate.min_probability
        reason = refusal_reason(place, needed)
        quality = self.registrations.quality.max(initial=0.0)
        numbers = f"best similarity {self.matches.similarity[0]:.3f}, best fit {quality:.3f}"
        if place is not None:
            numbers = (
                f"best place {place.mass:.2f} within {spread_m:.0f} m, next {place.runner_up:.2f}, elsewhere "
                f"{place.elsewhere:.2f}, gate.min_probability {needed:g}, {numbers}"
            )
        return self._rejection(reason, f"{_WORDS[reason]}: {numbers}", probability)

    def _rejection(self, reason: Reason, detail: str, probability: float) -> Rejection:
        return Rejection(self.stamp_s, reason, detail, probability, self.matches, self.registrations)


_WORDS = {
    Reason.LOW_SIMILARITY: "nothing looks enough like it",
    Reason.AMBIGUOUS: "several places look like it",
    Reason.UNCERTAIN: "the place is known too vaguely",
}


def _widened(covariance_m2: Array, offset_m: float) -> Array:
    """The covariance of a position that stands for one about `offset_m` away from it, on each axis."""
    return covariance_m2 + np.eye(2) * offset_m**2
