"""One thread that works on the newest item; older ones that it had no time for are dropped and counted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class NewestWorker(Generic[T]):
    """Calls `work` with the newest item, one at a time, in a thread of its own.

    Args:
        work: Must not raise.
        name: Of the thread.
    """

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: list[T] = []  # none or one
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item to the worker. Returns True where that dropped an older one."""
        with self._changed:
            dropped = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify_all()
        return dropped

    def close(self) -> None:
        """Finish the item that is being worked on, drop the one that waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                item = self._waiting.pop()
            self._work(item)
