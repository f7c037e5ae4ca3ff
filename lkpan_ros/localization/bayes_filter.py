"""A Bayes filter over place: where the vehicle may be, from what each frame says and how a vehicle can move.

The posterior is a set of hypotheses (Gaussians over position, velocity and the error of the heading) and the mass that
is elsewhere: anywhere on the map, or off it. It does not grow with the map. Evidence arrives as places, each with the
odds that the view lies there rather than at none of them before anything else is known, which is what the calibration
fits. From what is elsewhere, places are born in proportion to their odds; a hypothesis is upheld by the odds of the
places that it expects, and falls where the map is seen and it is upheld by none.

That a place is found where it was expected does not count beyond its odds: hypotheses follow what is found from frame to
frame, right or wrong, so that agreement of places is hardly independent. And what two frames show of the same ground is
the same thing said twice: only frames that are news change weights, those between hold hypotheses where they are seen.
Motion is odometry's where there is any, else a velocity that wanders (Ornstein-Uhlenbeck). Time is passed in.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import Belief, Evidence, moments
from lkpan_ros.localization.geodesy import wrap_degrees

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import FilterSettings

    Array = NDArray[np.float64]

_KEPT = 48  # hypotheses
_LEAST_WEIGHT = 1e-6
_SAME_M = 4.0  # hypotheses nearer than this, and alike in heading, are one
_SAME_TURN_DEG = 15.0
_HELD_M = 20.0
_PLACE_M = 15.0  # as far as a place reaches
_DISSOLVED_M = 400.0  # a hypothesis that is vaguer than this says nothing


class BayesFilter:
    """Keeps a belief up to date. The same inputs give the same belief.

    Args:
        settings: Speed, losses and trust.
    """

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self.belief = Belief.nothing()

    def configure(self, settings: FilterSettings) -> None:
        """Use other settings from now on; what is believed is kept."""
        self._settings = settings

    def reset(self) -> None:
        """Forget everything."""
        self.belief = Belief.nothing()

    def predict(
        self,
        elapsed_s: float,
        *,
        displacement_m: Array | None = None,
        displacement_sigma_m: float = 0.0,
        turn_deg: float = 0.0,
        turn_sigma_deg: float = 0.0,
    ) -> None:
        """Let time pass.

        Args:
            elapsed_s: Since the last prediction, 0 or more.
            displacement_m: (2,) or (K, 2) east and north by odometry, in metres; None: unknown.
            displacement_sigma_m: Of it, on each axis.
            turn_deg: Added to what the hypotheses say of the heading.
            turn_sigma_deg: By how much the heading's error (or the unknown heading) may have changed.
        """
        belief = self.belief
        if len(belief) == 0 or elapsed_s <= 0.0:
            return
        if displacement_m is None:
            mean, covariance = _wandered(belief, elapsed_s, self._settings)
        else:
            mean, covariance = _displaced(belief, elapsed_s, displacement_m, displacement_sigma_m)
        lost = -math.expm1(-elapsed_s * self._settings.loss_rate_per_s)
        moved = replace(
            belief,
            weight=belief.weight * (1.0 - lost),
            mean=mean,
            covariance=covariance,
            turn_deg=wrap_degrees(belief.turn_deg + turn_deg),
            turn_sigma_deg=np.hypot(belief.turn_sigma_deg, turn_sigma_deg),
        )
        vague = covariance[:, 0, 0] + covariance[:, 1, 1] > _DISSOLVED_M**2
        self.belief = moved.select(np.flatnonzero(~vague))

    def update(
        self, evidence: Evidence, on_map: Callable[[Belief], NDArray[np.bool_]], *, news: bool = True
    ) -> None:
        """Take in a frame.

        Args:
            evidence: What it says.
            on_map: Of the hypotheses, whether the view would show the map: there silence speaks against them.
            news: False: the frames before said it already. It then makes no place more probable, but a vehicle is
                still held where it is seen.
        """
        belief = self.belief
        silent = np.where(on_map(belief), self._settings.miss_probability, 1.0)
        gain = _likelihoods(belief, evidence, self._settings.upholding)  # K x N
        if not news:  # what is vague is not found by the same doubtful look twice
            vague = np.trace(belief.covariance[:, :2, :2], axis1=1, axis2=2) > _HELD_M**2
            gain[np.ix_(vague, evidence.odds < 1.0)] = 0.0
        support = silent + gain.sum(axis=1)
        grown = belief.weight * support if news else belief.weight
        share = gain / support[:, None]
        births = belief.elsewhere * evidence.odds if news else np.zeros_like(evidence.odds)
        children = _concatenated(
            replace(belief, weight=grown * (1.0 - share.sum(axis=1))),
            _children(belief, evidence, grown[:, None] * share),
            _births(evidence, births, self._settings.max_speed_mps),
        )
        self.belief = _pruned(_normalised(children, belief.elsewhere))

    def weigh(self, factor: Array) -> None:
        """Multiply the hypotheses' weights by (K,) factors of 0..1 and elsewhere by 1, as a prior does."""
        self.belief = _normalised(
            replace(self.belief, weight=self.belief.weight * factor), self.belief.elsewhere
        )


