"""Runs cases of one decoder in this process, and says what became of each.

python -m test.fuzz.child NAME SEED FIRST END: a line of JSON for each case on standard output. A case that crashes or
hangs ends the process: the line before tells which it was.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from test.fuzz.decoder import Decoder

SLOWEST_S = 2.0  # of the processor's time: others may keep the machine busy
HANGS_S = 30.0  # after so long, by the clock, the process ends itself
_MORE_ADDRESSES = 8 << 30  # beyond these no allocation succeeds
_MEMORY_WORDS = ("cannot allocate", "unable to allocate", "insufficient memory", "failed to allocate", "bad_alloc")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: Its number.
        result: "accepted", or the name of the error that refused it.
        seconds: Of the processor.
        mib: Memory that it took beyond what was in use.
        limit_mib: Memory that it might have taken.
        finding: What is wrong; empty: nothing.
    """

    case: int
    result: str
    seconds: float
    mib: float
    limit_mib: float
    finding: str = ""


def run(decoder: Decoder, seed: int, cases: range) -> Iterator[Outcome]:
    """Run cases one after the other."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for case in cases:
            place = folder / str(case)
            place.mkdir()
            yield _run_one(decoder, Random(f"{seed} {decoder.name} {case}"), place, case)
            shutil.rmtree(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_one(decoder: Decoder, rng: Random, folder: Path, case: int) -> Outcome:
    read = decoder.make(rng, folder)
    before_kib = _forget_peak()
    start_s = time.process_time()
    result, finding = "accepted", ""
    try:
        read()
    except decoder.named as error:
        result = type(error).__name__
        if any(word in str(error).lower() for word in _MEMORY_WORDS):
            finding = f"asked for memory that there is not: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        result = type(error).__name__
        finding = f"{type(error).__module__}.{result}: {error}"
    seconds, mib = time.process_time() - start_s, (_kib("VmHWM") - before_kib) / 1024
    if seconds > SLOWEST_S:
        finding = finding or f"took {seconds:.1f} s"
    if mib > decoder.memory_mib:
        finding = finding or f"took {mib:.0f} MiB"
    return Outcome(case, result, seconds, max(0.0, mib), decoder.memory_mib, finding[:500])


def _forget_peak() -> int:
    """Let the highest use of memory count from now on. Returns the use, KiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _kib("VmRSS")


def _kib(name: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(text.partition(f"{name}:")[2].split(maxsplit=1)[0])


def _limit_addresses() -> None:
    most = _kib("VmSize") * 1024 + _MORE_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Run the command line."""
    from test.fuzz.decoders import find

    name, seed, first, end = sys.argv[1], *map(int, sys.argv[2:])
    decoder = find(name)
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no outcome
    for _ in run(decoder, -1, range(3)):  # what is loaded at the first use is no part of a case
        pass
    _limit_addresses()
    outcomes = run(decoder, seed, range(first, end))
    for case in range(first, end):
        lines.write(f"{case}\n")
        lines.flush()
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        outcome = next(outcomes)
        faulthandler.cancel_dump_traceback_later()
        lines.write(json.dumps(asdict(outcome)) + "\n")
    lines.flush()


if __name__ == "__main__":
    main()
