"""Fitting the similarities' temperature and none-of-these level."""

import numpy as np
import pytest

from lkpan_ros.localization.calibration import Retrieval, fit_similarity


def flight(rng: np.random.Generator, rise: float) -> list[Retrieval]:
    """Frames whose right tile exceeds foreign tiles (0.3, spread 0.03) by `rise` on average."""
    retrievals = []
    for _ in range(60):
        similarity = rng.normal(0.3, 0.03, 60)
        distance_m = rng.uniform(200, 2000, 60)
        similarity[0], distance_m[0] = rng.normal(0.3 + rise, 0.05), 5.0
        order = np.argsort(-similarity)
        retrievals.append(Retrieval(similarity[order].astype(np.float32), distance_m[order]))
    return retrievals


def test_the_fitted_level_lies_between_foreign_and_right_tiles() -> None:
    settings, loss = fit_similarity(flight(np.random.default_rng(0), 0.4), 50, 30.0, 90.0)
    assert 0.1 < settings.none_of_these < 0.4
    assert loss < 0.1


def test_poor_descriptors_are_believed_less() -> None:
    rng = np.random.default_rng(0)
    good, good_loss = fit_similarity(flight(rng, 0.4), 50, 30.0, 90.0)
    poor, poor_loss = fit_similarity(flight(rng, 0.05), 50, 30.0, 90.0)
    assert poor_loss > 5 * good_loss
    # What the right tile earns above none-of-these, in odds.
    assert (0.05 - poor.none_of_these) / poor.temperature < (0.4 - good.none_of_these) / good.temperature


def test_taking_the_truth_away_leaves_foreign_tiles_alone() -> None:
    retrieval = flight(np.random.default_rng(1), 0.4)[0]
    left = retrieval.without_truth(90.0)
    assert len(left.similarity) == len(retrieval.similarity) - 1
    assert left.distance_m.min() > 90.0
    assert len(retrieval.best(10).similarity) == 10


@pytest.mark.parametrize("count", [1, 5])
def test_few_frames_can_be_fitted(count: int) -> None:
    settings, loss = fit_similarity(flight(np.random.default_rng(2), 0.4)[:count], 50, 30.0, 90.0)
    assert np.isfinite([settings.temperature, settings.none_of_these, loss]).all()
