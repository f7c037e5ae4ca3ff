"""The filter along a flight: starts, losses, jumps, hovering, the map's edge and places that look alike."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.config import FilterSettings
from test.localization.beliefs import NO_HEADING, believed, everywhere, evidence, mass_near, nowhere

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = FilterSettings(loss_rate_per_s=0.01, miss_probability=0.1)
LOSSLESS = FilterSettings(loss_rate_per_s=0.0, miss_probability=0.1)
SPEED_MPS = 8.0
HEADING = replace(NO_HEADING, heading_deg=5.0)


def follow(place: BayesFilter, east_m: Sequence[float], odds: float = 20.0, step_s: float = 1.0) -> None:
    """Frames a step apart, each with the right place (on the x axis) and a foreign one that is as likely as none."""
    rng = np.random.default_rng(5)
    for east in east_m:
        place.predict(step_s, NO_HEADING)
        foreign = rng.uniform(-1000, 1000, 2)
        place.update(evidence((east, 0.0, odds), (*foreign, 1.0)), everywhere)


@pytest.fixture
def place() -> BayesFilter:
    return BayesFilter(SETTINGS)


def test_weak_evidence_for_one_path_adds_up(place: BayesFilter) -> None:
    follow(place, [0.0], odds=1.0)
    assert mass_near(place.belief, (0.0, 0.0)) < 0.4
    follow(place, [SPEED_MPS * k for k in range(1, 4)], odds=1.0)
    assert mass_near(place.belief, (24.0, 0.0)) > 0.95
    assert place.belief.mean[0, 2] == pytest.approx(SPEED_MPS, abs=2.5)


@pytest.mark.parametrize("frames", [1, 3, 20])
def test_it_recovers_from_a_wrong_start(place: BayesFilter, frames: int) -> None:
    follow(place, [700.0] * frames)
    assert mass_near(place.belief, (700.0, 0.0)) > 0.9
    follow(place, [-SPEED_MPS * k for k in range(5)])
    assert mass_near(place.belief, (-4 * SPEED_MPS, 0.0)) > 0.95


@pytest.mark.parametrize("gap_s", [5.0, 60.0, 3600.0])
def test_it_recovers_after_a_gap(place: BayesFilter, gap_s: float) -> None:
    follow(place, [SPEED_MPS * k for k in range(10)])
    place.predict(gap_s, NO_HEADING)
    back_m = SPEED_MPS * (9 + gap_s)
    follow(place, [back_m + SPEED_MPS * k for k in range(3)])
    assert mass_near(place.belief, (back_m + 2 * SPEED_MPS, 0.0)) > 0.95


def test_a_vehicle_that_was_carried_away_is_found_again_within_seconds(place: BayesFilter) -> None:
    follow(place, [SPEED_MPS * k for k in range(60)])
    follow(place, [-2000.0])
    assert mass_near(place.belief, (-2000.0, 0.0)) < 0.95  # one frame does not outweigh sixty
    follow(place, [-2000.0 + SPEED_MPS * k for k in range(1, 5)])
    assert mass_near(place.belief, (-2000.0 + 4 * SPEED_MPS, 0.0)) > 0.9


def test_the_same_said_again_makes_nothing_more_probable_but_holds_the_place(place: BayesFilter) -> None:
    said = evidence((0.0, 0.0, 2.0), (500.0, 0.0, 2.0))
    place.update(said, everywhere)
    before = place.belief
    for _ in range(60):
        place.predict(0.1, NO_HEADING)
        place.update(said, everywhere, news=0.0)
    after = place.belief
    for east_m in (0.0, 500.0):
        share = mass_near(before, (east_m, 0.0))
        assert mass_near(after, (east_m, 0.0)) == pytest.approx(share, abs=0.01)
    held = after.covariance[after.weight > 0.1][:, [0, 1], [0, 1]]
    assert held.max() < 5.0**2  # 6 s alone would have made it tens of metres


def test_a_vague_track_is_held_by_a_clear_look_but_not_by_a_doubtful_one() -> None:
    """What might look like it once more is no reason to draw a track there that could be anywhere about it."""
    place = BayesFilter(SETTINGS)
    place.belief = believed((0.9, 0.0, 0.0), sigma_m=100.0)
    place.update(evidence((80.0, 0.0, 0.5)), everywhere, news=0.0)
    assert np.hypot(*place.belief.mean[0, :2]) < 1.0
    assert place.belief.covariance[0, 0, 0] == pytest.approx(100.0**2)
    assert place.belief.weight[0] == pytest.approx(0.9)
    place.update(evidence((80.0, 0.0, 50.0)), everywhere, news=0.0)
    assert np.hypot(*(place.belief.mean[0, :2] - (80.0, 0.0))) < 5.0


def test_after_long_silence_a_single_look_is_no_longer_enough_but_two_are(place: BayesFilter) -> None:
    """One look in a hundred finds a place where there is none: off the map there are hundreds of looks."""
    said = evidence((0.0, 0.0, 40.0))
    place.update(said, everywhere)
    assert mass_near(place.belief, (0.0, 0.0)) > 0.95
    place.reset()
    for _ in range(20):
        place.update(evidence((300.0, 300.0, 0.01)), everywhere)
        place.predict(5.0, NO_HEADING)
    place.update(said, everywhere)
    once = mass_near(place.belief, (0.0, 0.0))
    assert 0.5 < once < 0.95
    place.predict(0.1, NO_HEADING)
    place.update(said, everywhere)
    assert mass_near(place.belief, (0.0, 0.0)) > 0.95


def test_a_track_goes_on_where_its_compass_works_again(place: BayesFilter) -> None:
    place.belief = believed((0.95, 0.0, 0.0, -100.0))
    place.let_compass_recover(0.02, HEADING)
    said = replace(
        evidence((2.0, 0.0, 100.0), turn_deg=[1.0], errors=HEADING), looks_deg=np.array([-100.0, 0.0])
    )
    place.update(said, everywhere)
    assert mass_near(place.belief, (0.0, 0.0)) > 0.95
    assert place.belief.turn_deg[0] == pytest.approx(1.0, abs=1.0)


def test_what_was_not_looked_at_is_not_missed(place: BayesFilter) -> None:
    place.belief = believed((0.45, 0.0, 0.0, 0.0), (0.45, 500.0, 0.0, 50.0))
    said = replace(evidence((900.0, 900.0, 1e-6)), looks_deg=np.array([-9.0, 0.0, 9.0]))
    place.update(said, everywhere)
    looked, other = place.belief.weight[place.belief.weight > 0.01][::-1]
    assert looked / other == pytest.approx(SETTINGS.miss_probability, rel=0.01)


def test_waiting_makes_no_first_find_more_probable() -> None:
    """On the ground, frame after frame is refused before it is looked at."""
    fresh, waited = BayesFilter(SETTINGS), BayesFilter(SETTINGS)
    for _ in range(300):
        waited.predict(1.0, NO_HEADING)
    for place in (fresh, waited):
        place.update(evidence((0.0, 0.0, 1e-6)), everywhere)
        place.update(evidence((0.0, 0.0, 40.0)), everywhere)
    assert mass_near(waited.belief, (0.0, 0.0)) == pytest.approx(mass_near(fresh.belief, (0.0, 0.0)))


def test_halves_of_news_weigh_as_much_as_the_whole_between_places_and_a_birth_less() -> None:
    said = evidence((0.0, 0.0, 150.0), (900.0, 0.0, 150.0))
    whole, halves = BayesFilter(LOSSLESS), BayesFilter(LOSSLESS)
    whole.belief = halves.belief = believed((0.2, 0.0, 0.0), (0.7, 500.0, 0.0), sigma_m=1.0)
    whole.update(said, everywhere, news=1.0)
    halves.update(said, everywhere, news=0.5)
    by_whole, by_half = (
        [mass_near(place.belief, (east_m, 0.0)) for east_m in (0.0, 500.0, 900.0)]
        for place in (whole, halves)
    )
    assert (by_half[0] / by_half[1]) / (0.2 / 0.7) == pytest.approx(
        math.sqrt(by_whole[0] / by_whole[1] / (0.2 / 0.7)), rel=0.05
    )
    assert by_half[2] < 0.1


@pytest.mark.parametrize("elapsed_s", [0.1, 10.0, 100.0])
def test_what_is_not_found_again_loses_its_share_to_elsewhere(place: BayesFilter, elapsed_s: float) -> None:
    """Off the map, where silence itself says nothing."""
    place.belief = believed((0.6, 0.0, 0.0), (0.3, 500.0, 0.0))
    for _ in range(2):
        still = np.zeros(2)
        place.predict(elapsed_s / 2.0, NO_HEADING, displacement_m=still)
    place.update(evidence(), nowhere)
    kept = np.exp(-elapsed_s * SETTINGS.loss_rate_per_s)
    assert place.belief.weight == pytest.approx([0.6 * kept, 0.3 * kept])
    place.update(evidence(), nowhere)  # no time has passed
    assert place.belief.weight == pytest.approx([0.6 * kept, 0.3 * kept])


@pytest.mark.parametrize("kind", ["news", "no news"])
def test_what_is_found_again_loses_nothing(place: BayesFilter, kind: str) -> None:
    place.belief = believed((0.9, 0.0, 0.0))
    place.predict(600.0, NO_HEADING, displacement_m=np.zeros(2))
    place.update(evidence((0.0, 0.0, 150.0)), everywhere, news=float(kind == "news"))
    assert mass_near(place.belief, (0.0, 0.0)) > 0.899


def test_two_look_alikes_stay_two_however_often_one_is_found_without_news() -> None:
    place = BayesFilter(LOSSLESS)
    place.update(evidence((0.0, 0.0, 20.0), (500.0, 0.0, 20.0)), everywhere)
    before = place.belief.elsewhere
    for _ in range(30):
        place.predict(0.1, NO_HEADING, displacement_m=np.zeros(2))
        place.update(evidence((0.0, 0.0, 150.0)), everywhere, news=0.0)
    both = [mass_near(place.belief, (east_m, 0.0)) for east_m in (0.0, 500.0)]
    assert both == pytest.approx([(1.0 - before) / 2.0] * 2, abs=0.01)


def test_a_false_branch_of_a_track_is_sifted_out_without_news_and_its_mass_stays_with_the_track() -> None:
    place = BayesFilter(LOSSLESS)
    place.belief = believed((0.4, 0.0, 0.0), (0.4, 25.0, 0.0), (0.1, 500.0, 0.0), track=[0, 0, 1])
    for _ in range(10):
        place.update(evidence((0.0, 0.0, 150.0)), everywhere, news=0.0)
    masses = [mass_near(place.belief, (east_m, 0.0), 10.0) for east_m in (0.0, 25.0, 500.0)]
    assert masses == pytest.approx([0.8, 0.0, 0.1], abs=0.01)


def test_hypotheses_of_a_track_are_never_far_apart() -> None:
    """Two branches that begin beside one another and part are two places, not two ways to go on with one."""
    place = BayesFilter(LOSSLESS)
    place.belief = believed((0.9, 12.0, 0.0), sigma_m=10.0)
    for step in range(20):
        said = evidence((-6.0 * step, 0.0, 20.0), (24.0 + 6.0 * step, 0.0, 20.0))
        place.update(said, everywhere)
        place.predict(1.0, NO_HEADING)
    belief = place.belief.select(np.flatnonzero(place.belief.weight > 0.1))
    assert np.ptp(belief.mean[:, 0]) > 200.0
    for track in set(belief.track.tolist()):
        assert np.ptp(belief.mean[belief.track == track, 0]) < 60.0


def test_what_was_only_sought_counts_by_its_odds_but_upholds_no_more_than_that() -> None:
    weight = {}
    for sought in (False, True):
        place = BayesFilter(SETTINGS)
        place.belief = believed((0.5, 0.0, 0.0), sigma_m=0.1, turn_sigma_deg=0.1)
        place.update(evidence((0.0, 0.0, 1.0), sought=sought), everywhere)
        weight[sought] = place.belief.weight[0] / place.belief.elsewhere
    # Beside what is born there again from what is elsewhere, 1 for its odds of 1.
    assert weight[True] == pytest.approx(SETTINGS.miss_probability + 1.0 + 1.0, abs=0.01)
    assert weight[False] == pytest.approx(SETTINGS.miss_probability + SETTINGS.upholding + 1.0, abs=0.01)


def test_what_the_compass_contradicts_is_born_with_less(place: BayesFilter) -> None:
    place.update(evidence((0.0, 0.0, 4.0), prior=0.25), everywhere)
    assert place.belief.weight == pytest.approx([0.5])


def test_silence_counts_on_the_map_only() -> None:
    weight = []
    for on_map in (everywhere, nowhere):
        place = BayesFilter(SETTINGS)
        place.belief = believed((0.9, 0.0, 0.0))
        place.update(evidence((3000.0, 3000.0, 0.01)), on_map)
        weight.append(mass_near(place.belief, (0.0, 0.0)))
    assert weight[0] == pytest.approx(0.09 / (0.09 + 0.1 * 1.01), abs=0.01)
    assert weight[1] == pytest.approx(0.9, abs=0.01)


def test_places_that_look_alike_stay_open_until_the_way_tells_them_apart(place: BayesFilter) -> None:
    alike = [(0.0, 0.0), (400.0, 300.0)]
    for frame in range(6):
        place.predict(1.0, NO_HEADING)
        east_m = SPEED_MPS * frame
        place.update(evidence(*((x + east_m, y, 30.0) for x, y in alike)), everywhere)
    both = [mass_near(place.belief, (x + SPEED_MPS * 5, y)) for x, y in alike]
    assert both == pytest.approx([0.5, 0.5], abs=0.03)
    for frame in (6, 7):  # now only one of them looks like it
        place.predict(1.0, NO_HEADING)
        place.update(evidence((SPEED_MPS * frame, 0.0, 30.0)), everywhere)
    assert mass_near(place.belief, (SPEED_MPS * 7, 0.0)) > 0.95


def test_odometry_tells_a_path_from_a_place_that_does_not_move() -> None:
    """A look-alike that appears where the way does not lead gets nothing of the track."""
    place = BayesFilter(SETTINGS)
    place.update(evidence((0.0, 0.0, 5.0), (200.0, 0.0, 5.0)), everywhere)
    for frame in range(1, 4):
        place.predict(1.0, NO_HEADING, displacement_m=np.array([0.0, 15.0]), displacement_sigma_m=1.0)
        place.update(evidence((0.0, 15.0 * frame, 5.0), (200.0, 0.0, 5.0)), everywhere)
    assert mass_near(place.belief, (0.0, 45.0)) > 0.95


@pytest.mark.parametrize("side_m", [300.0, 3e3, 3e5])
def test_the_number_of_hypotheses_does_not_grow_with_the_map(side_m: float) -> None:
    place, rng = BayesFilter(SETTINGS), np.random.default_rng(2)
    for _ in range(12):
        place.predict(0.5, NO_HEADING)
        places = rng.uniform(0.0, side_m, (36, 2))
        place.update(evidence(*((x, y, 0.3) for x, y in places)), everywhere)
        assert len(place.belief) <= 64


def test_foreign_ground_is_never_believed(place: BayesFilter) -> None:
    """Frames of ground that is not in the gallery: here and there something looks a little like it."""
    rng = np.random.default_rng(3)
    for _ in range(120):
        place.predict(1.0, NO_HEADING)
        places = rng.uniform(-1000, 1000, (12, 2))
        place.update(evidence(*((x, y, 0.005) for x, y in places)), everywhere)
        assert place.belief.weight.max(initial=0.0) < 0.5  # far from the gate
