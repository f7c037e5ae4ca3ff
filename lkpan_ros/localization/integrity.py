"""From what is believed to a position that may be stated, or to the reason why none may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import TURN, moments
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.types import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief

    Array = NDArray[np.float64]

_DIRECTIONS = 1024  # of the integral over a circle


@dataclass(frozen=True, eq=False)
class Place:
    """Where the vehicle or its view, of whichever was asked, most probably is.

    Attributes:
        mean: (STATES,) float64, see `belief`.
        covariance: (STATES, STATES) float64, given that the place is right.
        mass: Probability of the hypotheses that make up the place.
        runner_up: Probability of the heaviest hypothesis that does not.
        elsewhere: Probability that it is anywhere else, on the map or off it.
    """

    mean: Array
    covariance: Array
    mass: float
    runner_up: float
    elsewhere: float


def most_probable_place(belief: Belief, radius_m: float) -> Place | None:
    """The heaviest hypothesis and those within the radius of it, or None where there is no hypothesis."""
    if len(belief) == 0:
        return None
    best = int(belief.weight.argmax())
    near = np.hypot(*(belief.mean[:, :2] - belief.mean[best, :2]).T) <= radius_m
    weight = belief.weight[near]
    states = belief.mean[near].copy()
    best_turn = belief.turn_deg[best]
    states[:, TURN] = best_turn + wrap_degrees(states[:, TURN] - best_turn)
    mean, covariance = moments(weight / weight.sum(), states, belief.covariance[near])
    return Place(
        mean=mean,
        covariance=covariance,
        mass=float(weight.sum()),
        runner_up=float(belief.weight[~near].max(initial=0.0)),
        elsewhere=belief.elsewhere,
    )


def refusal_reason(place: Place | None, needed: float) -> Reason:
    """Why a place is not good enough, given the probability that was needed."""
    if place is None or place.elsewhere >= max(place.mass, place.runner_up):
        return Reason.LOW_SIMILARITY
    return Reason.UNCERTAIN if place.mass >= needed else Reason.AMBIGUOUS


def probability_within(covariance_m2: Array, radius_m: float) -> float:
    """P(|x| <= radius) of a zero-mean Gaussian in the plane (error below 1e-4 for axes of up to 1 to 100).

    Whitened, the circle is an ellipse that is cut at radius / sqrt(d' C d) in direction d; in each direction the
    whitened radius is Rayleigh distributed, and all directions are as likely.

    Args:
        covariance_m2: 2 x 2 float64, positive definite.
        radius_m: Metres.
    """
    angle = np.arange(_DIRECTIONS) * (2.0 * np.pi / _DIRECTIONS)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    variance = np.einsum("ai,ij,aj->a", direction, covariance_m2, direction)
    return float(np.mean(-np.expm1(-0.5 * radius_m**2 / variance)))


def not_below(covariance_m2: Array, sigma_m: float) -> Array:
    """A 2 x 2 covariance, in square metres, with a standard deviation of at least `sigma_m` in every direction."""
    if not np.isfinite(covariance_m2).all():
        return covariance_m2
    variance, direction = np.linalg.eigh(covariance_m2)
    floored: Array = (direction * np.maximum(variance, sigma_m**2)) @ direction.T
    return floored
