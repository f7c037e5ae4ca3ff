"""Command line: run the benchmarks one after the other, each in a process of its own.

python -m benchmarks [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import MISSED
from lkpan_ros.tools import cli

FOLDER = Path(__file__).parent
NO_BENCHMARK = {"__init__", "__main__", "measuring", "search_data", "search_opening", "search_picture"}


def main() -> int:
    """Run those that are named, or all; the exit status is 1 where one failed or missed a bar."""
    known = sorted({path.stem for path in FOLDER.glob("*.py")} - NO_BENCHMARK)
    parser = argparse.ArgumentParser(prog="benchmarks", description="Run benchmarks and write their results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)} (default: all)")
    names = parser.parse_args().names or known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(known)}")
    return cli.run(lambda: _run(names), "interrupted; benchmarks that had ended have written their results")


def _run(names: list[str]) -> int:
    said = {0: "done", MISSED: "a bar was MISSED"}
    status = {}
    for name in names:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        status[name] = subprocess.run(command, cwd=FOLDER.parent, check=False).returncode  # noqa: S603 - our own words
    print()
    for name, code in status.items():
        print(f"{name:<12}{said.get(code, f'FAILED (exit status {code})')}")
    return int(any(status.values()))


if __name__ == "__main__":
    sys.exit(main())
