"""A Bayes filter over place: where the vehicle may be, from what each frame says and how a vehicle can move.

The posterior is a set of hypotheses (Gaussians over position, velocity and the errors of the sensors that the way from
the vehicle to its view depends on) and the mass that is elsewhere: anywhere on the map, or off it. It does not grow
with the map. Evidence arrives as places of the view, each with the odds that it lies there rather than at none of them
before anything else is known, which is what the calibration fits. From what is elsewhere on the map, places are born in
proportion to their odds; a hypothesis is upheld by the odds of the places that it expects, and falls where the map is
seen and it is upheld by none. The longer nothing is found, the more of what is elsewhere is off the map: one look in a
hundred or two finds a place there that is none, and a flight off the map takes many.

What two frames show of the same ground is the same thing said twice, and hypotheses follow what is found from frame to
frame, right or wrong. So only frames that are news weigh hypotheses against what is elsewhere; those between hold them
where they are seen, and sift out which of them was mistaken for the track. Time is passed in.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import NEW_TRACK, PLACE, TURN, Belief, Evidence, SensorErrors, moments
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.kalman import (
    LEAST_WEIGHT,
    born_of,
    corrected_by,
    displaced,
    drifted,
    likelihoods,
    looked_at,
    wandered,
    with_heading,
    with_recovery,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import FilterSettings

    Array = NDArray[np.float64]

_KEPT = 48  # hypotheses
_SAME_M = 4.0  # hypotheses nearer than this, and alike in heading, are one
_SAME_TURN_DEG = 15.0
_HELD_M, _PARTED_M = 20.0, 50.0
_ON_MAP = 0.9  # where nothing is known, a vehicle is so probably over the map: the odds reckon with it
_RETURN_S = 30.0  # so long one stays off it
_DISSOLVED_M = 400.0  # a hypothesis that is vaguer than this says nothing


class BayesFilter:
    """Keeps a belief up to date. The same inputs give the same belief.

    Args:
        settings: Speed, losses and trust.
    """

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self.belief = Belief.nothing()
        self._unseen_s = 0.0
        self._tracks = 0
        self._on_map = _ON_MAP  # of what is elsewhere

    def configure(self, settings: FilterSettings) -> None:
        """Use other settings from now on; what is believed is kept."""
        self._settings = settings

    def reset(self) -> None:
        """Forget everything."""
        self.belief, self._unseen_s, self._on_map = Belief.nothing(), 0.0, _ON_MAP

    def predict(
        self,
        elapsed_s: float,
        errors: SensorErrors,
        *,
        displacement_m: Array | None = None,
        displacement_sigma_m: float = 0.0,
        turn_deg: float = 0.0,
        turn_sigma_deg: Array | float = 0.0,
    ) -> None:
        """Let time pass.

        Args:
            elapsed_s: Since the last prediction, 0 or more.
            errors: Of the sensors, which drift.
            displacement_m: (2,) or (K, 2) east and north by odometry, in metres; None: unknown.
            displacement_sigma_m: Of it, on each axis.
            turn_deg: Added to what the hypotheses say of the heading.
            turn_sigma_deg: By how much the heading's error (or the unknown heading) may have changed; one or (K,).
        """
        belief = self.belief
        if elapsed_s > 0.0:
            self._on_map = _ON_MAP + (self._on_map - _ON_MAP) * math.exp(-elapsed_s / _RETURN_S)
        if len(belief) == 0 or elapsed_s <= 0.0:
            return
        if displacement_m is None:
            mean, covariance = wandered(belief, elapsed_s, self._settings)
        else:
            mean, covariance = displaced(belief, elapsed_s, displacement_m, displacement_sigma_m)
        mean, covariance = drifted(mean, covariance, elapsed_s, errors)
        mean[:, TURN] = wrap_degrees(mean[:, TURN] + turn_deg)
        covariance[:, TURN, TURN] += np.square(turn_sigma_deg)
        self._unseen_s += elapsed_s
        moved = replace(belief, mean=mean, covariance=covariance)
        vague = covariance[:, 0, 0] + covariance[:, 1, 1] > _DISSOLVED_M**2
        self.belief = moved.select(np.flatnonzero(~vague))

    def let_compass_recover(self, share: float, errors: SensorErrors) -> None:
        """Reckon with a sensed heading that is far off being right again.

        Args:
            share: How probably it is.
            errors: Of the sensors, among them that heading.
        """
        assert errors.heading_deg is not None
        split = with_recovery(self.belief, share, errors.heading_deg)
        if len(split) > len(self.belief):
            self.belief = _pruned(split)

    def hear_heading(self, errors: SensorErrors) -> None:
        """Take in that a heading is sensed again, against which the hypotheses' turns are errors of it.

        Args:
            errors: Of the sensors, among them that heading.
        """
        assert errors.heading_deg is not None
        self.belief = with_heading(self.belief, errors.heading_deg)

    def update(
        self, evidence: Evidence, on_map: Callable[[Array], NDArray[np.bool_]], *, news: float = 1.0
    ) -> None:
        """Take in a frame.

        Args:
            evidence: What it says.
            on_map: Of (K, 2) views of the hypotheses, whether they would show the map: there silence speaks against them.
            news: The share of it that the frames before did not say, 0 to 1. Where 0 it makes none more probable against
                elsewhere, but a vehicle is still held where it is seen.
        """
        belief = self.belief
        seen = on_map(evidence.lever.view_m(belief.mean)) & looked_at(belief, evidence)
        silent = np.where(seen, self._settings.miss_probability, 1.0)
        gain = likelihoods(belief, evidence, self._settings.upholding)  # K x N
        seen_m2 = evidence.lever.view_covariance_m2(belief.mean, belief.covariance)
        vague = np.trace(seen_m2, axis1=1, axis2=2) > _HELD_M**2
        if news <= 0.0:  # what is vague is not found by the same doubtful look twice
            gain[np.ix_(vague, evidence.odds < 1.0)] = 0.0
        support = silent + gain.sum(axis=1)
        share = gain / support[:, None]
        held = share.sum(axis=1)
        kept, elsewhere = self._unlost(held)
        silence = self._settings.miss_probability
        if news > 0.0:
            grown = kept * support**news
            places = elsewhere * min(1.0, self._on_map / _ON_MAP) * np.minimum(evidence.prior, 1.0)
            births = places * self._partly(evidence.odds * np.maximum(evidence.prior, 1.0), news)
            missed = self._on_map * silence**news
            self._on_map = missed / (missed + 1.0 - self._on_map)
        else:
            grown = _sifted(kept, held, belief.track, silence)
            births = np.zeros_like(evidence.odds)
        scattered = replace(belief, track=np.where(vague, NEW_TRACK, belief.track))
        children = _concatenated(
            replace(belief, weight=grown * (1.0 - share.sum(axis=1))),
            corrected_by(scattered, evidence, grown[:, None] * share),
            born_of(evidence, births, self._settings.max_speed_mps),
        )
        self.belief = self._numbered(_pruned(_normalised(children, elsewhere)))

    def _partly(self, odds: Array, share: float) -> Array:
        """Odds of (N,) places, each against none, by a share of what a frame says.

        What the frame says stands in the odds beside how improbable any one place is; of a place that is expected, the
        first alone counts, which is `upholding` times as much.
        """
        said: Array = odds**share * max(self._settings.upholding, 1.0) ** (share - 1.0)
        return np.minimum(odds, said)

    def _numbered(self, belief: Belief) -> Belief:
        """With a number of its own for each new track, and for what has parted from its track's heaviest."""
        track, first, of = np.unique(belief.track, return_index=True, return_inverse=True)
        apart_m = np.hypot(*(belief.mean[:, PLACE] - belief.mean[first[of], PLACE]).T)
        new = np.flatnonzero((belief.track == NEW_TRACK) | (apart_m > _PARTED_M))
        track = track[of]
        track[new] = self._tracks + np.arange(len(new))
        self._tracks += len(new)
        return replace(belief, track=track)

    def _unlost(self, held: Array) -> tuple[Array, float]:
        """Weights once some hypotheses may have lost the vehicle since the last frame, and what is elsewhere then.

        Args:
            held: (K,) of 0..1, how surely each is found again where it was expected: such a one has lost nothing.
        """
        lost = -math.expm1(-self._unseen_s * self._settings.loss_rate_per_s) * (1.0 - held)
        self._unseen_s = 0.0
        kept: Array = self.belief.weight * (1.0 - lost)
        gone = float((self.belief.weight - kept).sum())
        elsewhere = self.belief.elsewhere + gone
        if elsewhere > 0.0:  # what was lost was lost over the map
            self._on_map = (self._on_map * self.belief.elsewhere + gone) / elsewhere
        return kept, elsewhere


