"""Fits what similarities and registrations are worth on flights with truth.

Maximum likelihood: of a frame's registrations, the mass that the odds give to the right ones should be large. Each
frame counts twice, the second time with the tiles about its true view taken away: then the mass belongs on none of
them, as over ground that is not in the gallery. What second best places take from the odds of the best is no part of it.
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

    from lkpan_ros.localization.background import Chance

_LEAST_MASS = 1e-4  # bounds what one hopeless frame can weigh
_MEDIAN_OF_RAYLEIGH = 1.1774
_LEAST_SIGMA_PX = 0.3
_AGREE_M, _FEWEST_AGREE, _SHARE_AGREE = 8.0, 10, 0.3


@dataclass(frozen=True, eq=False)
class Look:
    """The registrations of one frame, as it is or as if its ground were not in the gallery.

    Attributes:
        quality: (N,) float64.
        similarity: (N,) float64.
        prior: (N,) float64, how probable each is by what the sensors say.
        chance: Similarities of the frame to foreign places.
        right: (N,) bool, at the true view.
        error_px: (N,) float64, from the true view, in 64ths of a tile; NaN where that was not verified.
    """

    quality: NDArray[np.float64]
    similarity: NDArray[np.float64]
    prior: NDArray[np.float64]
    chance: Chance
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

    first = np.array([np.log(1.0), np.log(1.0), 8.0])
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


def common_offset(errors_m: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """By how much most registrations lie beside what GPS and geometry say, as where the map lies beside the world.

    Args:
        errors_m: (N, 2) float64, of one registration a frame, the best near what is said to be its view.

    Returns:
        (2,) float64 metres, or None where too few agree on one.
    """
    if len(errors_m) == 0:
        return None
    apart_m = np.hypot(*(errors_m[:, None] - errors_m[None]).transpose(2, 0, 1))
    agreeing = apart_m <= _AGREE_M
    most = int(agreeing.sum(axis=1).argmax())
    if agreeing[most].sum() < max(_FEWEST_AGREE, _SHARE_AGREE * len(errors_m)):
        return None
    offset: NDArray[np.float64] = errors_m[agreeing[most]].mean(axis=0)
    return offset


def _surprise(look: Look, config: LocalizerConfig) -> float:
    """Negative log of the mass where it belongs."""
    odds = look.prior * np.exp(log_odds(look.quality, look.similarity, look.chance, config))
    mass = np.append(odds, 1.0) / (odds.sum() + 1.0)
    belongs = float(mass[:-1][look.right].sum()) if look.right.any() else float(mass[-1])
    return -float(np.log(max(belongs, _LEAST_MASS)))
