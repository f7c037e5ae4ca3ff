"""What holds for the filter whatever it is told, and how it lets time pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import HEIGHT, PLACE, RATE, TILT, TURN, SensorErrors
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import FilterSettings
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.view import turned_clockwise
from test.localization.beliefs import (
    NO_HEADING,
    NO_LEVER,
    believed,
    everywhere,
    evidence,
    fields_of,
    lever_of,
    nowhere,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief, Evidence

SETTINGS = FilterSettings(loss_rate_per_s=0.01, miss_probability=0.1)
LOSSLESS = replace(SETTINGS, loss_rate_per_s=0.0)
KEPT = 64  # hypotheses
COMPASS = SensorErrors(heading_deg=5.0, height_ratio=0.05, tilt_deg=2.0)
OBLIQUE = lever_of(Attitude(45.0, 30.0, 4.0), 120.0)

metres = st.floats(-5000, 5000)
alternatives = st.lists(
    st.tuples(metres, metres, st.one_of(st.just(0.0), st.floats(1e-12, 150))), min_size=0, max_size=12
)


@st.composite
def frames(draw: st.DrawFn) -> tuple[float, Evidence, bool, bool]:
    """How long after the one before, what it says, whether what is believed lies on the map, and if it is news."""
    places = draw(alternatives)
    said = evidence(
        *places,
        sigma_m=draw(st.floats(0.5, 60)),
        turn_deg=[draw(st.floats(-400, 400)) for _ in places],
        turn_sigma_deg=draw(st.floats(0.1, 20)),
        stretch=draw(st.floats(-0.2, 0.2)),
        stretch_sigma=draw(st.floats(0.01, 1.0)),
        sought=draw(st.booleans()),
        prior=draw(st.floats(1e-6, 1.0)),
        lever=draw(st.sampled_from([NO_LEVER, OBLIQUE])),
        errors=draw(st.sampled_from([NO_HEADING, COMPASS])),
    )
    return draw(st.one_of(st.just(0.0), st.floats(1e-3, 100))), said, draw(st.booleans()), draw(st.booleans())


def check(belief: Belief) -> None:
    assert belief.weight.sum() + belief.elsewhere == pytest.approx(1.0, abs=1e-9)
    assert (belief.weight >= 0.0).all()
    assert belief.elsewhere >= 0.0
    assert len(belief) <= KEPT
    assert all(np.isfinite(value).all() for value in vars(belief).values())
    assert np.allclose(belief.covariance, belief.covariance.transpose(0, 2, 1), rtol=1e-9, atol=1e-9)
    if len(belief):
        assert np.linalg.eigvalsh(belief.covariance).min() > 0.0
        assert (belief.turn_sigma_deg > 0.0).all()
        assert np.abs(belief.turn_deg).max() <= 180.0


@settings(max_examples=30)
@given(st.lists(frames(), min_size=1, max_size=6), st.sampled_from([None, (3.0, -4.0)]))
def test_it_stays_a_probability_whatever_it_is_told(
    flight: list[tuple[float, Evidence, bool, bool]], step: tuple[float, float] | None
) -> None:
    place = BayesFilter(SETTINGS)
    for elapsed_s, said, on_map, news in flight:
        step_m = None if step is None else np.array(step)
        place.predict(
            elapsed_s, said.errors, displacement_m=step_m, displacement_sigma_m=0.3, turn_sigma_deg=1.0
        )
        check(place.belief)
        place.update(said, everywhere if on_map else nowhere, news=news)
        check(place.belief)


@settings(max_examples=10)
@given(st.lists(frames(), min_size=1, max_size=4))
def test_the_same_inputs_give_the_same_belief(flight: list[tuple[float, Evidence, bool, bool]]) -> None:
    beliefs = []
    for _ in range(2):
        place = BayesFilter(SETTINGS)
        for elapsed_s, said, _, news in flight:
            place.predict(elapsed_s, said.errors, turn_sigma_deg=1.0)
            place.update(said, everywhere, news=news)
        beliefs.append(fields_of(place.belief))
    assert beliefs[0] == beliefs[1]


@given(st.lists(st.floats(0.0, 150.0), min_size=1, max_size=8))
def test_the_first_frame_is_believed_by_its_odds(odds: list[float]) -> None:
    place = BayesFilter(SETTINGS)
    place.update(evidence(*((500.0 * k, 0.0, o) for k, o in enumerate(odds))), everywhere)
    whole = 1.0 + sum(odds)
    assert place.belief.elsewhere == pytest.approx(1.0 / whole, abs=1e-5)
    expected = sorted((o / whole for o in odds if o / whole > 1e-6), reverse=True)
    assert place.belief.weight[: len(expected)] == pytest.approx(expected, abs=1e-5)


def test_an_update_with_one_gaussian_is_kalmans() -> None:
    place = BayesFilter(replace(SETTINGS, miss_probability=0.001))
    place.belief = believed((1.0, 0.0, 0.0), sigma_m=3.0)
    place.update(evidence((4.0, 0.0, 100.0), sigma_m=3.0), everywhere)
    assert place.belief.mean[0, :2] == pytest.approx([2.0, 0.0], abs=0.01)
    assert place.belief.covariance[0, 0, 0] == pytest.approx(4.5, abs=0.05)
    assert place.belief.turn_sigma_deg[0] == pytest.approx(2.0 / np.sqrt(2.0), abs=0.01)


def test_an_update_through_a_lever_is_what_samples_say() -> None:
    """Vehicles drawn from the belief, weighted by how well view, turn and scale agree with their own."""
    lever = lever_of(Attitude(45.0, 30.0, 4.0), 120.0)
    before = believed((1.0, 10.0, -20.0), height_sigma=0.04, tilt_sigma_deg=1.0)
    said = evidence(
        (77.0, 93.0, 100.0), sigma_m=3.0, turn_deg=[1.5], stretch=0.02, stretch_sigma=0.03, lever=lever
    )
    place = BayesFilter(replace(SETTINGS, miss_probability=0.001))
    place.belief = before
    place.update(said, everywhere, news=0.0)
    drawn = np.random.default_rng(0).multivariate_normal(before.mean[0], before.covariance[0], 200_000)
    apart = (lever.view_m(drawn) - said.view_m) / 3.0
    squared = (apart**2).sum(axis=1) + ((drawn[:, TURN] - 1.5) / 2.0) ** 2
    stretch = drawn[:, HEIGHT] + drawn[:, TILT] @ lever.stretch_per_tilt
    weight = np.exp(-0.5 * (squared + ((stretch - 0.02) / 0.03) ** 2))
    mean = weight @ drawn / weight.sum()
    covariance = (weight[:, None] * (drawn - mean)).T @ (drawn - mean) / weight.sum()
    sigma = np.sqrt(np.diag(covariance))
    assert np.allclose(place.belief.mean[0] / sigma, mean / sigma, atol=0.1)
    unit = np.outer(sigma, sigma)
    assert np.allclose(place.belief.covariance[0] / unit, covariance / unit, atol=0.05)


@given(st.integers(0, 10**6), st.floats(0.01, 30))
def test_a_hypothesis_of_the_wrong_heading_is_not_supported(seed: int, sigma_deg: float) -> None:
    turn = float(np.random.default_rng(seed).uniform(-180, 180))
    place = BayesFilter(SETTINGS)
    place.belief = believed(
        (0.45, 0.0, 0.0, turn), (0.45, 1.0, 0.0, float(wrap_degrees(np.array(turn + 180.0))))
    )
    said = evidence((0.0, 0.0, 50.0), turn_deg=[turn + 360.0], turn_sigma_deg=sigma_deg)
    place.update(said, everywhere)
    assert place.belief.weight[0] > 0.8
    assert abs(wrap_degrees(np.array(place.belief.turn_deg[0] - turn))) < 5.0


@given(st.floats(0.01, 60), st.floats(0.2, 60), st.floats(0.5, 60))
def test_two_short_waits_are_one_long_wait(elapsed_s: float, memory_s: float, speed_mps: float) -> None:
    wandering = replace(LOSSLESS, velocity_memory_s=memory_s, max_speed_mps=speed_mps)
    once, twice = BayesFilter(wandering), BayesFilter(wandering)
    once.belief = twice.belief = _moving()
    once.predict(elapsed_s, COMPASS)
    twice.predict(elapsed_s / 3, COMPASS)
    twice.predict(elapsed_s * 2 / 3, COMPASS)
    if len(once.belief) or len(twice.belief):  # else too vague to be kept
        assert np.allclose(once.belief.mean, twice.belief.mean)
        assert np.allclose(once.belief.covariance, twice.belief.covariance, rtol=1e-6)


def _moving() -> Belief:
    belief = believed((1.0, 10.0, -20.0))
    belief.mean[0, RATE] = 7.0, -3.0
    belief.mean[0, TURN:] = 3.0, 0.04, -1.0, 2.0
    return belief


@pytest.mark.parametrize("elapsed_s", [1.0, 6.0, 20.0])
def test_wandering_spreads_as_simulated_vehicles_do(elapsed_s: float) -> None:
    """Velocities of max_speed / 2 on each axis that last velocity_memory_s, in small steps."""
    rng, steps, memory_s, sigma = np.random.default_rng(1), 400, SETTINGS.velocity_memory_s, 10.0
    step_s = elapsed_s / steps
    rate, place = rng.normal(0.0, sigma, 20_000), np.zeros(20_000)
    for _ in range(steps):
        kick = rng.normal(0.0, sigma * np.sqrt(2.0 * step_s / memory_s), len(rate))
        place += rate * step_s
        rate += -rate * step_s / memory_s + kick
    simulated: NDArray[Any] = np.cov(place, rate)
    wandering = BayesFilter(LOSSLESS)
    wandering.belief = believed((1.0, 0.0, 0.0), sigma_m=1e-3, rate_sigma_mps=sigma)
    wandering.predict(elapsed_s, NO_HEADING)
    for axis in (0, 1):
        found = wandering.belief.covariance[0][np.ix_([axis, axis + 2], [axis, axis + 2])]
        assert np.allclose(found, simulated, rtol=0.05, atol=0.02 * simulated[0, 0] ** 0.5 * sigma)


def test_a_vehicle_gets_no_further_than_its_speed_allows_for() -> None:
    place = BayesFilter(LOSSLESS)
    place.update(evidence((0.0, 0.0, 100.0)), everywhere)
    place.predict(2.0, NO_HEADING)
    sigma_m = np.sqrt(place.belief.covariance[0, 0, 0])
    assert 15.0 < 2.0 * sigma_m < 45.0  # 40 m is as far as it gets


def test_odometry_moves_each_hypothesis_by_its_own_step() -> None:
    place = BayesFilter(LOSSLESS)
    place.belief = believed((0.5, 0.0, 0.0), (0.4, 100.0, 0.0))
    steps_m = np.array([[6.0, 0.0], [0.0, -8.0]])
    place.predict(2.0, NO_HEADING, displacement_m=steps_m, displacement_sigma_m=1.0, turn_deg=30.0)
    assert np.allclose(place.belief.mean[:, PLACE], [[6.0, 0.0], [100.0, -8.0]])
    assert np.allclose(place.belief.mean[:, RATE], [[3.0, 0.0], [0.0, -4.0]])
    across_m2 = (np.array([6.0, 8.0]) * np.radians(2.0)) ** 2  # were the heading wrong by its deviation
    variance_m2 = place.belief.covariance[:, [0, 1], [0, 1]]
    assert np.allclose(variance_m2, [[26.0, 26.0 + across_m2[0]], [26.0 + across_m2[1], 26.0]])
    assert np.allclose(place.belief.turn_deg, 30.0)


@given(st.floats(-180, 180), st.floats(1, 200))
def test_a_way_by_odometry_turns_with_the_error_of_the_heading(azimuth: float, way_m: float) -> None:
    """Found later, the heading's error says where the vehicle is: as if the way had been laid out by it."""
    step_m = way_m * np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
    place = BayesFilter(LOSSLESS)
    place.belief = believed((1.0, 0.0, 0.0), sigma_m=0.1, turn_sigma_deg=2.0)
    place.predict(2.0, NO_HEADING, displacement_m=step_m, displacement_sigma_m=0.01)
    covariance = place.belief.covariance[0]
    moved_m = covariance[PLACE, TURN] / covariance[TURN, TURN] * 0.1  # for a tenth of a degree to the right
    assert np.allclose(step_m + moved_m, turned_clockwise(step_m, 0.1), atol=1e-4 * way_m)


