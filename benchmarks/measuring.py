"""What every benchmark does alike: contenders in turns, ratios within a turn, medians and spread, table and JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkpan_model.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RESULTS = Path(__file__).parent / "results"
MISSED = 3  # exit status where a bar is missed; Python takes 1 and 2 for itself
_LIBRARIES = ("numpy", "opencv-python-headless", "torch", "timm", "openvino", "onnxruntime", "faiss-cpu")
_COLUMNS = ("case", "contender", "median", "min .. max", "ratio to peer", "min .. max", "bar", "")


@dataclass(frozen=True)
class Row:
    """A contender's figures in one case.

    Attributes:
        case: What it was given.
        contender: Who it is.
        values: One figure a turn.
        unit: Of the values.
        ratios: How many times better than its peer, one a turn, see `ratios`; None for the peer itself.
        at_least: Bar that the median ratio must reach; None: no bar.
        at_most: Bar that the median value must not exceed; None: no bar.
    """

    case: str
    contender: str
    values: Sequence[float]
    unit: str
    ratios: Sequence[float] | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it meets its bars."""
        ratio = statistics.median(self.ratios) if self.ratios else None
        return (self.at_least is None or (ratio is not None and ratio >= self.at_least)) and (
            self.at_most is None or statistics.median(self.values) <= self.at_most
        )

    @property
    def bar(self) -> str:
        """The bars in words; empty without one."""
        least = [] if self.at_least is None else [f">= {self.at_least:g}x"]
        return ", ".join([*least, *([] if self.at_most is None else [f"<= {self.at_most:g} {self.unit}"])])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "case": self.case,
            "contender": self.contender,
            self.unit: spread(self.values),
            **({"ratio_to_peer": spread(self.ratios)} if self.ratios else {}),
            **({"bar": self.bar, "passed": self.passed} if self.bar else {}),
        }


def in_turns(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    prepare: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of every contender in every turn: each goes once a turn, so that a slow minute of the machine hits all.

    Args:
        contenders: By name. Each is called once before, untimed.
        repeats: Turns.
        clock: `time.thread_time` for work of this thread alone, which a busy machine disturbs less.
        prepare: Called before every call, untimed.
    """
    for task in contenders.values():
        prepare()
        task()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, task in contenders.items():
            prepare()
            began = clock()
            task()
            times[name].append(clock() - began)
    return times


def ratios(peer: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as long the peer took, turn by turn."""
    return [theirs / own for theirs, own in zip(peer, ours, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def publish(
    name: str, rows: Sequence[Row], settings: Mapping[str, Any], details: Mapping[str, Any] | None = None
) -> int:
    """Print the table and write `benchmarks/results/NAME.json`.

    Args:
        name: Of the benchmark.
        rows: Its figures.
        settings: What it was run with, as JSON values.
        details: Further findings, as JSON values.

    Returns:
        Exit status: `MISSED` where a bar is missed, else 0.
    """
    print(f"\n{table(rows)}")
    content = {
        "machine": machine(),
        "settings": dict(settings),
        "rows": [row.to_dict() for row in rows],
        **(details or {}),
    }
    RESULTS.mkdir(exist_ok=True)
    write_whole(RESULTS / f"{name}.json", (json.dumps(content, indent=1) + "\n").encode())
    return 0 if all(row.passed for row in rows) else MISSED


def table(rows: Sequence[Row]) -> str:
    """The figures in columns, for a screen."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def machine() -> dict[str, Any]:
    """Processor, cores and the versions of what is installed of the libraries that matter."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def _cells(row: Row) -> tuple[str, ...]:
    median, *extremes = (f"{value:.4g}" for value in spread(row.values).values())
    times, *range_ = (f"{value:.3g}" for value in spread(row.ratios).values()) if row.ratios else ("", "", "")
    return (
        row.case,
        row.contender,
        f"{median} {row.unit}",
        " .. ".join(extremes),
        f"{times}x" if times else "",
        " .. ".join(range_) if times else "",
        row.bar,
        ("passed" if row.passed else "MISSED") if row.bar else "",
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
