"""Has processes run the cases of a decoder, and counts what they say."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from test.conftest import REPOSITORY
from test.fuzz.child import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE = 2500  # cases of a process: what leaks from case to case does not add up
_MOST_DEATHS = 20  # of processes of one decoder: then the rest is not worth the wait
_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}


@dataclass
class Tally:
    """What became of the cases of a decoder.

    Attributes:
        name: Of the decoder.
        limit_mib: Memory that a case may take.
        cases: How many there were.
        results: How many were accepted, or refused by which error.
        slowest_s: Of the processor.
        peak_mib: Most memory that a case took.
        findings: First case and how many there were, by what is wrong with them.
    """

    name: str
    limit_mib: float = 0.0
    cases: int = 0
    results: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    findings: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count a case."""
        self.cases += 1
        self.results[outcome.result] += 1
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.peak_mib, self.limit_mib = max(self.peak_mib, outcome.mib), outcome.limit_mib
        if outcome.finding:
            kind = re.sub(r"[\d.]+", "N", outcome.finding)[:160]
            first, times = self.findings.get(kind, (outcome.case, 0))
            self.findings[kind] = (first, times + 1)


def run(
    name: str, seed: int, cases: range, progress: Callable[[int], object], most_s: float = math.inf
) -> Tally:
    """Run cases of a decoder in processes of their own, one after the other; those that `most_s` leaves time for."""
    tally, first, deaths, end_s = Tally(name), cases.start, 0, time.monotonic() + most_s
    while first < cases.stop and deaths < _MOST_DEATHS and time.monotonic() < end_s:
        done = _run_process(seed, range(first, min(first + _AT_ONCE, cases.stop)), tally, progress, end_s)
        deaths += done.died
        first = done.next
    return tally


@dataclass(frozen=True)
class _Done:
    next: int  # the first case that was not run
    died: bool


def _run_process(
    seed: int, cases: range, tally: Tally, progress: Callable[[int], object], end_s: float
) -> _Done:
    words = (tally.name, str(seed), str(cases.start), str(cases.stop))
    command = [sys.executable, "-m", "test.fuzz.child", *words]
    running: int | None = None
    with (
        tempfile.TemporaryFile("w+", errors="replace") as complaints,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=os.environ | _QUIET,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if isinstance(said, int):
                running = said
            else:
                tally.add(Outcome(**said))
                progress(1)
                running = None
            if time.monotonic() > end_s:
                process.kill()
                return _Done(cases.stop, died=False)
        process.wait()
        complaints.seek(0)
        complaint = complaints.read()
    if process.returncode == 0:
        return _Done(cases.stop, died=False)
    if running is None:
        raise RuntimeError(f"{' '.join(command)} ends with {process.returncode}:\n{complaint[-2000:]}")
    what = "hang" if "Timeout (" in complaint else "crash"
    tally.add(Outcome(running, what, 0.0, 0.0, tally.limit_mib, f"the process has a {what}"))
    progress(1)
    return _Done(running + 1, died=True)