def _sifted(weight: Array, held: Array, track: NDArray[np.int64], miss_probability: float) -> Array:
    """Weights after a frame that is no news; those of a track together stay what they were.

    It makes no track more probable than another: two look-alikes stay two, however often one is found. But of ways to
    go on with the same track, one that is not found while another is was mistaken for it in a frame before.

    Args:
        weight: (K,) of the hypotheses.
        held: (K,) of 0..1, how surely each is found.
        track: (K,) of each.
        miss_probability: That a right one is not found.
    """
    _, of = np.unique(track, return_inverse=True)
    whole = np.bincount(of, weight)
    seen = np.bincount(of, weight * held) / np.maximum(whole, 1e-300)
    sifted: Array = weight * (1.0 - (1.0 - miss_probability) * seen[of] * (1.0 - held))
    sifted *= (whole / np.maximum(np.bincount(of, sifted), 1e-300))[of]
    return sifted


def _concatenated(*beliefs: Belief) -> Belief:
    return Belief(
        np.concatenate([b.weight for b in beliefs]),
        np.concatenate([b.mean for b in beliefs]),
        np.concatenate([b.covariance for b in beliefs]),
        np.concatenate([b.track for b in beliefs]),
        0.0,
    )


def _normalised(belief: Belief, elsewhere: float) -> Belief:
    total = float(belief.weight.sum()) + elsewhere
    return replace(belief, weight=belief.weight / total, elsewhere=elsewhere / total)


