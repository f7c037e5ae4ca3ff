"""What /diagnostics says of the localizer: counters filled by the worker, read once a second."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from lkpan_ros.localization.types import Fix

if TYPE_CHECKING:
    from lkpan_ros.localization.types import Frame, Rejection
    from lkpan_ros.node.parameters import DiagnosticsSettings

_RECENT = 100  # frames that latencies are taken over
_RATE_WINDOW_S = 5.0


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
        self.restart()

    def restart(self) -> None:
        """Forget everything; silence is counted from now."""
        with self._lock:
            self._since_s = self._image_s = self._fix_s = time.monotonic()
            self._images = self._dropped = self._fixes = self._rejections = 0
            self._recent: deque[_Done] = deque(maxlen=_RECENT)
            self._last_rejection = ""
            self._last_frame = ""

    def image(self, *, dropped: bool) -> None:
        """A picture has arrived; it dropped an older one that was still waiting."""
        with self._lock:
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
                self._rejections += 1
                self._last_rejection = f"{outcome.reason.value}: {outcome.detail}"

    def verdict(self, settings: DiagnosticsSettings, silence: str) -> tuple[bytes, str]:
        """Level and message. `silence` says what is known about a camera that does not speak."""
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._image_s > settings.camera_silent_s:
                return DiagnosticStatus.ERROR, f"no image for {now_s - self._image_s:.0f} s {silence}"
            if now_s - self._fix_s > settings.no_fix_warn_s:
                last = f"; last: {self._last_rejection}" if self._last_rejection else ""
                return DiagnosticStatus.WARN, f"no fix for {now_s - self._fix_s:.0f} s{last}"
        return DiagnosticStatus.OK, "localizing"

    def values(self) -> dict[str, str]:
        """Everything counted, as text by name; times in milliseconds over the last 100 frames."""
        now_s = time.monotonic()
        with self._lock:
            recent = list(self._recent)
            window_s = max(min(_RATE_WINDOW_S, now_s - self._since_s), 1e-3)
            values = {
                "rate_hz": f"{sum(now_s - done.at_s < window_s for done in recent) / window_s:.2f}",
                "images": str(self._images),
                "dropped": str(self._dropped),
                "fixes": str(self._fixes),
                "refused": str(self._rejections),
                "last_rejection": self._last_rejection,
                "last_frame": self._last_frame,
            }
        values["latency_p50_ms"] = _median_ms([done.latency_s for done in recent])
        for stage in ("view_s", "encode_s", "search_s", "decide_s"):
            name = f"{stage.removesuffix('_s')}_p50_ms"
            values[name] = _median_ms([getattr(done.outcome.timings, stage) for done in recent])
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
    }
    unknown = [name for name, value in facts.items() if value is None]
    return f"unknown: {', '.join(unknown)}" if unknown else "all known"


def _median_ms(seconds: list[float]) -> str:
    ordered = sorted(value for value in seconds if math.isfinite(value))
    return f"{ordered[len(ordered) // 2] * 1e3:.1f}" if ordered else ""
