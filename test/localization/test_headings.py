"""Under which headings a frame is looked at."""

from __future__ import annotations

from lkpan_ros.localization.belief import Belief
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.config import RefinementSettings
from lkpan_ros.localization.headings import HEADINGS, Headings, turns_to_try
from test.localization.beliefs import believed, pose_of, view_from

SETTINGS = RefinementSettings()
LOST = Belief.nothing()


def looks(headings: Headings, stamps_s: list[float], belief: Belief, *, sensed: bool = True) -> list[int]:
    """Under how many headings each of some frames is looked at, none of which is refused."""
    counts = []
    for stamp_s in stamps_s:
        counts.append(len(headings.turns_deg(stamp_s, belief, SETTINGS, sensed=sensed)))
        headings.looked(stamp_s, belief, counts[-1], sensed=sensed)
    return counts


def test_a_sensed_heading_is_trusted_for_seconds_then_every_second_look_is_under_all() -> None:
    assert looks(Headings(), [0.0, 2.0, 4.0, 6.0, 7.0, 8.0], LOST) == [1, 1, 1, HEADINGS, 1, HEADINGS]


def test_time_in_which_nobody_looked_does_not_count() -> None:
    headings = Headings()
    for stamp_s in (0.0, 30.0, 60.0):  # refused before they were looked at
        assert headings.turns_deg(stamp_s, LOST, SETTINGS, sensed=True) == [0.0]
    assert looks(headings, [90.0, 92.0], LOST) == [1, 1]


def test_a_heading_that_was_away_is_trusted_anew() -> None:
    headings = Headings()
    looks(headings, [0.0, 4.0], LOST)
    assert looks(headings, [50.0], LOST, sensed=False) == [HEADINGS]
    assert looks(headings, [100.0, 104.0, 106.0], LOST) == [1, 1, HEADINGS]


def test_a_place_with_a_heading_far_off_is_looked_at_under_both_while_it_is_followed() -> None:
    assert Headings().turns_deg(0.0, believed((0.95, 0.0, 0.0, 50.0)), SETTINGS, sensed=True) == [50.0, 0.0]
    vague = believed((0.95, 0.0, 0.0, 50.0), turn_sigma_deg=40.0)
    for doubtful in (vague, believed((0.8, 0.0, 0.0, 50.0))):
        assert len(Headings().turns_deg(0.0, doubtful, SETTINGS, sensed=True)) == HEADINGS
    assert Headings().turns_deg(0.0, believed((0.8, 0.0, 0.0, 5.0)), SETTINGS, sensed=True) == [0.0]
    followed = Headings().turns_deg(0.0, believed((0.95, 0.0, 0.0, -50.0)), SETTINGS, sensed=False)
    assert followed == [310.0]


def test_the_turns_that_are_tried_are_about_the_tracks_and_never_many() -> None:
    view = view_from(pose_of(Attitude(20.0, 0.0)))
    about = turns_to_try([view], believed((0.95, 0.0, 0.0, 6.0)), SETTINGS)
    assert about[len(about) // 2] == 6.0
    vague = believed((0.95, 0.0, 0.0, 0.0))
    vague.covariance[:, 4, 4] = 170.0**2
    assert len(turns_to_try([view], vague, SETTINGS)) <= 13
