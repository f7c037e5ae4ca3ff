"""Ctrl-C that never leaves half a step behind."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from training import distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the second is what torchrun and batch systems send


class Interrupts:
    """While this is entered, Ctrl-C and SIGTERM raise KeyboardInterrupt: at once, or at `check` where `held`."""

    def __init__(self) -> None:
        self._asked = self._held = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:  # noqa: PYI034 - typing.Self is of Python 3.11
        if threading.current_thread() is threading.main_thread():  # others cannot receive signals
            self._previous = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this, a signal waits for the next `check`, or for the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was asked for in any process; all of them must call this alike."""
        if distributed.any_process(self._asked):
            self._asked = False
            raise KeyboardInterrupt

    def _receive(self, *_: object) -> None:
        self._asked = True
        if not self._held:
            self._asked = False
            raise KeyboardInterrupt
