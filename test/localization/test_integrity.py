"""From similarities to a place and its probability."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lkpan_ros.localization.config import SimilaritySettings
from lkpan_ros.localization.integrity import most_probable_place, probability_within
from lkpan_ros.localization.types import Matches

SETTINGS = SimilaritySettings(temperature=0.05, none_of_these=0.3)


FAR = [(3000.0 + 300.0 * n, 0.0) for n in range(40)]  # tiles that are there but not alike


def among_others(similarity: list[float], position_m: list[tuple[float, float]]) -> Matches:
    return matches([*similarity, *([0.1] * len(FAR))], [*position_m, *FAR])


def matches(similarity: list[float], position_m: list[tuple[float, float]]) -> Matches:
    order = np.argsort(similarity)[::-1]
    count = len(similarity)
    return Matches(
        np.arange(count)[order],
        np.array(similarity, np.float32)[order],
        np.array(position_m, float)[order],
        np.zeros(count, np.int64),
    )


def test_one_clear_place_is_sure() -> None:
    place = most_probable_place(
        among_others([0.9, 0.4, 0.4], [(0, 0), (300, 0), (0, 300)]), SETTINGS, 30.0, 30.0
    )
    assert place.mass > 0.99
    assert np.allclose(place.position_m, [0, 0])
    assert np.allclose(place.covariance_m2, np.eye(2) * 75.0)


def test_two_places_alike_share_the_mass() -> None:
    place = most_probable_place(among_others([0.8, 0.8], [(0, 0), (500, 0)]), SETTINGS, 30.0, 30.0)
    assert place.mass == pytest.approx(0.5, abs=0.01)
    assert place.runner_up == pytest.approx(0.5, abs=0.01)


def test_neighbouring_tiles_support_each_other_and_share_the_position() -> None:
    place = most_probable_place(
        among_others([0.8, 0.8, 0.8], [(0, 0), (30, 0), (600, 0)]), SETTINGS, 30.0, 30.0
    )
    assert np.allclose(place.position_m, [15, 0])
    assert place.mass == pytest.approx(2 / 3, abs=0.01)
    assert place.covariance_m2[0, 0] == pytest.approx(225 + 75)


def test_nothing_alike_is_none_of_these() -> None:
    place = most_probable_place(among_others([0.12, 0.11], [(0, 0), (500, 0)]), SETTINGS, 30.0, 30.0)
    assert place.none_of_these > 0.8


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-1000, 1000), st.floats(-1000, 1000)), min_size=1, max_size=30
    )
)
def test_probabilities_are_shares_of_one(tiles: list[tuple[float, float, float]]) -> None:
    place = most_probable_place(
        matches([t[0] for t in tiles], [(t[1], t[2]) for t in tiles]), SETTINGS, 30.0, 30.0
    )
    assert 0.0 <= place.runner_up <= place.mass + 1e-9
    assert place.mass + place.runner_up + place.none_of_these <= 1.0 + 1e-9
    assert np.linalg.eigvalsh(place.covariance_m2).min() >= 75.0 - 1e-6


@example(sx=1.0, sy=32.0, correlation=0.875, radius=73.0)
@given(st.floats(1, 100), st.floats(1, 100), st.floats(-0.9, 0.9), st.floats(5, 100))
def test_probability_within_a_circle_agrees_with_sampling(
    sx: float, sy: float, correlation: float, radius: float
) -> None:
    covariance = np.array([[sx**2, correlation * sx * sy], [correlation * sx * sy, sy**2]])
    points = np.random.default_rng(0).standard_normal((20_000, 2)) @ np.linalg.cholesky(covariance).T
    sampled = float((np.linalg.norm(points, axis=1) <= radius).mean())
    assert probability_within(covariance, radius) == pytest.approx(sampled, abs=0.02)


@pytest.mark.parametrize("sigmas", [0.5, 1.0, 2.28])
def test_probability_within_a_circle_of_a_thin_ellipse_is_that_of_its_long_axis(sigmas: float) -> None:
    covariance = np.diag([0.3**2, 30.0**2])
    expected = math.erf(sigmas / math.sqrt(2.0))
    assert probability_within(covariance, 30.0 * sigmas) == pytest.approx(expected, abs=1e-3)


def test_what_a_similarity_is_worth_depends_on_the_other_candidates() -> None:
    """The same best similarity is a find among poor candidates and nothing among equals."""
    far = [(float(300 * n), 0.0) for n in range(1, 21)]
    alone = most_probable_place(matches([0.7, *([0.2] * 20)], [(0, 0), *far]), SETTINGS, 30.0, 30.0)
    crowded = most_probable_place(matches([0.7, *([0.65] * 20)], [(0, 0), *far]), SETTINGS, 30.0, 30.0)
    assert alone.mass > 0.9
    assert crowded.mass < 0.1
    assert crowded.none_of_these > 0.5
