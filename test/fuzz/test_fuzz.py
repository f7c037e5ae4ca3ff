"""The fuzzer finds what it is for, and a few cases of each decoder; thousands of them are `make fuzz`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lkpan_ros.errors import ImageError
from lkpan_ros.localization.calibration_file import read_calibration
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_index import EXACT
from test.conftest import REPOSITORY
from test.fuzz import child
from test.fuzz.decoder import CORPUS, Decoder
from test.fuzz.decoders import find, names
from test.fuzz.parent import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


def decoder(read: Callable[[], object], memory_mib: int = 50) -> Decoder:
    def make(_rng: Random, _folder: Path) -> Callable[[], object]:
        return read

    return Decoder("a decoder", make, memory_mib=memory_mib)


def refuse() -> None:
    raise ImageError("no picture")


def fail() -> None:
    raise KeyError("a defect")


def be_slow() -> None:
    end_s = time.process_time() + child.SLOWEST_S + 0.1
    while time.process_time() < end_s:
        pass


def take_memory() -> None:
    bytearray(b"x") * 100_000_000


def ask_for_too_much() -> None:
    try:
        bytearray(1 << 60)
    except MemoryError as error:
        raise ImageError("unable to allocate") from error


@pytest.mark.parametrize(
    ("read", "result", "finding"),
    [
        (list, "accepted", ""),
        (refuse, "ImageError", ""),
        (fail, "KeyError", "a defect"),
        (be_slow, "accepted", "took 2."),
        (take_memory, "accepted", "MiB"),
        (ask_for_too_much, "ImageError", "memory that there is not"),
    ],
)
def test_what_is_wrong_is_found(read: Callable[[], object], result: str, finding: str) -> None:
    (outcome,) = child.run(decoder(read), 1, range(7, 8))
    assert (outcome.case, outcome.result) == (7, result)
    assert finding in outcome.finding
    assert bool(outcome.finding) == bool(finding)
    tally = Tally("a decoder")
    tally.add(outcome)
    assert bool(tally.findings) == bool(finding)


@pytest.mark.parametrize("name", names())
def test_a_few_cases_of_each_decoder(name: str) -> None:
    """In this process: one that crashes or hangs takes the test run along."""
    found = [outcome for outcome in child.run(find(name), 2, range(15)) if outcome.finding]
    assert found == []


def test_cases_follow_from_their_numbers() -> None:
    tested = find("GeoTIFF")
    results = [[outcome.result for outcome in child.run(tested, 1, range(first, 12))] for first in (0, 4)]
    assert results[0][4:] == results[1]


@pytest.mark.slow
def test_the_command_counts_every_case() -> None:
    command = [sys.executable, "-m", "test.fuzz", "--cases", "20", "--only", "calibration", "signature"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert json.dumps([[cell.strip() for cell in row] for row in rows[2:]]) == json.dumps(
        [["calibration", "20"], ["signature", "20"]]
    )


@pytest.mark.slow
def test_a_crash_and_a_hang_are_told_from_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a decoder that does both: the processes that follow go on behind the case."""
    from test.fuzz import parent

    script = tmp_path / "python"
    body = (
        "import faulthandler, os, sys, time\n"
        "first, end = int(sys.argv[5]), int(sys.argv[6])\n"
        "for case in range(first, end):\n"
        "    print(case, flush=True)\n"
        "    if case == 1:\n"
        "        os.kill(os.getpid(), 11)\n"
        "    if case == 3:\n"
        "        faulthandler.dump_traceback_later(0.2, exit=True)\n"
        "        time.sleep(60)\n"
        '    print(f\'{{"case": {case}, "result": "accepted", "seconds": 0, "mib": 0, "limit_mib": 50}}\', flush=True)\n'
    )
    script.write_text(f"#!{sys.executable}\n{body}")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    tally = parent.run("a decoder", 1, range(5), lambda _: None)
    assert tally.results == {"accepted": 3, "crash": 1, "hang": 1}
    assert tally.findings == {"the process has a crash": (1, 1), "the process has a hang": (3, 1)}


def test_the_corpus_is_of_the_formats_of_today() -> None:
    """Where a format has changed: python -m test.fuzz.make_corpus."""
    assert read_calibration(CORPUS / "city.calibration.json").settings
    assert len(Gallery.load(CORPUS / "exact.gallery")) == 5
    assert Gallery.load(CORPUS / "indexed.gallery").info.index.spec != EXACT
    assert Gallery.load(CORPUS / "refined.gallery").info.index.refined
