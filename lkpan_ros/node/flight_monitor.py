"""Watches a flight: a line for every fix or refusal beside the truth, and a table of them all at the end."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import NavSatFix
from std_msgs.msg import UInt32

from lkpan_ros.localization.flight_summary import summarize
from lkpan_ros.localization.outcomes import FrameOutcome, write_outcomes
from lkpan_ros.localization.settings import setting
from lkpan_ros.localization.types import Reference
from lkpan_ros.node.messages import STAGES, to_position
from lkpan_ros.node.parameters import declare, warn_of_unknown
from lkpan_ros.node.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builtin_interfaces.msg import Time

_DROPPED = "dropped"  # the localizer was busy with another frame, or the picture was lost on the way
_PARTS = ("geo_fix", "view", "report")  # what the localizer publishes for every frame
_Stamp = tuple[int, int]


@dataclass(frozen=True)
class MonitorSettings:
    """What is written, and when it ends."""

    output: str = setting("", "CSV to write at the end, one row a frame; empty: none")
    idle_s: float = setting(
        3.0, "ends so long after the last message, once the camera has gone, seconds", low=0.1
    )


@dataclass(frozen=True)
class MonitorConfig:
    """The settings of the monitor, by section."""

    monitor: MonitorSettings = field(default_factory=MonitorSettings)


class FlightMonitor(Node):
    """Collects what is said about each picture by its stamp; finishes when the camera has gone."""

    def __init__(self) -> None:
        super().__init__("flight_monitor")
        self._config = declare(self, MonitorConfig(), read_only=True).monitor
        warn_of_unknown(self)
        self.finished: Future[int] = Future()
        self._frames: dict[_Stamp, dict[str, Any]] = {}
        self._reported: list[_Stamp] = []
        self._expected = 0
        self._camera_seen = False
        self._start_s = self._heard_s = time.monotonic()
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        for kind, topic, part, qos in (
            (NavSatFix, "truth/fix", "truth", latched),
            (NavSatFix, "truth/view", "truth_view", latched),
            (NavSatFix, "geo_fix", "geo_fix", reliable),
            (NavSatFix, "geo_fix/view", "view", reliable),
            (DiagnosticArray, "geo_fix/report", "report", reliable),
        ):
            self.create_subscription(kind, topic, self._collector(part), qos)
        self.create_subscription(UInt32, "truth/frame_count", self._on_frame_count, latched)
        self.create_timer(0.2, self._finish_if_over, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Wait for messages."""

    def stop(self) -> None:
        """Write the table and the summary."""
        outcomes = [self._outcome(stamp) for stamp in sorted(self._frames)]
        if outcomes and self._config.output:
            path = Path(self._config.output).expanduser()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_outcomes(path, outcomes)
        if outcomes:
            figures = vars(summarize(outcomes))
            text = " ".join(f"{name}={_short(value)}" for name, value in figures.items())
            _say(f"monitor: dropped={sum(o.reason == _DROPPED for o in outcomes)} {text}")

    def _collector(self, part: str) -> Any:
        def collect(message: Any) -> None:
            stamp = _key(message.header.stamp)
            frame = self._frames.setdefault(stamp, {})
            frame[part] = message
            self._heard_s = time.monotonic()
            if part in _PARTS and all(name in frame for name in _PARTS):
                self._reported.append(stamp)
                _say(self._line(stamp))

        return collect

    def _on_frame_count(self, message: UInt32) -> None:
        self._expected = int(message.data)

    def _finish_if_over(self) -> None:
        if self.count_publishers("truth/fix") > 0:
            self._camera_seen = True
            return
        idle = time.monotonic() - self._heard_s > self._config.idle_s
        complete = self._expected > 0 and len(self._reported) >= self._expected
        if self._camera_seen and (idle or complete) and not self.finished.done():
            self.finished.set_result(0 if self._reported else 1)

    def _line(self, stamp: _Stamp) -> str:
        """Frame i of n, time, position, error, probability or the reason of the refusal, rate, ETA."""
        if len(self._reported) == 1:
            self._start_s = time.monotonic()
        outcome, done = self._outcome(stamp), len(self._reported)
        time_s = outcome.stamp_s - _seconds(min(self._frames))
        probability = "" if outcome.probability is None else f"p {outcome.probability:.2f}"
        if outcome.fix:
            error = outcome.error_m
            error_text = "error   ?   " if error is None else f"error {math.hypot(*error):5.1f} m"
            what = f"{outcome.lat:.6f} {outcome.lon:.6f}  {error_text}  {probability}"
            what += "  (view)" if outcome.reference == Reference.VIEW.value else ""
        else:
            what = f"no fix: {outcome.reason}  {probability}"
        return f"{self._progress(done)}  t {time_s:7.2f} s  {what}"

    def _progress(self, done: int) -> str:
        rate_hz = (done - 1) / max(time.monotonic() - self._start_s, 1e-6) if done > 1 else 0.0
        of = f"/{self._expected}" if self._expected else ""
        left = max(0, self._expected - done)
        eta = f" ETA {left / rate_hz:4.0f} s" if self._expected and rate_hz > 0.0 else ""
        return f"[{done}{of} {rate_hz:4.1f} Hz{eta}]"

    def _outcome(self, stamp: _Stamp) -> FrameOutcome:
        frame = self._frames[stamp]
        true_lat, true_lon = _degrees(frame.get("truth"))
        true_view_lat, true_view_lon = _degrees(frame.get("truth_view"))
        return replace(
            _published(stamp, frame),
            true_lat=true_lat,
            true_lon=true_lon,
            true_view_lat=true_view_lat,
            true_view_lon=true_view_lon,
        )