def _wandered(belief: Belief, elapsed_s: float, settings: FilterSettings) -> tuple[Array, Array]:
    """Means and covariances after a time of which nothing is known but how fast a vehicle can be."""
    step, noise = _wandering(elapsed_s, settings)
    return belief.mean @ step.T, step @ belief.covariance @ step.T + noise


def _displaced(
    belief: Belief, elapsed_s: float, displacement_m: Array, sigma_m: float
) -> tuple[Array, Array]:
    """Means and covariances after a displacement by odometry, which also gives the velocity."""
    mean, covariance = belief.mean.copy(), belief.covariance.copy()
    mean[:, :2] += displacement_m
    mean[:, 2:] = np.broadcast_to(displacement_m, mean[:, 2:].shape) / elapsed_s
    covariance[:, [0, 1], [0, 1]] += sigma_m**2
    return mean, covariance


def _wandering(elapsed_s: float, settings: FilterSettings) -> tuple[Array, Array]:
    """Transition and noise, 4 x 4 each, of an Ornstein-Uhlenbeck velocity and its integral."""
    memory_s, sigma = settings.velocity_memory_s, settings.max_speed_mps / 2.0
    ratio = elapsed_s / memory_s
    keep = math.exp(-ratio)
    step = np.eye(4)
    step[[0, 1], [2, 3]] = memory_s * (1.0 - keep)
    step[[2, 3], [2, 3]] = keep
    place = (sigma * memory_s) ** 2 * max(0.0, 2.0 * ratio - 3.0 + 4.0 * keep - keep**2)
    both = sigma**2 * memory_s * (1.0 - keep) ** 2
    rate = sigma**2 * (1.0 - keep**2)
    noise = np.diag([place, place, rate, rate])
    noise[[0, 1, 2, 3], [2, 3, 0, 1]] = both
    return step, noise


def _likelihoods(belief: Belief, evidence: Evidence, upholding: float) -> Array:
    """K x N: how much each alternative upholds each hypothesis."""
    apart = evidence.position_m[None] - belief.mean[:, None, :2]  # K x N x 2
    spread = belief.covariance[:, None, :2, :2] + evidence.covariance_m2[None]  # K x N x 2 x 2
    a, b, d = spread[..., 0, 0], spread[..., 0, 1], spread[..., 1, 1]
    determinant = np.maximum(a * d - b * b, 1e-9)
    x, y = apart[..., 0], apart[..., 1]
    squared = (d * x * x - 2 * b * x * y + a * y * y) / determinant
    turn = wrap_degrees(evidence.turn_deg[None] - belief.turn_deg[:, None])
    squared += turn**2 / (belief.turn_sigma_deg[:, None] ** 2 + evidence.turn_sigma_deg[None] ** 2)
    # Of a vague hypothesis only that part is upheld which lies at the place.
    part = np.minimum(1.0, _PLACE_M**2 / np.sqrt(determinant))
    gain: Array = upholding * evidence.odds[None] * part * np.exp(-0.5 * np.minimum(squared, 600.0))
    return gain


