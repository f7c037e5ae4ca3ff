"""What /diagnostics says of the localizer: counters filled by the worker, read once a second."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from lkpan_ros.localization.types import Fix, Reason
from lkpan_ros.node.messages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lkpan_ros.localization.types import Frame, Rejection
    from lkpan_ros.node.parameters import DiagnosticsSettings

_RECENT = 100  # frames that latencies are taken over
_RATE_WINDOW_S = 5.0
_REFUSAL_WINDOW_S = 10.0
_REFUSALS = 1000  # of that window at 100 pictures a second
_CLOCK_WARNING_S = 10.0
_MOST_AT_WORK = (
    2  # the picture that is worked on and the one that waits; an outcome that could not be published is none
)


@dataclass(frozen=True)
class _Done:
    """One frame that was worked on, times on the monotonic clock."""

    at_s: float
    latency_s: float
    outcome: Fix | Rejection


class Statistics:
    """Counts what happens to pictures; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images = self._dropped = self._fixes = 0
        self._refused: Counter[Reason] = Counter()
        self.heard = 0  # pictures, of all time
        self.restart()

    def restart(self, *, at_work: bool = False) -> None:
        """Forget everything; silence is counted from now.

        Args:
            at_work: Pictures that have arrived and are not done yet still will be: they count as of now.
        """
        with self._lock:
            self._since_s = self._image_s = self._fix_s = time.monotonic()
            in_hand = self._images - self._dropped - self._fixes - self._refused.total()
            self._images = min(in_hand, _MOST_AT_WORK) if at_work else 0
            self._dropped = self._fixes = self._clock_jumps = 0
            self._recent: deque[_Done] = deque(maxlen=_RECENT)
            self._refused = Counter()
            self._refusals: deque[tuple[float, Reason]] = deque(maxlen=_REFUSALS)
            self._last_rejection = ""
            self._last_frame = ""
            self._clock_jump = (-math.inf, "")

    def image(self, *, dropped: bool) -> None:
        """A picture has arrived; it dropped an older one that was still waiting."""
        with self._lock:
            self.heard += 1
            self._images += 1
            self._dropped += dropped
            self._image_s = time.monotonic()

    def done(self, outcome: Fix | Rejection, frame: Frame | None, latency_s: float) -> None:
        """A picture has been worked on."""
        now_s = time.monotonic()
        with self._lock:
            self._recent.append(_Done(now_s, latency_s, outcome))
            self._last_frame = _known(frame)
            if isinstance(outcome, Fix):
                self._fixes += 1
                self._fix_s = now_s
            else:
                self._refused[outcome.reason] += 1
                self._refusals.append((now_s, outcome.reason))
                self._last_rejection = f"{outcome.reason.value}: {outcome.detail}"

    def clock_jump(self, back_s: float) -> None:
        """The clock of the pictures has gone back, and the localizer was reset for it."""
        with self._lock:
            self._clock_jumps += 1
            self._clock_jump = (
                time.monotonic(),
                f"the clock of the pictures has gone back by {back_s:.1f} s: started anew",
            )

    def verdict(self, settings: DiagnosticsSettings, silence: str, doubt: str) -> tuple[bytes, str]:
        """Level and message.

        Args:
            settings: When to complain.
            silence: What is known about a camera that does not speak.
            doubt: What may be wrong with the inputs though there are fixes; empty: nothing.
        """
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._image_s > settings.camera_silent_s:
                return DiagnosticStatus.ERROR, f"no image for {now_s - self._image_s:.0f} s {silence}"
            jumped_s, jump = self._clock_jump
            if now_s - jumped_s < _CLOCK_WARNING_S:
                return DiagnosticStatus.WARN, jump
            if now_s - self._fix_s > settings.no_fix_warn_s:
                last = f"; last: {self._last_rejection}" if self._last_rejection else ""
                return DiagnosticStatus.WARN, f"no fix for {now_s - self._fix_s:.0f} s{last}"
        if doubt:
            return DiagnosticStatus.WARN, doubt
        return DiagnosticStatus.OK, "localizing"

    def values(self) -> dict[str, str]:
        """Everything counted since the start or the last reset, as text by name; milliseconds over 100 frames."""
        now_s = time.monotonic()
        with self._lock:
            recent = list(self._recent)
            window_s = max(min(_RATE_WINDOW_S, now_s - self._since_s), 1e-3)
            values = {
                "rate_hz": f"{sum(now_s - done.at_s < window_s for done in recent) / window_s:.2f}",
                "images": str(self._images),
                "dropped": str(self._dropped),
                "fixes": str(self._fixes),
                "refused": str(self._refused.total()),
                **{f"refused_{reason.value}": str(self._refused[reason]) for reason in Reason},
                "refused_last_10_s": _reasons(self._refusals, now_s - _REFUSAL_WINDOW_S),
                "last_rejection": self._last_rejection,
                "last_frame": self._last_frame,
                "clock_jumps": str(self._clock_jumps),
            }
        probability = recent[-1].outcome.probability if recent else None
        values["last_probability"] = "" if probability is None else f"{probability:.4f}"
        values["latency_p50_ms"] = _median_ms([done.latency_s for done in recent])
        for stage in STAGES:
            seconds = [getattr(done.outcome.timings, f"{stage}_s") for done in recent]
            values[f"{stage}_p50_ms"] = _median_ms(seconds)
        return values


def status(name: str, level: bytes, message: str, values: dict[str, str]) -> DiagnosticStatus:
    """A status message with its values in order."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="lkpan_ros",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _known(frame: Frame | None) -> str:
    """What the sensors told about a frame, in words."""
    if frame is None:
        return "no picture"
    heading = None if frame.attitude is None else frame.attitude.heading_deg
    facts = {
        "camera": frame.intrinsics,
        "attitude": frame.attitude,
        "heading": heading,
        "height": frame.height_m,
        "prior": frame.prior,
        "odometry": frame.odometry,
    }
    unknown = [name for name, value in facts.items() if value is None]
    return f"unknown: {', '.join(unknown)}" if unknown else "all known"


def _reasons(refusals: Iterable[tuple[float, Reason]], since_s: float) -> str:
    """Those since a time, the most frequent first: "ambiguous 5, stale_frame 1"."""
    counts = Counter(reason for at_s, reason in refusals if at_s >= since_s)
    return ", ".join(f"{reason.value} {count}" for reason, count in counts.most_common())


def _median_ms(seconds: list[float]) -> str:
    ordered = sorted(value for value in seconds if math.isfinite(value))
    return f"{ordered[len(ordered) // 2] * 1e3:.1f}" if ordered else ""
