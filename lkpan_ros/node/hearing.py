"""Notices that the middleware has gone deaf.

A process that stands still for a second and more (stopped, swapped out, starved) is taken for dead by those who send to
it: Fast DDS then replaces the shared memory in which it listens. It is to notice that when it goes on. About once in
forty times it does not (Fast DDS 3.2): it goes on to send, and hears neither pictures nor services for ever.
"""

from __future__ import annotations

import math

PERIOD_S = 0.25  # between two checks
_STOOD_S = 1.0  # between two checks: the process stood still
_HEARS_S = 2.0  # what was heard so shortly before says that there was something to hear
_QUEUED_CHECKS = 10  # 2.5 s: what is taken from the queues so soon afterwards was heard before
_DEAF_CHECKS = 40  # 10 s


class HearingWatch:
    """Asked every `PERIOD_S`, it tells a middleware that is deaf from sensors that are silent.

    Where it cannot tell, it says nothing: if nothing was heard in the two seconds before the process stood still, or
    nobody publishes pictures now.
    """

    def __init__(self) -> None:
        self._check_s = self._heard_s = -math.inf
        self._messages: int | None = None
        self._publishers = 0
        self._stood_s = 0.0
        self._silent: int | None = None  # checks in time since it stood still; None: it has heard since

    def check(self, now_s: float, messages: int, publishers: int) -> str:
        """Whether nothing can be heard any more.

        Args:
            now_s: On the monotonic clock.
            messages: Heard so far, of all subscriptions.
            publishers: That pictures should be heard from.

        Returns:
            Why the process should end and be started anew; empty: all is well, or nobody knows.
        """
        before_s, self._check_s = self._check_s, now_s
        heard = self._messages is not None and messages != self._messages
        changed = publishers != self._publishers
        self._messages, self._publishers = messages, publishers
        if _STOOD_S < now_s - before_s < math.inf:
            if self._silent is not None or before_s - self._heard_s < _HEARS_S:
                self._silent, self._stood_s = 0, now_s - before_s
        elif self._silent is None:
            self._heard_s = now_s if heard else self._heard_s
        else:
            self._count(now_s, heard=heard, changed=changed)
        if self._silent is None or self._silent < _DEAF_CHECKS or not publishers:
            return ""
        return (
            f"the process stood still for {self._stood_s:.0f} s, and for {self._silent * PERIOD_S:.0f} s since it has "
            f"heard nothing though {publishers} publisher(s) of pictures are there: the middleware is deaf"
        )

    def _count(self, now_s: float, *, heard: bool, changed: bool) -> None:
        """One more check in time since the process stood still."""
        assert self._silent is not None
        if heard and self._silent >= _QUEUED_CHECKS:
            self._silent, self._heard_s = None, now_s
        elif changed:  # who has just come may take a while before it sends
            self._silent = 0
        else:
            self._silent += 1
