"""What a process holds while it runs, and whether that grows."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import theilslopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_BLOCKS = 40  # a series is summed up in so many medians: what comes and goes is no growth
# Beyond this a slope is growth, per minute; its whole 95 % interval must lie beyond.
LIMITS = {"memory_mb": 1.0, "descriptors": 0.5, "threads": 0.5}


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        at_s: On the monotonic clock.
        pid: Of the process.
        memory_mb: Resident.
        descriptors: Open.
        threads: Alive.
    """

    at_s: float
    pid: int
    memory_mb: float
    descriptors: int
    threads: int


def sample(pid: int) -> Sample | None:
    """Look at a process; None: it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        descriptors, threads = (sum(1 for _ in (folder / name).iterdir()) for name in ("fd", "task"))
    except (OSError, IndexError):
        return None
    return Sample(time.monotonic(), pid, pages * _PAGE_MB, descriptors, threads)


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a living process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Growth:
    """How a figure of the process that lived longest went on after its warm-up.

    Attributes:
        name: Of the figure.
        first: Median of the first tenth.
        last: Of the last.
        slope: Per minute (Theil and Sen).
        low: Lower end of its 95 % interval.
        high: Upper end.
        minutes: That were watched.
    """

    name: str
    first: float
    last: float
    slope: float
    low: float
    high: float
    minutes: float

    @property
    def grows(self) -> bool:
        """Beyond noise, and beyond what matters."""
        return self.low > LIMITS[self.name]


def growth(samples: list[Sample], warm_up_s: float) -> list[Growth]:
    """Of the process with the most samples, without its first seconds. Empty: it did not live long enough."""
    by_pid: dict[int, list[Sample]] = {}
    for entry in samples:
        by_pid.setdefault(entry.pid, []).append(entry)
    longest = max(by_pid.values(), key=len, default=[])
    kept = [s for s in longest if s.at_s >= longest[0].at_s + warm_up_s]
    if len(kept) < 2 * _BLOCKS:
        return []
    minutes = np.array([s.at_s - kept[0].at_s for s in kept]) / 60.0
    return [_growth(name, minutes, np.array([float(getattr(s, name)) for s in kept])) for name in LIMITS]


def _growth(name: str, minutes: NDArray[np.float64], values: NDArray[np.float64]) -> Growth:
    blocks = np.array_split(np.arange(len(values)), _BLOCKS)
    middle = np.array([np.median(values[block]) for block in blocks])
    times = np.array([np.median(minutes[block]) for block in blocks])
    slope, _, low, high = theilslopes(middle, times, 0.95)
    tenth = math.ceil(len(values) / 10)
    first, last = float(np.median(values[:tenth])), float(np.median(values[-tenth:]))
    return Growth(name, first, last, float(slope), float(low), float(high), float(minutes[-1]))
