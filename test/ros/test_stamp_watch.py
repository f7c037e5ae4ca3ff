"""A clock that goes back is told from pictures that come late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.node.stamp_watch import StampWatch


def jumps(*stamps_s: float) -> list[float | None]:
    watch = StampWatch()
    return [watch.jumped_back_s(stamp_s) for stamp_s in stamps_s]


def test_several_old_pictures_in_a_row_are_a_jump_and_it_is_told_once() -> None:
    assert jumps(100.0, 101.0, 20.0, 21.0, 22.0, 23.0, 24.0) == [None] * 4 + [81.0, None, None]


def test_each_round_of_a_loop_is_a_jump() -> None:
    told = jumps(*[float(second) for _ in range(3) for second in range(10)])
    assert [index for index, back_s in enumerate(told) if back_s is not None] == [12, 22]


def test_a_stamp_from_the_future_does_not_last() -> None:
    assert jumps(10.0, 9e9, 10.2, 10.4, 10.6, 10.8)[-2:] == [pytest.approx(9e9 - 10.2), None]


def test_late_pictures_among_newer_ones_are_no_jump() -> None:
    assert set(jumps(100.0, 20.0, 100.1, 21.0, 22.0, 100.2, 23.0, 24.0, 100.3)) == {None}


def test_the_same_old_picture_again_and_again_is_no_jump() -> None:
    assert set(jumps(100.0, *[20.0] * 20)) == {None}


@given(
    steps=st.lists(st.floats(0.0, 5.0), max_size=30),
    late=st.lists(st.floats(0.0, 1.0), min_size=30, max_size=30),
)
def test_a_clock_that_goes_on_never_jumps_however_its_pictures_are_shuffled(
    steps: list[float], late: list[float]
) -> None:
    now_s, stamps = 1000.0, []
    for step, back in zip(steps, late, strict=False):
        now_s += step
        stamps.append(now_s - 0.99 * back)
    assert set(jumps(*stamps)) <= {None}
