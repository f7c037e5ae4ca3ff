"""The soak's graph: a camera and a localizer as processes, and an observer that keeps the books."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from sensor_msgs.msg import NavSatFix

from lkpan_ros.node.messages import to_position
from lkpan_ros.simulation.scenario import SENSOR_FIGURES
from test.ros.graph import RELIABLE, Graph, LocalizerProcess, Process
from test.soak.camera import PARAMETERS
from test.soak.ledger import Ledger, Report
from test.soak.samples import Sample, sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from test.soak.ledger import Entry, Stamp
    from test.soak.scene import Scene

WITHIN_S = 60.0  # for anything that is awaited on a loaded machine, unless a fault says otherwise
_FRESH_S = 0.5  # what is heard so soon did not wait
_AGAIN_S = 5.0  # a camera that was started anew may not have heard
_LOCALIZER = {"image.reliability": "reliable", "image.depth": 10, "autostart": True}


class SoakError(Exception):
    """What must happen did not."""


class Rig:
    """Processes and observer.

    Args:
        scene: What is flown over.
        folder: For the processes' output.
    """

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.graph = Graph("/soak", folder)
        self.ledger = Ledger()
        self.samples: list[Sample] = []
        self.queue: list[tuple[float, int]] = []
        self.status: dict[str, str] = {}
        self.level, self.message = b"\x00", ""
        self.deaf = 0  # times that the middleware was
        self._heard_s = 0.0  # stamp of the last picture whose truth was heard
        node = self.graph.node
        node.create_subscription(NavSatFix, "truth/fix", self._on_truth, RELIABLE)
        node.create_subscription(NavSatFix, "truth/view", self._on_view, RELIABLE)
        node.create_subscription(NavSatFix, "geo_fix", self._on_fix, RELIABLE)
        node.create_subscription(DiagnosticArray, "geo_fix/report", self._on_report, RELIABLE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        self.prior = node.create_publisher(NavSatFix, "prior_fix", RELIABLE)
        self.camera = self.start_camera()
        self.localizer = self.start_localizer()
        self._stopping = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def close(self) -> None:
        """End everything."""
        self._stopping.set()
        self._sampler.join()
        self.graph.close()

    # Processes

    def start_camera(self, name: str = "soak_camera") -> Process:
        """Another camera."""
        return self.graph.start("test.soak.camera", {"scene": self.scene.folder}, "-r", f"__node:={name}")

    def start_localizer(self, name: str = "localizer") -> LocalizerProcess:
        """Another localizer."""
        parameters = SENSOR_FIGURES | _LOCALIZER | {"gallery.path": self.scene.gallery}
        return LocalizerProcess(self.graph, parameters, "-r", f"__node:={name}")

    def restart_localizer(self, signal_number: int) -> float:
        """End it by a signal and start another. Returns the seconds from the start to the first fix."""
        self.localizer.process.interrupt(signal_number)
        status = self.localizer.process.wait()
        if signal_number != signal.SIGKILL and status != 0:
            raise SoakError(f"it ended with {status}:\n{self.localizer.process.output[-2000:]}")
        return self.start_anew()

    def start_anew(self) -> float:
        """Start another localizer after one that has ended. Returns the seconds to the first fix."""
        start_s = time.monotonic()
        self.localizer = self.start_localizer()
        return self.await_fix(start_s, 2.0 * WITHIN_S)

    # Awaiting

    def spin(self, seconds: float) -> list[Entry]:
        """Let time pass. Returns the pictures of that time, answered as far as they are by its end."""
        start_s = time.monotonic()
        while time.monotonic() < start_s + seconds:
            self.graph.spin_once()
        return self.ledger.since(start_s)

    def answers(self, count: int = 12) -> list[Entry]:
        """Let time pass until so many pictures of that time are answered. Returns those."""
        start_s = time.monotonic()

        def answered() -> list[Entry]:
            return [entry for entry in self.ledger.since(start_s) if entry.answered]

        self.await_(lambda: len(answered()) >= count, f"{count} answers", 2.0 * WITHIN_S)
        return answered()

    def await_(self, condition: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> float:
        """Spin until a condition holds. Returns how long it took.

        Raises:
            SoakError: It never did.
        """
        start_s = time.monotonic()
        while not condition():
            if time.monotonic() > start_s + within_s:
                raise SoakError(f"in vain: waited {within_s:g} s for {what}; /diagnostics: {self.message}")
            self.graph.spin_once()
        return time.monotonic() - start_s

    def await_fix(self, since_s: float, within_s: float = WITHIN_S) -> float:
        """Until a picture that was taken since a time has its fix. Returns the seconds from then."""
        self.await_(lambda: self.fixed_since(since_s), "a fix", within_s)
        return time.monotonic() - since_s

    def fixed_since(self, since_s: float) -> bool:
        """Whether a picture that was taken since a time has its fix."""
        return any(entry.fixed for entry in self.ledger.since(since_s))

    def await_reason(self, *reasons: str) -> str:
        """Until a picture taken from now on is refused for one of these reasons. Returns which."""
        start_s = time.monotonic()

        def found() -> list[str]:
            return [r.reason for e in self.ledger.since(start_s) for r in e.reports if r.reason in reasons]

        self.await_(found, f"a refusal for {' or '.join(reasons)}")
        return found()[0]

    def catch_up(self) -> None:
        """Until what is heard is of now; needs a good camera. What came while nobody spun was sent before."""
        self.await_(lambda: abs(time.time() - self._heard_s) < _FRESH_S, "pictures of now")

    def await_message(self, text: str) -> str:
        """Until the localizer's status on /diagnostics says something."""
        self.await_(lambda: text in self.message, f"{text!r} on /diagnostics")
        return self.message

    # Orders

    def set_camera(self, **values: Any) -> None:
        """Change the camera's parameters; `good()` takes all of them back."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        service = "soak_camera/set_parameters_atomically"
        self.graph.call(SetParametersAtomically, service, request, self.camera, again_s=_AGAIN_S)

    def good(self) -> None:
        """A camera without faults."""
        self.set_camera(**{name: value for name, value in PARAMETERS.items() if name != "scene"})

    @staticmethod
    def clock(stamp: Stamp) -> Time:
        """A stamp as a message."""
        return Time(sec=stamp[0], nanosec=stamp[1])

    # What is heard

    def _on_truth(self, message: NavSatFix) -> None:
        seconds, nanoseconds = _stamp(message)
        self._heard_s = seconds + nanoseconds / 1e9
        entry = self.ledger.at((seconds, nanoseconds))
        entry.vehicle, entry.sent_s = to_position(message), entry.sent_s or time.monotonic()

    def _on_view(self, message: NavSatFix) -> None:
        self.ledger.at(_stamp(message)).view = to_position(message)

    def _on_fix(self, message: NavSatFix) -> None:
        self.ledger.at(_stamp(message)).fixes.append(to_position(message))

    def _on_report(self, message: DiagnosticArray) -> None:
        values = {entry.key: entry.value for entry in message.status[0].values}
        report = Report(values["reason"], values["reference"], float(values["latency_ms"]), time.monotonic())
        self.ledger.at(_stamp(message)).reports.append(report)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("/soak/localizer:"):
                self.level, self.message = status.level, status.message
                self.status = {entry.key: entry.value for entry in status.values}
                if "images" in self.status:
                    self.queue.append((time.monotonic(), in_hand(self.status)))

    def _sample(self) -> None:
        """In a thread: once a second."""
        while not self._stopping.wait(1.0):
            if (now := sample(self.localizer.process.pid)) is not None:
                self.samples.append(now)


def in_hand(status: dict[str, str]) -> int:
    """Pictures that have arrived and are neither answered nor dropped."""
    return int(status["images"]) - sum(int(status[name]) for name in ("fixes", "refused", "dropped"))


def _stamp(message: Any) -> tuple[int, int]:
    return int(message.header.stamp.sec), int(message.header.stamp.nanosec)
