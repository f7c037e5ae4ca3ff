"""Fitting what similarities and registrations are worth: on looks that were drawn from known settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.background import Chance
from lkpan_ros.localization.calibration import Look, common_offset, fit
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.measurement import log_odds
from lkpan_ros.localization.settings import with_values

TRUE = with_values(
    LocalizerConfig(),
    {
        "similarity.temperature": 0.8,
        "similarity.none_of_these": 6.0,
        "registration.quality_slope": 1.2,
        "registration.sigma_px": 1.5,
    },
)


def looks(count: int, seed: int = 0, config: LocalizerConfig = TRUE) -> list[Look]:
    """Of registrations of which one, or none, is right as often as its odds say, in cameras of any contrast."""
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(count):
        chance = Chance(float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.02, 0.06)))
        quality, similarity = rng.uniform(0.1, 0.3, 8), chance.mean + chance.spread * rng.uniform(0.0, 8.0, 8)
        prior = np.exp(-0.5 * rng.normal(0.0, 1.5, 8) ** 2)
        odds = prior * np.exp(log_odds(quality, similarity, chance, config))
        answer = rng.choice(9, p=np.append(odds, 1.0) / (odds.sum() + 1.0))
        right = np.arange(8) == answer
        error_px = np.where(right, rng.rayleigh(config.registration.sigma_px, 8), rng.uniform(20, 200, 8))
        drawn.append(Look(quality, similarity, prior, chance, right, error_px))
    return drawn


def negative_log_likelihood(drawn: list[Look], config: LocalizerConfig) -> float:
    total = 0.0
    for look in drawn:
        odds = look.prior * np.exp(log_odds(look.quality, look.similarity, look.chance, config))
        mass = odds[look.right].sum() if look.right.any() else 1.0
        total -= np.log(mass / (odds.sum() + 1.0))
    return float(total / len(drawn))


def test_the_settings_that_made_the_looks_are_found() -> None:
    found, loss = fit(looks(400))
    assert found["similarity.temperature"] == pytest.approx(0.8, rel=0.2)
    assert found["similarity.none_of_these"] == pytest.approx(6.0, abs=0.6)
    assert found["registration.quality_slope"] == pytest.approx(1.2, rel=0.25)
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


# Where the map lies beside what GPS and geometry say


@settings(max_examples=20)
@given(st.floats(-40, 40), st.floats(-40, 40), st.integers(0, 10**6), st.floats(0.4, 1.0))
def test_a_common_offset_is_found_in_clutter(east_m: float, north_m: float, seed: int, share: float) -> None:
    rng, count = np.random.default_rng(seed), 60
    errors_m = rng.uniform(-45.0, 45.0, (count, 2))
    agreeing = round(share * count)
    errors_m[:agreeing] = rng.normal((east_m, north_m), 1.5, (agreeing, 2))
    offset_m = common_offset(rng.permutation(errors_m))
    assert offset_m is not None
    assert np.hypot(*(offset_m - (east_m, north_m))) < 2.0


@given(st.integers(0, 10**6))
def test_where_nothing_agrees_there_is_no_common_offset(seed: int) -> None:
    assert common_offset(np.random.default_rng(seed).uniform(-45.0, 45.0, (60, 2))) is None


@pytest.mark.parametrize("count", [0, 1, 9])
def test_few_frames_prove_no_common_offset(count: int) -> None:
    assert common_offset(np.full((count, 2), 12.0)) is None