def test_what_became_too_vague_is_dropped() -> None:
    place = BayesFilter(SETTINGS)
    place.belief = believed((0.9, 0.0, 0.0))
    place.predict(3600.0, NO_HEADING)
    assert len(place.belief) == 0
    assert place.belief.elsewhere == 1.0


@given(st.floats(0.1, 1e5))
def test_errors_of_height_and_tilt_drift_no_further_than_the_sensors_err(elapsed_s: float) -> None:
    place = BayesFilter(LOSSLESS)
    place.belief = believed((0.9, 0.0, 0.0), height_sigma=0.001, tilt_sigma_deg=0.01)
    place.belief.mean[0, TURN:] = 0.0, 0.1, 3.0, -4.0
    place.predict(elapsed_s, COMPASS, displacement_m=np.zeros(2))
    mean, sigma = place.belief.mean[0], np.sqrt(np.diag(place.belief.covariance[0]))
    assert 0.0 <= mean[HEIGHT] < 0.1
    assert (np.abs(mean[TILT]) < (3.0, 4.0)).all()
    assert 0.001 < sigma[HEIGHT] <= COMPASS.height_ratio
    assert (sigma[TILT] > 0.01).all()
    assert (sigma[TILT] <= COMPASS.tilt_deg).all()


@given(st.floats(-1e4, 1e4))
def test_wrapped_angles_are_the_same_within_half_a_turn(angle_deg: float) -> None:
    within = float(wrap_degrees(np.array(angle_deg)))
    assert -180.0 <= within < 180.0
    assert np.cos(np.radians(within - angle_deg)) == pytest.approx(1.0)


def test_reset_forgets_and_configure_does_not() -> None:
    place = BayesFilter(SETTINGS)
    place.update(evidence((0.0, 0.0, 100.0)), everywhere)
    place.configure(replace(SETTINGS, loss_rate_per_s=1.0))
    assert len(place.belief) == 1
    place.predict(10.0, NO_HEADING)
    place.update(evidence(), nowhere)
    assert place.belief.elsewhere > 0.99
    place.reset()
    assert len(place.belief) == 0
