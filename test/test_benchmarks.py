"""The frame of the benchmarks: turns, ratios, bars, results on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import measuring
from benchmarks.measuring import MISSED, Row, in_turns, publish, ratios

if TYPE_CHECKING:
    from pathlib import Path


def test_contenders_take_turns_after_a_warm_up() -> None:
    calls: list[str] = []
    clock = iter(range(100))
    times = in_turns(
        {"peer": lambda: calls.append("peer"), "ours": lambda: calls.append("ours")},
        2,
        clock=lambda: float(next(clock)),
        prepare=lambda: calls.append("-"),
    )
    assert " ".join(calls) == "- peer - ours - peer - ours - peer - ours"
    assert times == {"peer": [1.0, 1.0], "ours": [1.0, 1.0]}


def test_ratios_are_formed_within_a_turn() -> None:
    assert ratios([4.0, 40.0], [2.0, 10.0]) == [2.0, 4.0]


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (Row("c", "n", [1.0], "ms"), True),
        (Row("c", "n", [1.0], "ms", [1.0, 3.0, 9.0], at_least=3.0), True),
        (Row("c", "n", [1.0], "ms", [1.0, 2.9, 9.0], at_least=3.0), False),
        (Row("c", "n", [1.0], "ms", at_least=3.0), False),  # nothing measured
        (Row("c", "n", [1.0, 5.0, 30.0], "ms", at_most=5.0), True),
        (Row("c", "n", [1.0, 5.1, 30.0], "ms", at_most=5.0), False),
    ],
)
def test_the_median_is_held_to_the_bar(row: Row, *, passed: bool) -> None:
    assert row.passed is passed


def test_results_are_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "RESULTS", tmp_path / "results")
    row = Row("a case", "a contender", [2.0, 1.0, 3.0], "ms", [1.5, 1.2, 9.0], at_least=2.0)
    assert publish("some", [row], {"repeats": 3}, {"note": "kept"}) == MISSED
    assert "1.5x" in (said := capsys.readouterr().out)
    assert "MISSED" in said
    content = json.loads((tmp_path / "results" / "some.json").read_text())
    assert content["settings"] == {"repeats": 3}
    assert content["note"] == "kept"
    assert content["machine"]["cores"] >= 1
    assert content["rows"][0]["ms"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert content["rows"][0]["ratio_to_peer"] == {"median": 1.5, "min": 1.2, "max": 9.0}
    assert content["rows"][0]["passed"] is False


@pytest.mark.slow
def test_unknown_benchmark_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no benchmark nothing; choose from" in done.stderr
