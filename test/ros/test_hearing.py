"""A middleware that has gone deaf is told from sensors that are silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.node.hearing import HearingWatch


def told(*checks: tuple[float, int], publishers: int = 1) -> list[str]:
    watch = HearingWatch()
    return [watch.check(now_s, messages, publishers) for now_s, messages in checks]


def seconds(first: int, end: int, messages: int) -> list[tuple[float, int]]:
    """Checks once a second in which nothing is heard."""
    return [(float(second), messages) for second in range(first, end)]


FLIGHT = [(float(second), 10 * second) for second in range(1, 6)]


def test_silence_after_standing_still_is_deafness_though_the_queues_are_emptied_first() -> None:
    said = told(*FLIGHT, (10.0, 58), (11.0, 60), *seconds(12, 22, 60))
    assert said[:-2] == [""] * (len(said) - 2)
    assert "stood still for 5 s, and for 10 s since it has heard nothing" in said[-2]


def test_silence_alone_is_none() -> None:
    assert set(told(*FLIGHT, *seconds(6, 60, 50))) == {""}


def test_who_is_heard_again_is_not_deaf() -> None:
    after = [(float(second), 50 + second) for second in range(10, 20)]
    assert set(told(*FLIGHT, *after, *seconds(20, 60, 69))) == {""}


def test_a_node_that_heard_nothing_before_cannot_tell() -> None:
    assert set(told(*FLIGHT, *seconds(6, 12, 50), *seconds(17, 60, 50))) == {""}


def test_without_a_publisher_there_is_nothing_to_hear() -> None:
    assert set(told(*FLIGHT, *seconds(10, 60, 50), publishers=0)) == {""}


@given(gaps_s=st.lists(st.floats(0.5, 30.0), max_size=40))
def test_who_hears_something_at_every_check_is_never_deaf(gaps_s: list[float]) -> None:
    watch, now_s = HearingWatch(), 0.0
    for count, gap_s in enumerate(gaps_s, 1):
        now_s += gap_s
        assert watch.check(now_s, count, 1) == ""
