"""Fits what similarities and registrations are worth on flights with truth.

Maximum likelihood: of a frame's registrations, the mass that the odds give to the right ones should be large. Each
frame counts twice, the second time with the tiles about its true view taken away: then the mass belongs on none of
them, as over ground that is not in the gallery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.measurement import log_odds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LEAST_MASS = 1e-4  # bounds what one hopeless frame can weigh
_MEDIAN_OF_RAYLEIGH = 1.1774
_LEAST_SIGMA_PX = 0.3


@dataclass(frozen=True, eq=False)
class Look:
    """The registrations of one frame, as it is or as if its ground were not in the gallery.

    Attributes:
        quality: (N,) float64.
        similarity: (N,) float64.
        level: Mean similarity of the frame's candidates.
        right: (N,) bool, at the true view.
        error_px: (N,) float64, from the true view, in 64ths of a tile; NaN where that was not verified.
    """

    quality: NDArray[np.float64]
    similarity: NDArray[np.float64]
    level: float
    right: NDArray[np.bool_]
    error_px: NDArray[np.float64]


def fit(looks: Sequence[Look], start: LocalizerConfig | None = None) -> tuple[dict[str, float], float]:
    """The most likely settings, by name, and their mean negative log-likelihood.

    Args:
        looks: Of frames with truth.
        start: Settings that are not fitted are taken from here.
    """
    base = start or LocalizerConfig()

    def settings(numbers: NDArray[np.float64]) -> LocalizerConfig:
        temperature, slope = (float(np.exp(n)) for n in numbers[:2])
        return replace(
            base,
            similarity=replace(base.similarity, temperature=temperature, none_of_these=float(numbers[2])),
            registration=replace(base.registration, quality_slope=slope),
        )

    def loss(numbers: NDArray[np.float64]) -> float:
        config = settings(numbers)
        return float(np.mean([_surprise(look, config) for look in looks]))

    first = np.array([np.log(0.05), np.log(30.0), 0.2])
    best = minimize(loss, first, method="Nelder-Mead", options={"maxiter": 600, "xatol": 1e-3, "fatol": 1e-5})
    found = settings(best.x)
    errors = np.concatenate([look.error_px[look.right] for look in looks])
    errors = errors[np.isfinite(errors)]
    sigma_px = float(np.median(errors)) / _MEDIAN_OF_RAYLEIGH if errors.size else base.registration.sigma_px
    return {
        "similarity.temperature": found.similarity.temperature,
        "similarity.none_of_these": found.similarity.none_of_these,
        "registration.quality_slope": found.registration.quality_slope,
        "registration.sigma_px": max(sigma_px, _LEAST_SIGMA_PX),
    }, float(best.fun)


def _surprise(look: Look, config: LocalizerConfig) -> float:
    """Negative log of the mass where it belongs."""
    odds = np.exp(log_odds(look.quality, look.similarity, look.level, config))
    mass = np.append(odds, 1.0) / (odds.sum() + 1.0)
    belongs = float(mass[:-1][look.right].sum()) if look.right.any() else float(mass[-1])
    return -float(np.log(max(belongs, _LEAST_MASS)))
