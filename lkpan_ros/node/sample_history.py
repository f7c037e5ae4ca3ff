"""The last samples of a sensor, and those about a time."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")

# A sensor that has been silent for so long is not waited for.
_ALIVE_S = 2.0
# 5 s of an inertial unit at 200 Hz; a picture never waits longer.
_HISTORY = 1000
# A sample so much older than the last says that the clock has jumped (a bag that loops); less is disorder on the way.
_JUMP_S = 1.0


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One sample and when it was taken, seconds."""

    stamp_s: float
    value: T


class SampleHistory(Generic[T]):
    """The last samples of one sensor; what was said before its clock went back is forgotten."""

    def __init__(self) -> None:
        self._samples: deque[Sample[T]] = deque(maxlen=_HISTORY)
        self._arrived_s = -math.inf

    def add(self, stamp_s: float, value: T) -> None:
        """Keep a sample."""
        if self._samples and stamp_s < self._samples[-1].stamp_s - _JUMP_S:
            self._samples.clear()
        self._samples.append(Sample(stamp_s, value))
        self._arrived_s = time.monotonic()

    def nearest(self, stamp_s: float, max_age_s: float) -> T | None:
        """The sample taken closest to a time, or None where none is within `max_age_s` of it."""
        if not self._samples:
            return None
        best = min(self._samples, key=lambda sample: abs(sample.stamp_s - stamp_s))
        return best.value if abs(best.stamp_s - stamp_s) <= max_age_s else None

    def around(self, stamp_s: float, max_age_s: float) -> tuple[Sample[T], Sample[T]] | None:
        """The last sample until a time and the first from then on.

        None where one of them is missing or not within `max_age_s` of it.
        """
        near = [sample for sample in self._samples if abs(sample.stamp_s - stamp_s) <= max_age_s]
        before = [sample for sample in near if sample.stamp_s <= stamp_s]
        after = [sample for sample in near if sample.stamp_s >= stamp_s]
        if not before or not after:
            return None
        by_stamp = attrgetter("stamp_s")
        return max(before, key=by_stamp), min(after, key=by_stamp)

    def may_still_come(self, stamp_s: float) -> bool:
        """Whether the sensor lives and has not yet said anything about this time or a later one."""
        if time.monotonic() - self._arrived_s > _ALIVE_S:
            return False
        return self._samples[-1].stamp_s < stamp_s
