"""Notices that the clock of the pictures has gone back: a bag that loops, a simulation started anew."""

from __future__ import annotations

import math

_JUMP_S = 1.0
_IN_A_ROW = 3


class StampWatch:
    """Tells a clock that has gone back from a picture that comes late.

    A late picture stands alone among newer ones; after a jump every picture is older than those before it by more
    than a second, and they follow each other.
    """

    def __init__(self) -> None:
        self._newest_s = -math.inf
        self._run: list[float] = []  # old stamps in a row, rising

    def jumped_back_s(self, stamp_s: float) -> float | None:
        """By how much the clock has gone back, seconds, once this picture leaves no doubt; None otherwise."""
        if stamp_s >= self._newest_s - _JUMP_S:
            self._newest_s = max(self._newest_s, stamp_s)
            self._run.clear()
            return None
        if self._run and stamp_s <= self._run[-1]:
            self._run.clear()
        self._run.append(stamp_s)
        if len(self._run) < _IN_A_ROW:
            return None
        back_s = self._newest_s - self._run[0]
        self._newest_s = stamp_s
        self._run.clear()
        return back_s
