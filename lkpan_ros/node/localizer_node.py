"""The localizer as a lifecycle node: a picture arrives, a fix or a refusal is published."""

from __future__ import annotations

import sys
import time
import traceback
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.task import Future
from std_srvs.srv import Trigger

from lkpan_model.errors import ModelError
from lkpan_ros.errors import LkpanError
from lkpan_ros.localization.types import Reason, Refusal, Rejection
from lkpan_ros.node import hearing, memory
from lkpan_ros.node.camera_topic import describe_crowd, describe_silence, subscribe
from lkpan_ros.node.diagnostics import Statistics, status
from lkpan_ros.node.live_localizer import LiveLocalizer
from lkpan_ros.node.messages import to_seconds
from lkpan_ros.node.node_state import Arrival, Loaded, Running
from lkpan_ros.node.parameters import LiveSettings, warn_of_unknown
from lkpan_ros.node.process import give_up, run
from lkpan_ros.node.publishers import Publishers
from lkpan_ros.node.sensors import Sensors
from lkpan_ros.node.stamp_watch import StampWatch
from lkpan_ros.node.worker import NewestWorker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rclpy.lifecycle import LifecycleState
    from sensor_msgs.msg import CompressedImage, Image

    from lkpan_ros.localization.types import Fix, Frame