def _pruned(belief: Belief) -> Belief:
    """Hypotheses that are the same joined, the lightest dropped, heaviest first."""
    order = np.argsort(-belief.weight, kind="stable")[: 8 * _KEPT]
    order = order[belief.weight[order] > LEAST_WEIGHT]
    joined: list[Belief] = []
    while len(order) and len(joined) < _KEPT:
        same = _alike(belief, order)
        joined.append(_joined(belief, order[same]))
        order = order[~same]
    if not joined:
        return replace(Belief.nothing(), elsewhere=1.0)
    whole = _concatenated(*joined)
    return whole.select(np.argsort(-whole.weight, kind="stable"))


def _alike(belief: Belief, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some hypotheses are the same as the first of them."""
    apart = belief.mean[rows, :2] - belief.mean[rows[0], :2]
    turn = wrap_degrees(belief.turn_deg[rows] - belief.turn_deg[rows[0]])
    same: NDArray[np.bool_] = (np.hypot(*apart.T) < _SAME_M) & (np.abs(turn) < _SAME_TURN_DEG)
    return same


def _joined(belief: Belief, rows: NDArray[np.int64]) -> Belief:
    """One hypothesis of the same weight, mean and covariance as some together."""
    weight = belief.weight[rows]
    states = belief.mean[rows].copy()
    states[:, TURN] = states[0, TURN] + wrap_degrees(states[:, TURN] - states[0, TURN])
    mean, covariance = moments(weight / weight.sum(), states, belief.covariance[rows])
    mean[TURN] = float(wrap_degrees(mean[[TURN]])[0])
    return Belief(np.array([weight.sum()]), mean[None], covariance[None], belief.track[rows[:1]], 0.0)
