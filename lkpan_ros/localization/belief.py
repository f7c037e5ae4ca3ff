"""What a frame says of the place, and what all frames so far say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.config import ViewSettings
    from lkpan_ros.localization.lever import Lever

    Array = NDArray[np.float64]

# The states of a hypothesis: east and north (m), their rates (m/s), the heading's error or, where none is sensed, the
# heading (degrees clockwise), the height's error (as a share of it), and the errors of pitch and roll (degrees).
STATES = 8
PLACE, RATE, TURN, HEIGHT, TILT = slice(0, 2), slice(2, 4), 4, 5, slice(6, 8)

NEW_TRACK = -1  # of hypotheses that were just born

_LEAST_SIGMA = 1e-3  # sensors that are said to be perfect are not quite, or covariances become singular


@dataclass(frozen=True)
class SensorErrors:
    """Standard deviations of what the sensors say of a frame.

    Attributes:
        heading_deg: None where no heading is sensed.
        height_ratio: Of the height, as a share of it.
        tilt_deg: Of pitch and of roll.
    """

    heading_deg: float | None
    height_ratio: float
    tilt_deg: float

    @classmethod
    def of(cls, settings: ViewSettings, *, heading_known: bool) -> SensorErrors:
        """As the settings state them."""
        return cls(
            max(settings.heading_sigma_deg, _LEAST_SIGMA) if heading_known else None,
            max(settings.height_sigma_ratio, _LEAST_SIGMA),
            max(settings.tilt_sigma_deg, _LEAST_SIGMA),
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a frame says of the place, as N alternatives.

    Attributes:
        odds: (N,) float64, that this one is right against none of them, by what the frame shows.
        sought: (N,) bool, True where it was found only because the view was expected there.
        prior: (N,) float64, how probable this one is by what the sensors say, where no hypothesis is known better; above 1
            where others, which bound its odds, are improbable.
        view_m: (N, 2) float64, east and north of the middle of the view.
        covariance_m2: (N, 2, 2) float64, of that.
        turn_deg: (N,) float64, the heading's error, or the heading where none is sensed.
        turn_sigma_deg: (N,) float64, of that, if this one is right.
        stretch: (N,) float64, by how much the ground is larger than height and tilt say, as a share.
        stretch_sigma: (N,) float64, of that, if this one is right.
        lever: From the vehicle to the view.
        errors: Of the sensors.
        looks_deg: (L,) float64, turns that the view was laid on the map under; None: all.
    """

    odds: Array
    sought: NDArray[np.bool_]
    prior: Array
    view_m: Array
    covariance_m2: Array
    turn_deg: Array
    turn_sigma_deg: Array
    stretch: Array
    stretch_sigma: Array
    lever: Lever
    errors: SensorErrors
    looks_deg: Array | None = None


@dataclass(frozen=True, eq=False)
class Belief:
    """The posterior.

    Attributes:
        weight: (K,) float64, of each hypothesis; with `elsewhere` they add up to 1.
        mean: (K, STATES) float64.
        covariance: (K, STATES, STATES) float64.
        track: (K,) int64, the same for hypotheses that come from one another and were never far apart.
        elsewhere: Mass of no hypothesis.
    """

    weight: Array
    mean: Array
    covariance: Array
    track: NDArray[np.int64]
    elsewhere: float

    @classmethod
    def nothing(cls) -> Belief:
        """Before any frame."""
        return cls(
            np.zeros(0), np.zeros((0, STATES)), np.zeros((0, STATES, STATES)), np.zeros(0, np.int64), 1.0
        )

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def turn_deg(self) -> Array:
        """(K,) float64, the heading's error, or the heading where none is sensed."""
        return self.mean[:, TURN]

    @property
    def turn_sigma_deg(self) -> Array:
        """(K,) float64, of that."""
        return np.sqrt(self.covariance[:, TURN, TURN])

    def select(self, rows: NDArray[np.int64]) -> Belief:
        """Some of the hypotheses; the weight of the others goes elsewhere."""
        weight = self.weight[rows]
        elsewhere = max(0.0, 1.0 - float(weight.sum()))
        return Belief(weight, self.mean[rows], self.covariance[rows], self.track[rows], elsewhere)


def moments(share: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Mean (D,) and covariance (D, D) of a mixture of K Gaussians: (K,) shares that add up to 1, (K, D), (K, D, D)."""
    middle = share @ mean
    apart = mean - middle
    spread: Array = np.einsum("k,kij->ij", share, covariance) + (share[:, None] * apart).T @ apart
    return middle, spread
