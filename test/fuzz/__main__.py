"""Runs every decoder over thousands of cases and prints a table: python -m test.fuzz [--cases 10000] [--seed 1].

Each decoder has processes of its own: one that a case has crashed or hung is followed by another, from the next case
on. A case is found again by its number: python -m test.fuzz --only GeoTIFF --seed 1 --case 4711.
"""

from __future__ import annotations

import argparse
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tqdm import tqdm

from test.fuzz.decoders import find, names
from test.fuzz.parent import Tally, run

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> int:
    """Run the command line. Returns its exit status: 1 where something was found."""
    options = _parser().parse_args()
    chosen = options.only or names()
    if options.case is not None:
        return _again(chosen, options.seed, options.case)
    cases = range(options.first, options.first + options.cases)
    with tqdm(total=len(chosen) * len(cases), unit="case", file=sys.stderr, dynamic_ncols=True) as bar:
        one = partial(run, seed=options.seed, cases=cases, progress=bar.update, most_s=options.seconds)
        with ThreadPoolExecutor(options.processes) as pool:
            tallies = list(pool.map(one, chosen))
    print(_table(tallies))
    for tally in tallies:
        for what, (case, times) in tally.findings.items():
            print(f"FOUND {tally.name}, case {case} ({times} such): {what}")
    return 1 if any(tally.findings for tally in tallies) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m test.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="for each decoder (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="what all cases follow from (default 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case (default 0)")
    parser.add_argument("--only", nargs="*", choices=names(), metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        help="for each decoder; the table tells how many cases that were",
    )
    parser.add_argument("--processes", type=int, default=2, help="at a time (default 2)")
    parser.add_argument("--case", type=int, help="run this case alone, here, and show its traceback")
    return parser


def _again(chosen: Sequence[str], seed: int, case: int) -> int:
    for name in chosen:
        with TemporaryDirectory() as folder:
            read = find(name).make(Random(f"{seed} {name} {case}"), Path(folder))
            print(f"{name}: {read()!r}")
    return 0


def _table(tallies: list[Tally]) -> str:
    rows = [
        [
            tally.name,
            f"{tally.cases}",
            f"{tally.results.get('accepted', 0)}",
            ", ".join(f"{name} {count}" for name, count in tally.results.most_common() if name != "accepted"),
            f"{tally.slowest_s:.2f} s",
            f"{tally.peak_mib:.0f} / {tally.limit_mib:.0f} MiB",
            f"{sum(times for _, times in tally.findings.values())}",
        ]
        for tally in tallies
    ]
    head = ["decoder", "cases", "accepted", "refused by", "slowest", "most memory / limit", "findings"]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    sys.exit(main())
