"""Fitting what similarities and registrations are worth: on looks that were drawn from known settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lkpan_ros.localization.calibration import Look, fit
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.measurement import log_odds
from lkpan_ros.localization.settings import with_values

TRUE = with_values(
    LocalizerConfig(),
    {
        "similarity.temperature": 0.1,
        "similarity.none_of_these": 0.25,
        "registration.quality_slope": 15.0,
        "registration.sigma_px": 1.5,
    },
)


def looks(count: int, seed: int = 0, config: LocalizerConfig = TRUE) -> list[Look]:
    """Of registrations of which one, or none, is right as often as its odds say."""
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(count):
        quality, similarity = rng.uniform(0.1, 0.5, 8), rng.uniform(0.0, 0.7, 8)
        odds = np.exp(log_odds(quality, similarity, 0.2, config))
        answer = rng.choice(9, p=np.append(odds, 1.0) / (odds.sum() + 1.0))
        right = np.arange(8) == answer
        error_px = np.where(right, rng.rayleigh(config.registration.sigma_px, 8), rng.uniform(20, 200, 8))
        drawn.append(Look(quality, similarity, 0.2, right, error_px))
    return drawn


def negative_log_likelihood(drawn: list[Look], config: LocalizerConfig) -> float:
    total = 0.0
    for look in drawn:
        odds = np.exp(log_odds(look.quality, look.similarity, look.level, config))
        mass = odds[look.right].sum() if look.right.any() else 1.0
        total -= np.log(mass / (odds.sum() + 1.0))
    return float(total / len(drawn))


def test_the_settings_that_made_the_looks_are_found() -> None:
    found, loss = fit(looks(400))
    assert found["similarity.temperature"] == pytest.approx(0.1, rel=0.2)
    assert found["similarity.none_of_these"] == pytest.approx(0.25, abs=0.03)
    assert found["registration.quality_slope"] == pytest.approx(15.0, rel=0.25)
    assert found["registration.sigma_px"] == pytest.approx(1.5, rel=0.15)
    assert loss == pytest.approx(negative_log_likelihood(looks(400), TRUE), abs=0.02)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_fit_is_never_worse_than_the_defaults(scale: float) -> None:
    temperature = TRUE.similarity.temperature * scale
    drawn = looks(120, 1, replace(TRUE, similarity=replace(TRUE.similarity, temperature=temperature)))
    found, loss = fit(drawn)
    fitted = with_values(LocalizerConfig(), found)
    assert loss == pytest.approx(negative_log_likelihood(drawn, fitted), abs=1e-6)
    for other in (LocalizerConfig(), TRUE):
        assert loss <= negative_log_likelihood(drawn, other) + 1e-4


def test_poor_descriptors_are_believed_less() -> None:
    """Where similarity has nothing to do with what is right, it soon says nothing."""
    rng = np.random.default_rng(4)
    useless = [replace(look, similarity=rng.permutation(look.similarity)) for look in looks(150)]
    good, poor = fit(looks(150))[0], fit(useless)[0]
    assert poor["similarity.temperature"] > 3.0 * good["similarity.temperature"]


def test_a_method_that_does_not_verify_keeps_its_error() -> None:
    unverified = [replace(look, error_px=np.full(8, np.nan)) for look in looks(10)]
    found, _ = fit(unverified, TRUE)
    assert found["registration.sigma_px"] == 1.5


def test_an_error_too_good_to_be_true_is_not_stated() -> None:
    exact = [replace(look, error_px=np.zeros(8)) for look in looks(10)]
    assert fit(exact)[0]["registration.sigma_px"] >= 0.3


@pytest.mark.parametrize("count", [1, 5])
def test_few_frames_can_be_fitted_to_settings_that_are_allowed(count: int) -> None:
    found, loss = fit(looks(count))
    assert np.isfinite(loss)
    with_values(LocalizerConfig(), found)
