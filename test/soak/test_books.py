"""The soak's own judgement: what is false, what is missing, what grows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from test.soak.ledger import Entry, Ledger, Report, unaccounted
from test.soak.record import Record, Row, markdown, table, write
from test.soak.samples import Sample, cpu_s, growth, sample
from test.soak.scene import there_and_back

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HERE = LatLon(47.4, 8.5)


def east_of(metres: float) -> LatLon:
    return LocalFrame(HERE).point(metres, 0.0)


def report(reason: str = "", reference: str = "vehicle") -> Report:
    return Report(reason, "" if reason else reference, 20.0, at_s=1.0)


def ledger_of(**entries: Entry) -> Ledger:
    ledger = Ledger()
    for number, entry in enumerate(entries.values()):
        ledger.entries[number, 0] = entry
    return ledger


def test_a_fix_is_judged_by_what_it_says_to_be_the_position_of() -> None:
    of_vehicle = Entry(HERE, east_of(100.0), 0.0, [east_of(29.0)], [report()])
    of_view = Entry(HERE, east_of(100.0), 0.0, [east_of(90.0)], [report(reference="view")])
    far = Entry(HERE, east_of(100.0), 0.0, [east_of(31.0)], [report()])
    one_of_two = Entry(HERE, None, 0.0, [east_of(5.0), east_of(70.0)], [report(), report()])
    unknown = Entry(None, None, None, [east_of(500.0)], [report()])
    ledger = ledger_of(a=of_vehicle, b=of_view, c=far, d=one_of_two, e=unknown)
    assert [stamp[0] for stamp, _ in ledger.false_fixes()] == [2, 3]


def test_messages_that_contradict_each_other_are_found() -> None:
    refused = Entry(HERE, None, 0.0, [None], [report("ambiguous")])
    said_otherwise = Entry(HERE, None, 0.0, [east_of(1.0)], [report("ambiguous")])
    half = Entry(HERE, None, 0.0, [], [report()])
    two_nodes = Entry(HERE, None, 0.0, [None, east_of(1.0)], [report(), report("ambiguous")])
    ledger = ledger_of(a=refused, b=said_otherwise, c=half, d=two_nodes)
    assert [stamp[0] for stamp in ledger.half_answers(before_s=2.0)] == [1, 2]
    assert ledger.half_answers(before_s=0.5) == []  # the rest may still come
    ledger.stops.append(0.5)
    assert [stamp[0] for stamp in ledger.half_answers(before_s=2.0)] == [1]  # the other half may be lost


@given(answered=st.integers(0, 20), silent=st.integers(0, 20), dropped=st.integers(0, 20))
def test_every_picture_is_answered_or_counted(answered: int, silent: int, dropped: int) -> None:
    entries = [Entry(HERE, None, 0.0, [None], [report("ambiguous")]) for _ in range(answered)]
    entries += [Entry(HERE, None, 0.0) for _ in range(silent)]
    assert unaccounted(entries, dropped) == max(0, silent - dropped)


def test_the_flight_of_the_soak_has_no_jump_of_place_or_speed() -> None:
    numbers = np.array(there_and_back(300))
    assert (numbers.min(), numbers.max()) == (0, 299)
    steps = np.diff(np.append(numbers, numbers[0]))
    assert np.abs(steps).max() == 1
    speed = np.convolve(np.tile(steps, 3), np.full(10, 0.1), "valid")  # frames a step, over a second
    assert np.abs(np.diff(speed)).max() <= 0.2


def series(memory_mb: NDArray[np.float64], pid: int = 7) -> list[Sample]:
    return [Sample(float(second), pid, float(mb), 40, 20) for second, mb in enumerate(memory_mb)]


@given(seed=st.integers(0, 1000))
def test_noise_and_what_comes_and_goes_are_no_growth_and_a_leak_is(seed: int) -> None:
    rng, seconds = np.random.default_rng(seed), np.arange(600.0)
    noisy = 800.0 + rng.normal(0.0, 10.0, 600) + 150.0 * (rng.random(600) < 0.05)
    assert not any(g.grows for g in growth(series(noisy), 45.0))
    leaking = growth(series(noisy + 4.0 * seconds / 60.0), 45.0)
    assert [g.name for g in leaking if g.grows] == ["memory_mb"]
    assert leaking[0].slope == pytest.approx(4.0, abs=1.5)


def test_the_process_that_lived_longest_is_watched_after_its_warm_up() -> None:
    short, warming = (
        series(np.full(100, 500.0), pid=1),
        np.minimum(np.arange(345.0) * 18.0, 800.0),
    )
    (memory, *_) = growth([*short, *series(warming, pid=2)], 45.0)
    assert (memory.first, memory.slope) == (800.0, 0.0)
    assert growth(short, 45.0) == []


def test_the_time_that_a_process_computes_is_read() -> None:
    used = cpu_s(os.getpid())
    assert used == pytest.approx(sum(os.times()[:2]), abs=0.1)


def test_a_process_that_has_ended_has_no_sample() -> None:
    assert sample(2**22 + 1) is None


def test_a_record_says_why_it_failed_and_is_written(tmp_path: Path) -> None:
    good = Row(
        "gallery_reloaded", "fixes go on", "441 tiles", passed=True, at_s=1.0, back_s=0.3, false_fixes=0
    )
    bad = Row(
        "killed",
        "back within 10 s",
        "first fix after 28 s",
        passed=False,
        at_s=9.0,
        back_s=None,
        false_fixes=2,
    )
    record = Record(1, "abc", 10.0, [good, bad], sent=20, answered=18, fixes=10, false_fixes=2, unaccounted=1)
    record.growth = growth(series(np.array([500.0 + second / 6.0 for second in range(600)])), 45.0)
    record.samples, record.latency, record.queue = (
        series(np.full(9, 5.0)),
        [(1.0, 20.0)],
        [(1.0, 3), (2.0, -1)],
    )
    failures = "\n".join(record.failures)
    for words in (
        "first fix after 28 s",
        "memory_mb grows by 10",
        "2 false fixes",
        "1 pictures without",
        "3 pictures in",
        "1 times that more",
    ):
        assert words in failures
    assert "FAIL killed  (fix after never, 2 false)" in table(record)
    assert "2 kinds of fault, 2 in all, 1 as they must" in table(record)
    write(record, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"soak.txt", "soak.md", "soak.json", "soak.png"}
    assert (
        "| killed | back within 10 s | 1 | **1 not as it must:** first fix after 28 s | never |"
        in markdown(record)
    )


def test_there_are_faults_of_every_kind_each_with_what_must_happen() -> None:
    pytest.importorskip("rclpy")
    from test.soak import camera_faults, node_faults  # noqa: F401 - they enter their faults
    from test.soak.fault import FAULTS

    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert all(fault.must for fault in FAULTS)
