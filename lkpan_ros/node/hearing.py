"""Notices that the middleware has gone deaf.

A process that stands still for a second and more (stopped, swapped out, starved) is taken for dead by those who send to
it: Fast DDS then replaces the shared memory in which it listens. It is to notice that when it goes on. About once in
forty times it does not (Fast DDS 3.2): it goes on to send, and hears neither pictures nor services for ever.
"""

from __future__ import annotations

import math

_STOOD_S = 2.0  # between two checks, which come once a second
_QUEUED_S = 2.5  # what is taken from the queues so soon afterwards was heard before
_DEAF_S = 10.0


class HearingWatch:
    """Asked once a second, it tells a middleware that is deaf from sensors that are silent."""

    def __init__(self) -> None:
        self._check_s = self._heard_s = -math.inf
        self._messages = 0
        self._stood_s = 0.0
        self._since_s: float | None = None

    def check(self, now_s: float, messages: int, publishers: int) -> str:
        """Whether nothing can be heard any more.

        Args:
            now_s: On the monotonic clock.
            messages: Heard so far, of all subscriptions.
            publishers: That pictures should be heard from.

        Returns:
            Why the process should end and be started anew; empty: all is well, or nobody knows.
        """
        stood_s = now_s - self._check_s
        if _STOOD_S < stood_s < math.inf and self._check_s - self._heard_s < _STOOD_S:
            self._since_s, self._stood_s = now_s, stood_s
        self._check_s = now_s
        heard, self._messages = messages != self._messages, messages
        if self._since_s is None:
            self._heard_s = now_s if heard else self._heard_s
            return ""
        silent_s = now_s - self._since_s
        if silent_s < _QUEUED_S:
            return ""
        if heard:
            self._since_s, self._heard_s = None, now_s
        if self._since_s is None or silent_s < _DEAF_S or not publishers:
            return ""
        return (
            f"the process stood still for {self._stood_s:.0f} s, and for {silent_s:.0f} s since it has heard nothing "
            f"though {publishers} publisher(s) of pictures are there: the middleware is deaf"
        )