_DONE, _FAILED = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class LocalizerNode(LifecycleNode):
    """Weights and gallery load on configure; pictures are listened to while it is active."""

    def __init__(self) -> None:
        super().__init__("localizer")
        self.finished: Future[int] = Future()
        self._loaded: Loaded | None = None
        self._running: Running | None = None
        self._statistics = Statistics()
        self._stamps, self._hearing = StampWatch(), hearing.HearingWatch()
        self._failure = self._not_reloaded = ""
        self._settings = LiveSettings(self, self._settings_changed)
        autostart = ParameterDescriptor(description="configure and activate at the start", read_only=True)
        self.declare_parameter("autostart", False, autostart)
        warn_of_unknown(self)
        self.create_service(Trigger, "~/reload_gallery", self._on_reload_gallery)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(hearing.PERIOD_S, self._watch_hearing, clock=steady)
        self.create_timer(memory.PERIOD_S, memory.give_back, clock=steady)

    def start(self) -> None:
        """Configure and activate, if `autostart` says so. A failure leaves the node waiting for better orders."""
        if not self.get_parameter("autostart").value:
            self.get_logger().info("waits to be configured and activated; autostart:=true does both")
        elif self.trigger_configure() == _DONE:
            self.trigger_activate()

    def stop(self) -> None:
        """End the worker."""
        self._end_running()

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load weights and gallery."""
        start_s = time.monotonic()
        try:
            localizer = LiveLocalizer(self._settings.localizer, self._settings.node.gallery.public_key)
        except (LkpanError, ModelError) as error:
            return self._refuse_to_configure(str(error))
        except Exception as error:  # noqa: BLE001 - rclpy would drop it without a word
            return self._refuse_to_configure(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        self._failure = self._not_reloaded = ""
        self._settings.freeze(fixed=True)
        self._stamps = StampWatch()
        self._loaded = Loaded(localizer, Publishers(self))
        memory.settle()
        gallery, config = localizer.gallery, self._settings.localizer
        self.get_logger().info(
            f"gallery {config.gallery.path}: {len(gallery)} tiles of {gallery.tile_size_m:g} m every "
            f"{gallery.stride_m:g} m; weights {config.encoder.weights}; calibration "
            f"{localizer.calibration}; ready after {time.monotonic() - start_s:.1f} s"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the camera."""
        done = super().on_activate(state)
        assert self._loaded is not None
        self._statistics.restart()
        self._loaded.publishers.outline(self._loaded.localizer.gallery, self._settings.node.fix)
        worker: NewestWorker[Arrival] = NewestWorker(self._work, "localizer")
        sensors = Sensors(self, self._settings.node)
        # Last: a camera that has discovered this subscription has discovered those to its sensors too.
        images = subscribe(self, self._settings.node.image, self._on_image)
        self._running, self._hearing = Running(sensors, worker, images), hearing.HearingWatch()
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening."""
        self._end_running()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let weights and gallery go."""
        self._unload()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        self._unload()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything; the node can be configured again."""
        self._unload()
        return super().on_error(state)

    def _refuse_to_configure(self, failure: str) -> TransitionCallbackReturn:
        self._failure = failure
        self.get_logger().error(f"cannot be configured: {failure}")
        return _FAILED

    def _end_running(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self.destroy_subscription(running.images)
        running.sensors.close()
        running.worker.close()

    def _unload(self) -> None:
        self._end_running()
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.publishers.close()
            memory.settle()
        self._settings.freeze(fixed=False)

    # From a picture to a fix

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._running is not None:
            dropped = self._running.worker.put(Arrival(message, time.monotonic()))
            self._statistics.image(dropped=dropped)

    def _work(self, arrival: Arrival) -> None:
        """In the worker's thread: every picture ends as a published fix or refusal."""
        try:
            self._localize(arrival)
        except Exception:  # noqa: BLE001 - the next picture must find a living worker
            if self.context.ok():
                self.get_logger().error(f"cannot publish:\n{traceback.format_exc()}")

    def _localize(self, arrival: Arrival) -> None:
        loaded, running = self._loaded, self._running
        if loaded is None or running is None:
            return
        stamp, localizer = arrival.message.header.stamp, loaded.localizer
        self._watch_clock(to_seconds(stamp), localizer, running.sensors)
        frame, outcome = self._outcome(arrival, localizer, running.sensors)
        latency_s = time.monotonic() - arrival.at_s
        loaded.publishers.outcome(
            outcome,
            frame,
            stamp,
            self._settings.node.fix,
            localizer.gallery,
            running.sensors.altitude_m,
            latency_s,
        )
        self._statistics.done(outcome, frame, latency_s)
        if frame is not None:
            loaded.publishers.debug_image(outcome, frame, stamp, localizer.gallery, localizer.config)

    def _watch_clock(self, stamp_s: float, localizer: LiveLocalizer, sensors: Sensors) -> None:
        """Start anew where the clock has gone back: without it every picture would be stale for ever."""
        back_s = self._stamps.jumped_back_s(stamp_s)
        if back_s is not None:
            localizer.reset()
            sensors.clock_set_back(stamp_s)
            self._statistics.clock_jump(back_s)
            self.get_logger().warning(
                f"the clock of the pictures has gone back by {back_s:.1f} s: started anew, as by ~/reset"
            )

    def _outcome(
        self, arrival: Arrival, localizer: LiveLocalizer, sensors: Sensors
    ) -> tuple[Frame | None, Fix | Rejection]:
        stamp_s, frame = to_seconds(arrival.message.header.stamp), None
        try:
            frame = sensors.to_frame(arrival.message, localizer.config.camera, self._settings.node)
            return frame, localizer.localize(frame)
        except Refusal as refusal:
            return frame, Rejection(stamp_s, refusal.reason, refusal.detail)
        except Exception as error:  # noqa: BLE001 - a defect must not silence the topic
            self.get_logger().error(f"a defect of lkpan_ros, please report it:\n{traceback.format_exc()}")
            return frame, Rejection(stamp_s, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _settings_changed(self) -> None:
        if self._loaded is not None:
            self._loaded.localizer.configure(self._settings.localizer)

    # Services and diagnostics

    def _on_reload_gallery(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._loaded is None:
            response.message = "no gallery is loaded: configure the node first"
            return response
        localizer = self._loaded.localizer
        try:
            localizer.reload()
        except LkpanError as error:
            response.message = self._not_reloaded = f"the old gallery stays in use: {error}"
            self.get_logger().error(response.message)
            return response
        # Reading has kept the executor from its checks; the process did not stand still.
        self._hearing = hearing.HearingWatch()
        self._loaded.publishers.outline(localizer.gallery, self._settings.node.fix)
        response.success, self._not_reloaded = True, ""
        response.message = f"{len(localizer.gallery)} tiles, calibration {localizer.calibration}"
        self.get_logger().info(f"reloaded: {response.message}")
        return response

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._loaded is None:
            response.message = "there is nothing to reset: configure the node first"
            return response
        self._loaded.localizer.reset()
        self._stamps, self._not_reloaded = StampWatch(), ""
        self._statistics.restart(at_work=True)
        response.success = True
        return response

    def _watch_hearing(self) -> None:
        running = self._running
        if running is not None:
            heard = self._statistics.heard + running.sensors.heard
            publishers = self.count_publishers(running.images.topic_name)
            if why := self._hearing.check(time.monotonic(), heard, publishers):
                give_up(self, why)

    def _publish_diagnostics(self) -> None:
        level, message, values = DiagnosticStatus.OK, "inactive", {}
        if self._running is not None:
            silence = describe_silence(self, self._settings.node.image)
            doubt = self._loaded.localizer.conflict if self._loaded else ""
            doubt = doubt or describe_crowd(self, self._settings.node.image)
            level, message = self._statistics.verdict(self._settings.node.diagnostics, silence, doubt)
            values = self._statistics.values()
            if self._not_reloaded and level == DiagnosticStatus.OK:
                level, message = DiagnosticStatus.WARN, self._not_reloaded
        elif self._loaded is None:
            level = DiagnosticStatus.ERROR if self._failure else DiagnosticStatus.OK
            message = f"cannot be configured: {self._failure}" if self._failure else "unconfigured"
        if self._loaded is not None:
            values |= self._loaded.localizer.facts() | {"listeners": self._loaded.publishers.listeners()}
        told = status(f"{self.get_fully_qualified_name()}: geo_fix", level, message, values)
        array = DiagnosticArray(status=[told])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C. Returns the exit status."""
    return run(LocalizerNode, args)


if __name__ == "__main__":
    sys.exit(main())
