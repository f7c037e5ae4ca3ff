"""What a fault is, and the list that faults enter themselves into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from test.soak.rig import Rig

FAULTS: list[Fault] = []


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: Of its row.
        must: What must happen, in words; besides, fixes must come again when it is over.
        happen: Lets it happen and end. Returns what was seen; raises SoakError where that is not what must happen.
        restarts: The localizer's process ends.
        fills: Histories of the middleware are full afterwards. They are bounded, and stay allocated.
    """

    name: str
    must: str
    happen: Callable[[Rig], str]
    restarts: bool = False
    fills: bool = False


def fault(
    must: str, *, restarts: bool = False, fills: bool = False
) -> Callable[[Callable[[Rig], str]], Callable[[Rig], str]]:
    """Enter a function as the fault of its name."""

    def enter(happen: Callable[[Rig], str]) -> Callable[[Rig], str]:
        FAULTS.append(Fault(happen.__name__, must, happen, restarts, fills))
        return happen

    return enter