def _children(belief: Belief, evidence: Evidence, weight: Array) -> Belief:
    """Every hypothesis corrected (Kalman) by every alternative that it gives weight to."""
    parent, cause = np.nonzero(weight > _LEAST_WEIGHT * max(float(weight.max(initial=0.0)), 1e-300))
    mean, covariance = belief.mean[parent], belief.covariance[parent]
    spread = covariance[:, :2, :2] + evidence.covariance_m2[cause]
    gain = covariance[:, :, :2] @ np.linalg.inv(spread)  # C x 4 x 2
    apart = evidence.position_m[cause] - mean[:, :2]
    corrected = covariance - gain @ covariance[:, :2, :]
    variance = belief.turn_sigma_deg[parent] ** 2
    turn_gain = variance / (variance + evidence.turn_sigma_deg[cause] ** 2)
    turn_apart = wrap_degrees(evidence.turn_deg[cause] - belief.turn_deg[parent])
    return Belief(
        weight[parent, cause],
        mean + (gain @ apart[..., None])[..., 0],
        (corrected + corrected.transpose(0, 2, 1)) / 2.0,
        belief.turn_deg[parent] + turn_gain * turn_apart,
        np.sqrt(variance * (1.0 - turn_gain)),
        0.0,
    )


def _births(evidence: Evidence, weight: Array, max_speed_mps: float) -> Belief:
    """A hypothesis where each alternative is, its velocity unknown."""
    count = len(evidence.odds)
    mean = np.zeros((count, 4))
    mean[:, :2] = evidence.position_m
    covariance = np.zeros((count, 4, 4))
    covariance[:, :2, :2] = evidence.covariance_m2
    covariance[:, [2, 3], [2, 3]] = (max_speed_mps / 2.0) ** 2
    return Belief(weight, mean, covariance, evidence.turn_deg, evidence.turn_sigma_deg, 0.0)


def _concatenated(*beliefs: Belief) -> Belief:
    return Belief(
        np.concatenate([b.weight for b in beliefs]),
        np.concatenate([b.mean for b in beliefs]),
        np.concatenate([b.covariance for b in beliefs]),
        np.concatenate([b.turn_deg for b in beliefs]),
        np.concatenate([b.turn_sigma_deg for b in beliefs]),
        0.0,
    )


def _normalised(belief: Belief, elsewhere: float) -> Belief:
    total = float(belief.weight.sum()) + elsewhere
    return replace(belief, weight=belief.weight / total, elsewhere=elsewhere / total)


def _pruned(belief: Belief) -> Belief:
    """Hypotheses that are the same joined, the lightest dropped, heaviest first."""
    order = np.argsort(-belief.weight, kind="stable")[: 8 * _KEPT]
    order = order[belief.weight[order] > _LEAST_WEIGHT]
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
    share = weight / weight.sum()
    mean, covariance = moments(share, belief.mean[rows], belief.covariance[rows])
    turns = wrap_degrees(belief.turn_deg[rows] - belief.turn_deg[rows[0]])
    turn = float(share @ turns)
    variance = float(share @ (belief.turn_sigma_deg[rows] ** 2 + (turns - turn) ** 2))
    return Belief(
        np.array([weight.sum()]), mean[None], covariance[None],
        wrap_degrees(np.array([belief.turn_deg[rows[0]] + turn])), np.array([math.sqrt(variance)]), 0.0,
    )  # fmt: skip
