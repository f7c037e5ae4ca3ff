"""The books of a soak: every picture that was sent, what was said about it, and whether that can be true."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lkpan_ros.localization.geodesy import distance_m
from lkpan_ros.localization.outcomes import FALSE_FIX_M

if TYPE_CHECKING:
    from lkpan_ros.localization.geodesy import LatLon

Stamp = tuple[int, int]
_SENDING_S = 1.0  # a picture is answered so soon after it was sent


@dataclass
class Entry:
    """One stamp.

    Attributes:
        vehicle: Where the vehicle truly was, or None where that was not heard.
        view: The ground in the middle of its view.
        sent_s: When the truth was heard, on the monotonic clock; None: not yet.
        fixes: Positions on geo_fix; None for a message without a fix.
        reports: Outcome, reason, reference and latency of each report.
    """

    vehicle: LatLon | None = None
    view: LatLon | None = None
    sent_s: float | None = None
    fixes: list[LatLon | None] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Both messages have come."""
        return bool(self.fixes and self.reports)

    @property
    def fixed(self) -> bool:
        """Some answer is a fix."""
        return any(report.reason == "" for report in self.reports)

    def error_m(self) -> float | None:
        """Of the worst fix against what it says to be the position of; None: no fix, or no truth."""
        references = {report.reference for report in self.reports if report.reason == ""}
        truth = self.view if references == {"view"} else self.vehicle
        errors = [distance_m(fix, truth) for fix in self.fixes if fix is not None and truth is not None]
        return max(errors, default=None)


@dataclass(frozen=True)
class Report:
    """A message on geo_fix/report.

    Attributes:
        reason: Of the refusal; empty for a fix.
        reference: vehicle or view.
        latency_ms: From the picture's arrival.
        at_s: When it was heard, on the monotonic clock.
    """

    reason: str
    reference: str
    latency_ms: float
    at_s: float


class Ledger:
    """Entries by stamp, in the order in which they were first heard of."""

    def __init__(self) -> None:
        self.entries: dict[Stamp, Entry] = {}
        self.stops: list[float] = []  # when the process was stopped, on the monotonic clock

    def at(self, stamp: Stamp) -> Entry:
        """The entry of a stamp, made where there is none."""
        return self.entries.setdefault(stamp, Entry())

    def since(self, start_s: float, end_s: float = math.inf) -> list[Entry]:
        """Those that were sent in a span of the monotonic clock."""
        return [e for e in self.entries.values() if e.sent_s is not None and start_s <= e.sent_s < end_s]

    def false_fixes(self) -> list[tuple[Stamp, float]]:
        """Stamps and errors of fixes more than 30 m from the truth."""
        errors = ((stamp, entry.error_m()) for stamp, entry in self.entries.items())
        return [
            (stamp, error_m) for stamp, error_m in errors if error_m is not None and error_m > FALSE_FIX_M
        ]

    def _was_cut_off(self, entry: Entry) -> bool:
        sent_s = entry.sent_s or 0.0
        return not entry.answered and any(stop_s - _SENDING_S <= sent_s <= stop_s for stop_s in self.stops)

    def half_answers(self, before_s: float) -> list[Stamp]:
        """Stamps that were answered on one topic and not on the other, or not to the same effect.

        Without those of whose answer a part is missing since the process was stopped in the middle of it.
        """
        return [
            stamp
            for stamp, e in self.entries.items()
            if (e.fixes or e.reports)
            and not self._was_cut_off(e)
            and max((r.at_s for r in e.reports), default=0.0) < before_s
            and sorted(fix is None for fix in e.fixes) != sorted(r.reason != "" for r in e.reports)
        ]


def unaccounted(entries: list[Entry], dropped: int) -> int:
    """Pictures that got neither fix nor refusal and are not among those that the node says it dropped."""
    return max(0, sum(not entry.answered for entry in entries) - dropped)
