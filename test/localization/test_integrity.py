"""From a belief to a place and its probability, and why a place is not good enough."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lkpan_ros.localization.belief import PLACE, TURN, Belief
from lkpan_ros.localization.integrity import (
    Place,
    most_probable_place,
    not_below,
    probability_within,
    refusal_reason,
)
from lkpan_ros.localization.types import Reason
from test.localization.beliefs import believed

RADIUS_M = 30.0


def place_of(belief: Belief) -> Place:
    place = most_probable_place(belief, RADIUS_M)
    assert place is not None
    return place


def test_nothing_believed_is_no_place() -> None:
    assert most_probable_place(Belief.nothing(), RADIUS_M) is None
    assert refusal_reason(None, 0.9) is Reason.LOW_SIMILARITY


def test_one_hypothesis_is_the_place() -> None:
    place = place_of(believed((0.9, 100.0, -50.0, 12.0), (0.05, 300.0, 0.0)))
    assert np.allclose(place.mean[PLACE], [100.0, -50.0])
    assert np.allclose(place.covariance[PLACE, PLACE], np.eye(2) * 25.0)
    assert place.mean[TURN] == 12.0
    assert (place.mass, place.runner_up, place.elsewhere) == pytest.approx((0.9, 0.05, 0.05))


def test_hypotheses_within_the_radius_make_one_place_and_widen_it() -> None:
    place = place_of(believed((0.4, 0.0, 0.0), (0.4, 20.0, 0.0), (0.2, 500.0, 0.0)))
    assert np.allclose(place.mean[PLACE], [10.0, 0.0])
    assert np.allclose(place.covariance[PLACE, PLACE], np.diag([25.0 + 100.0, 25.0]))
    assert place.mass == pytest.approx(0.8)
    assert place.runner_up == pytest.approx(0.2)


@given(
    st.lists(
        st.tuples(st.floats(0.001, 1), st.floats(-200, 200), st.floats(-200, 200)), min_size=1, max_size=30
    ),
    st.floats(0, 1),
)
def test_probabilities_are_shares_of_one(
    hypotheses: list[tuple[float, float, float]], elsewhere: float
) -> None:
    whole = sum(h[0] for h in hypotheses) / (1.0 - 0.99 * elsewhere)
    place = place_of(believed(*((w / whole, x, y) for w, x, y in hypotheses)))
    assert 0.0 <= place.runner_up <= place.mass + 1e-9
    assert place.mass + place.runner_up + place.elsewhere <= 1.0 + 1e-9
    assert np.linalg.eigvalsh(place.covariance[PLACE, PLACE]).min() >= 25.0 - 1e-6


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ((0.3,), Reason.LOW_SIMILARITY),
        ((0.5, 0.45), Reason.AMBIGUOUS),
        ((0.6,), Reason.AMBIGUOUS),
        ((0.95,), Reason.UNCERTAIN),
    ],
)
def test_the_reason_names_the_doubt(weights: tuple[float, ...], reason: Reason) -> None:
    belief = believed(*((weight, 500.0 * k, 0.0) for k, weight in enumerate(weights)))
    assert refusal_reason(place_of(belief), 0.9) is reason


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


def test_headings_on_both_sides_of_south_are_joined_there() -> None:
    place = place_of(believed((0.4, 0.0, 0.0, 178.0), (0.4, 0.0, 0.0, -178.0)))
    assert math.cos(math.radians(place.mean[TURN] - 180.0)) == pytest.approx(1.0)
    assert place.covariance[TURN, TURN] == pytest.approx(4.0 + 4.0)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 180), st.floats(0.1, 10))
def test_a_floor_raises_what_lies_below_it_and_nothing_else(
    long_m: float, short_m: float, azimuth: float, sigma_m: float
) -> None:
    c, s = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    axes = np.array([[c, -s], [s, c]])
    covariance = axes @ np.diag([long_m**2, short_m**2]) @ axes.T
    expected = axes @ np.diag(np.maximum([long_m, short_m], sigma_m) ** 2) @ axes.T
    assert np.allclose(not_below(covariance, sigma_m), expected, atol=1e-9 * max(long_m, short_m, 1.0) ** 2)


def test_what_is_no_number_stays_none_under_a_floor() -> None:
    assert np.isnan(not_below(np.full((2, 2), np.nan), 1.0)).any()
