"""A middleware that has gone deaf is told from sensors that are silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.node.hearing import PERIOD_S, HearingWatch


class Life:
    """A watch that is asked in time, but for the stops."""

    def __init__(self, messages: int = 500) -> None:
        self._watch, self._now_s, self._messages = HearingWatch(), 100.0, messages
        self.said: list[str] = []

    def go_on(self, seconds: float, rate_hz: float = 0.0, publishers: int = 1) -> Life:
        """Checks in time, over which messages come."""
        checks = round(seconds / PERIOD_S)
        start = self._messages
        for number in range(1, checks + 1):
            self._now_s += PERIOD_S
            self._messages = start + int(number * PERIOD_S * rate_hz)
            self.said.append(self._watch.check(self._now_s, self._messages, publishers))
        return self

    def stop(self, seconds: float, queued: int = 0) -> Life:
        """No check; then messages that had waited."""
        self._now_s += seconds
        self.said.append(self._watch.check(self._now_s, self._messages, 1))
        self._messages += queued
        return self

    @property
    def deaf(self) -> bool:
        return any(self.said)


def test_silence_after_standing_still_is_deafness_though_the_queues_are_emptied_first() -> None:
    life = Life().go_on(5.0, 10.0).stop(5.0, queued=10).go_on(9.0)
    assert not life.deaf
    life.go_on(2.0)
    assert "stood still for 5 s, and for 10 s since it has heard nothing" in next(filter(None, life.said))


def test_short_stops_count_too() -> None:
    assert Life().go_on(5.0, 10.0).stop(1.4).go_on(11.0).deaf


def test_silence_alone_is_none() -> None:
    assert not Life().go_on(5.0, 10.0).go_on(60.0).deaf


def test_who_hears_again_is_not_deaf_and_may_fall_silent_later() -> None:
    assert not Life().go_on(5.0, 10.0).stop(5.0).go_on(5.0, 1.0).go_on(60.0).deaf


def test_who_heard_nothing_before_cannot_tell() -> None:
    assert not Life().go_on(5.0, 10.0).go_on(6.0).stop(5.0).go_on(60.0).deaf
    assert not Life().go_on(PERIOD_S).stop(5.0).go_on(60.0).deaf  # a count of an activation before


def test_a_camera_that_is_gone_is_not_missed_and_may_take_its_time_when_it_is_back() -> None:
    assert not Life().go_on(5.0, 10.0).stop(5.0).go_on(60.0, publishers=0).go_on(9.0).deaf


def test_silence_is_counted_anew_after_another_stop() -> None:
    assert not Life().go_on(5.0, 10.0).stop(5.0).go_on(1.0).stop(30.0).go_on(9.0).deaf


@given(gaps_s=st.lists(st.floats(0.1, 30.0), max_size=40))
def test_who_hears_something_at_every_check_is_never_deaf(gaps_s: list[float]) -> None:
    watch, now_s = HearingWatch(), 0.0
    for count, gap_s in enumerate(gaps_s, 1):
        now_s += gap_s
        assert watch.check(now_s, count, 1) == ""
