"""From the tiles that look alike to a position that may be stated, or to the reason why none may.

Each candidate tile has the likelihood exp(similarity / temperature); a view of something that is not in the gallery
has that of a tile whose similarity is `none_of_these` above the candidates' mean. How similar the best foreign tiles
of a map are depends on the map and the day, so their level is taken from the frame itself: on simulated and real
flights this tells right from wrong better than any fixed level (and among few candidates it is reserved, since
the right ones lift the mean). The mass within `gate.radius_m` of a tile is the
probability that the view lies there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.config import SimilaritySettings
    from lkpan_ros.localization.types import Matches

_DIRECTIONS = 1024  # of the integral over a circle


@dataclass(frozen=True, eq=False)
class Place:
    """Where the view most probably lies.

    Attributes:
        position_m: (2,) float64, east and north in the gallery's frame.
        covariance_m2: 2 x 2 float64, given that the place is right; at least stride squared / 12 on each axis.
        mass: Probability that the view lies within the radius of the place.
        runner_up: The same for the best place outside that radius.
        none_of_these: Probability that the view is not in the gallery.
        rotation: Quarter turn of the best match.
    """

    position_m: NDArray[np.float64]
    covariance_m2: NDArray[np.float64]
    mass: float
    runner_up: float
    none_of_these: float
    rotation: int


def probabilities(
    similarity: NDArray[np.float32], settings: SimilaritySettings
) -> tuple[NDArray[np.float64], float]:
    """Of each match, (K,) float64, and of none of them."""
    levels = np.append(similarity.astype(np.float64), similarity.mean() + settings.none_of_these)
    weights = np.exp((levels - levels.max()) / settings.temperature)
    weights /= weights.sum()
    return weights[:-1], float(weights[-1])


def most_probable_place(
    matches: Matches, settings: SimilaritySettings, radius_m: float, stride_m: float
) -> Place:
    """The place that holds the largest mass, from at least one match."""
    probability, none_of_these = probabilities(matches.similarity, settings)
    apart_m = np.linalg.norm(matches.position_m[:, None] - matches.position_m[None], axis=-1)
    near = apart_m <= max(radius_m, stride_m) + 1e-6
    mass = near @ probability
    best = int(mass.argmax())
    members = near[best]
    levels = matches.similarity[members].astype(np.float64)
    # Not from the probabilities, which may all be zero beside that of none of them.
    weights = np.exp((levels - levels.max()) / settings.temperature)
    weights /= weights.sum()
    mean = weights @ matches.position_m[members]
    spread = matches.position_m[members] - mean
    covariance = (weights[:, None] * spread).T @ spread + np.eye(2) * stride_m**2 / 12.0
    strongest = int(np.flatnonzero(members)[weights.argmax()])
    outside = probability[~members]
    runner_up = float((near[np.ix_(~members, ~members)] @ outside).max()) if outside.size else 0.0
    return Place(
        position_m=mean,
        covariance_m2=covariance,
        mass=float(mass[best]),
        runner_up=runner_up,
        none_of_these=none_of_these,
        rotation=int(matches.rotation[strongest]),
    )


def probability_within(covariance_m2: NDArray[np.float64], radius_m: float) -> float:
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
