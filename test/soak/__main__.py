"""Run the localizer beside a camera at 10 Hz for a while, let everything go wrong that can, and keep the books.

python -m test.soak [--minutes N] [--seed N] [--output DIR] [--faults NAME,NAME] (`make soak`, `make soak MINUTES=60`).
Every fault happens at least once; what is left of the time is filled with more of them in a new order. The exit
status is 1 where something did not happen as it must, something grew, a picture got neither a fix nor a refusal, or
a fix was false.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lkpan_ros.errors import ConfigError
from lkpan_ros.shared_files import fastdds_profile
from lkpan_ros.tools.cli import run
from test.ros.conftest import own_domain
from test.soak import camera_faults, node_faults, peer_faults  # noqa: F401 - they enter their faults
from test.soak.fault import FAULTS, Fault
from test.soak.ledger import unaccounted
from test.soak.record import Record, Row, table, write
from test.soak.rig import Rig, SoakError
from test.soak.samples import growth
from test.soak.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_START_S = 240.0  # for the first fix of all
_WARM_UP_S = 45.0  # of the process whose growth is watched
_QUIET_S = 3.0  # between two faults
_LATE_S = 1.5  # an answer to a picture may take so long


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m test.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule (default 1)")
    parser.add_argument(
        "--output", type=Path, default=Path("soak_output"), help="folder (default soak_output)"
    )
    parser.add_argument("--faults", default="", help="some of them by name, by commas (default: all)")
    options = parser.parse_args(arguments)
    return run(lambda: _soak(options))


def _soak(options: argparse.Namespace) -> int:
    chosen = _chosen(options.faults)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no process of ours is left behind
    print("world, gallery and pictures are made (once)", flush=True)
    scene = Scene(options.output.resolve() / "scene")
    scene.make()
    domain_id, _ = own_domain()
    os.environ |= {
        "ROS_DOMAIN_ID": str(domain_id),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_PYTHON_CHECK_FIELDS": "1",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(fastdds_profile()),
    }
    logs = options.output / "logs"
    logs.mkdir(exist_ok=True)
    rig = Rig(scene, logs)
    soak = Soak(rig, options.seed)
    try:
        soak.fly(chosen, 60.0 * options.minutes)
    finally:  # Ctrl-C too: what was seen is worth having
        record = soak.close()
        write(record, options.output)
    print(table(record))
    for failure in record.failures:
        print(f"FAILED: {failure}")
    print(f"soak: {'failed' if record.failures else 'passed'}; {options.output / 'soak.png'}")
    return 1 if record.failures else 0


def _chosen(names: str) -> list[Fault]:
    """The faults that were asked for.

    Raises:
        ConfigError: There is none of that name.
    """
    known = {fault.name: fault for fault in FAULTS}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"--faults {unknown[0]!r}: give some of {','.join(known)}")
    return [known[name] for name in wanted]


def _schedule(faults: Sequence[Fault], seed: int) -> Iterator[Fault]:
    """For ever: first those that end the process, so that the next one is watched for long, then the others anew.

    What fills the histories of the middleware comes while that one warms up: what they take is not growth.
    """
    rng = random.Random(seed)
    yield from (fault for fault in faults if fault.restarts)
    others = [fault for fault in faults if not fault.restarts]
    first = [fault for fault in others if fault.fills]
    rest = [fault for fault in others if not fault.fills]
    yield from [*first, *rng.sample(rest, len(rest))]
    while others:
        yield from rng.sample(others, len(others))


class Soak:
    """One run.

    Args:
        rig: Its processes.
        seed: Of the schedule.
    """

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig = rig
        self._start_s = time.monotonic()
        self._record = Record(seed, _revision())

    def fly(self, faults: Sequence[Fault], seconds: float) -> None:
        """Let faults happen until the time is over and each has happened."""
        rig = self._rig
        print("camera and localizer start", flush=True)
        rig.await_fix(self._start_s, _START_S)
        self._start_s = time.monotonic()
        for number, fault in enumerate(_schedule(faults, self._record.seed)):
            self._quiet()
            over = time.monotonic() - self._start_s > seconds
            if number >= len(faults) and over:
                break
            row = self._happen(fault)
            self._record.rows.append(row)
            passed = "ok" if row.passed else "FAILED"
            print(
                f"[{row.at_s:6.0f} of {seconds:.0f} s] {passed}: {fault.name}: {row.seen[:150]}", flush=True
            )
        with suppress(SoakError):
            self._fill(seconds)

    def _fill(self, seconds: float) -> None:
        """Where nothing is left to happen."""
        while time.monotonic() - self._start_s < seconds:
            self._quiet()

    def close(self) -> Record:
        """End the processes. Returns what was seen."""
        self._rig.close()
        record, rig = self._record, self._rig
        entries = rig.ledger.since(self._start_s)
        record.minutes = (time.monotonic() - self._start_s) / 60.0
        record.sent = len(entries)
        record.answered = sum(entry.answered for entry in entries)
        record.fixes = sum(entry.fixed for entry in entries)
        record.false_fixes = len(rig.ledger.false_fixes())
        half_answers = rig.ledger.half_answers(time.monotonic() - _LATE_S)
        record.half_answers = len(half_answers)
        for stamp in half_answers:
            entry = rig.ledger.entries[stamp]
            sent_s = math.nan if entry.sent_s is None else entry.sent_s - self._start_s
            print(f"contradictory at {sent_s:.1f} s: geo_fix {entry.fixes}, geo_fix/report {entry.reports}")
        record.growth = growth(rig.samples, _WARM_UP_S)
        record.samples = [replace(s, at_s=s.at_s - self._start_s) for s in rig.samples]
        reports = itertools.chain.from_iterable(entry.reports for entry in entries)
        record.latency = [(r.at_s - self._start_s, r.latency_ms) for r in reports]
        record.queue = [(at_s - self._start_s, count) for at_s, count in rig.queue if at_s > self._start_s]
        return record

    def _happen(self, fault: Fault) -> Row:
        rig, start_s, back_s = self._rig, time.monotonic(), None
        before = len(rig.ledger.false_fixes())
        passed, seen = False, ""
        try:
            seen = fault.happen(rig)
            passed = True
        except (SoakError, pytest.fail.Exception) as error:
            seen = str(error)
        try:
            rig.good()
            back_s = rig.await_fix(time.monotonic())
        except (SoakError, pytest.fail.Exception) as error:
            seen += f"; afterwards {error}"
        false_fixes = len(rig.ledger.false_fixes()) - before
        passed = passed and back_s is not None and not false_fixes
        return Row(fault.name, fault.must, seen, passed, start_s - self._start_s, back_s, false_fixes)

    def _quiet(self) -> None:
        """Nothing happens: every picture is to be accounted for."""
        rig = self._rig
        rig.catch_up()
        self._await_status()
        before, start_s = rig.status, time.monotonic()
        rig.spin(_QUIET_S)
        end_s = time.monotonic()
        rig.spin(_LATE_S)
        self._await_status()
        heard, dropped = (int(rig.status[name]) - int(before[name]) for name in ("images", "dropped"))
        if missing := unaccounted(rig.ledger.since(start_s, end_s), dropped):
            sent = len(rig.ledger.since(start_s))
            print(f"{missing} pictures without an account: {sent} sent, {heard} reached the node", flush=True)
        self._record.unaccounted += missing

    def _await_status(self) -> None:
        """The next word on /diagnostics."""
        self._rig.status = {}
        self._rig.await_(lambda: "dropped" in self._rig.status, "the localizer on /diagnostics")


def _revision() -> str:
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
