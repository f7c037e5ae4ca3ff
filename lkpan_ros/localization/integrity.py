"""From what is believed to a position that may be stated, or to the reason why none may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import moments
from lkpan_ros.localization.types import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief

    Array = NDArray[np.float64]

_DIRECTIONS = 1024  # of the integral over a circle


@dataclass(frozen=True, eq=False)
class Place:
    """Where the vehicle (or the view, where its geometry is unknown) most probably is.

    Attributes:
        position_m: (2,) float64, east and north in the gallery's frame.
        covariance_m2: 2 x 2 float64, given that the place is right.
        turn_deg: Of the heading: its error, or itself where none is sensed.
        mass: Probability of the hypotheses that make up the place.
        runner_up: Probability of the heaviest hypothesis that does not.
        elsewhere: Probability that it is anywhere else, on the map or off it.
    """

    position_m: Array
    covariance_m2: Array
    turn_deg: float
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
    mean, covariance = moments(weight / weight.sum(), belief.mean[near, :2], belief.covariance[near, :2, :2])
    return Place(
        position_m=mean,
        covariance_m2=covariance,
        turn_deg=float(belief.turn_deg[best]),
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