def _published(stamp: _Stamp, frame: dict[str, Any]) -> FrameOutcome:
    """What the localizer said about a frame."""
    if any(part not in frame for part in _PARTS):
        return FrameOutcome(_seconds(stamp), fix=False, reason=_DROPPED)
    report = {entry.key: entry.value for entry in frame["report"].status[0].values}
    stages: dict[str, Any] = {f"{stage}_ms": _number(report[f"{stage}_ms"]) for stage in STAGES}
    outcome = FrameOutcome(
        _seconds(stamp),
        fix=False,
        reason=report["reason"],
        detail=report["detail"],
        probability=_number(report["probability"]),
        **stages,
        latency_ms=_number(report["latency_ms"]),
    )
    position, seen = to_position(frame["geo_fix"]), to_position(frame["view"])
    if position is None or seen is None:
        return outcome
    view = np.asarray(frame["view"].position_covariance, np.float64)
    of_view = report["reference"] == Reference.VIEW.value
    covariance = view if of_view else np.asarray(frame["geo_fix"].position_covariance, np.float64)
    return replace(
        outcome,
        fix=True,
        reference=report["reference"],
        lat=position.lat_deg,
        lon=position.lon_deg,
        view_lat=seen.lat_deg,
        view_lon=seen.lon_deg,
        var_east_m2=float(covariance[0]),
        cov_east_north_m2=float(covariance[1]),
        var_north_m2=float(covariance[4]),
        view_var_east_m2=float(view[0]),
        view_cov_east_north_m2=float(view[1]),
        view_var_north_m2=float(view[4]),
    )


def _degrees(message: NavSatFix | None) -> tuple[float | None, float | None]:
    position = None if message is None else to_position(message)
    return (None, None) if position is None else (position.lat_deg, position.lon_deg)


def _key(stamp: Time) -> _Stamp:
    return int(stamp.sec), int(stamp.nanosec)


def _seconds(stamp: _Stamp) -> float:
    """A stamp in seconds."""
    return stamp[0] + stamp[1] * 1e-9


def _number(text: str) -> float | None:
    return float(text) if text else None


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(args: Sequence[str] | None = None) -> int:
    """Run the monitor until the flight is over. Returns the exit status."""
    return run(FlightMonitor, args)


if __name__ == "__main__":
    sys.exit(main())
