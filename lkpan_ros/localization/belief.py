"""What is believed of a place, and what a frame says of it: the records that the Bayes filter works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a frame says of the place, as N alternatives.

    Attributes:
        odds: (N,) float64, that this one is right against none of them, before anything else is known.
        position_m: (N, 2) float64, east and north.
        covariance_m2: (N, 2, 2) float64.
        turn_deg: (N,) float64, the heading's error, or the heading where none is sensed.
        turn_sigma_deg: (N,) float64, of that, if this one is right.
    """

    odds: Array
    position_m: Array
    covariance_m2: Array
    turn_deg: Array
    turn_sigma_deg: Array


@dataclass(frozen=True, eq=False)
class Belief:
    """The posterior.

    Attributes:
        weight: (K,) float64, of each hypothesis; with `elsewhere` they add up to 1.
        mean: (K, 4) float64, east, north (m) and their rates (m/s).
        covariance: (K, 4, 4) float64.
        turn_deg: (K,) float64.
        turn_sigma_deg: (K,) float64.
        elsewhere: Mass of no hypothesis.
    """

    weight: Array
    mean: Array
    covariance: Array
    turn_deg: Array
    turn_sigma_deg: Array
    elsewhere: float

    @classmethod
    def nothing(cls) -> Belief:
        """Before any frame."""
        return cls(np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4, 4)), np.zeros(0), np.zeros(0), 1.0)

    def __len__(self) -> int:
        return len(self.weight)

    def select(self, rows: NDArray[np.int64]) -> Belief:
        """Some of the hypotheses; the weight of the others goes elsewhere."""
        weight = self.weight[rows]
        return Belief(
            weight, self.mean[rows], self.covariance[rows], self.turn_deg[rows], self.turn_sigma_deg[rows],
            max(0.0, 1.0 - float(weight.sum())),
        )  # fmt: skip


def moments(share: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """Mean (D,) and covariance (D, D) of a mixture of K Gaussians: (K,) shares that add up to 1, (K, D), (K, D, D)."""
    middle = share @ mean
    apart = mean - middle
    spread: Array = np.einsum("k,kij->ij", share, covariance) + (share[:, None] * apart).T @ apart
    return middle, spread
