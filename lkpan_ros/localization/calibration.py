"""Fits the temperature and the none-of-these level of the similarities on flights with truth.

Maximum likelihood: of the candidates of each frame, the mass that the model puts on the tiles near the true view
should be large. Each frame counts twice, the second time with the tiles about its true view taken away: then the
mass belongs on none of these, as over ground that is not in the gallery.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.config import SimilaritySettings
from lkpan_ros.localization.integrity import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LEAST_MASS = 1e-4  # bounds what one hopeless frame can weigh


@dataclass(frozen=True, eq=False)
class Retrieval:
    """The candidates of one frame.

    Attributes:
        similarity: (K,) float32.
        distance_m: (K,) float64, of the tiles' centres from the true view.
    """

    similarity: NDArray[np.float32]
    distance_m: NDArray[np.float64]

    def best(self, candidates: int) -> Retrieval:
        """The first so many of them, which is what the decision sees."""
        return Retrieval(self.similarity[:candidates], self.distance_m[:candidates])

    def without_truth(self, tile_size_m: float) -> Retrieval:
        """The same frame as if the ground it shows were not in the gallery."""
        foreign = self.distance_m > tile_size_m
        return Retrieval(self.similarity[foreign], self.distance_m[foreign])


def fit_similarity(
    retrievals: Sequence[Retrieval], candidates: int, radius_m: float, tile_size_m: float
) -> tuple[SimilaritySettings, float]:
    """The most likely settings, by a grid that is refined three times, and their mean negative log-likelihood.

    Args:
        retrievals: Of frames with truth, all in the gallery, with some more candidates than the decision sees.
        candidates: That the decision sees.
        radius_m: Tiles within it of the true view are right.
        tile_size_m: Tiles within it of the true view are taken away for the second look.
    """
    looks = [*retrievals, *(r.without_truth(tile_size_m) for r in retrievals)]
    samples = [look.best(candidates) for look in looks]
    best, loss = SimilaritySettings(), np.inf
    temperatures, levels = np.geomspace(0.003, 0.3, 16), np.linspace(0.0, 0.6, 25)
    for _ in range(3):
        for temperature, level in product(temperatures, levels):
            settings = SimilaritySettings(float(temperature), float(level))
            candidate = float(np.mean([_surprise(sample, settings, radius_m) for sample in samples]))
            if candidate < loss:
                best, loss = settings, candidate
        ratio, step = temperatures[1] / temperatures[0], levels[1] - levels[0]
        temperatures = best.temperature * np.geomspace(1 / ratio, ratio, 7)
        levels = best.none_of_these + np.linspace(-step, step, 7)
    return best, loss


def _surprise(retrieval: Retrieval, settings: SimilaritySettings, radius_m: float) -> float:
    """Negative log of the mass where it belongs."""
    mass, none_of_these = probabilities(retrieval.similarity, settings)
    right = retrieval.distance_m <= radius_m
    belongs = float(mass[right].sum()) if right.any() else none_of_these
    return -float(np.log(max(belongs, _LEAST_MASS)))
