"""The test's side of a ROS graph: processes, and what is said between them, awaited rather than slept for."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
# Far more than anything takes on a loaded machine: only what never comes is waited for so long.
PATIENCE_S = 240.0


class Process:
    """A node in a process of its own, its output in a file.

    Args:
        module: Of `lkpan_ros.node`, or by its whole dotted name.
        namespace: Of its topics.
        folder: Of its output.
        parameters: It is started with.
        more: Arguments.
    """

    def __init__(
        self, module: str, namespace: str, folder: Path, parameters: dict[str, Any], *more: str
    ) -> None:
        self._log = folder / f"{module}-{time.monotonic_ns()}.log"
        texts = [f"{name}:={value}" for name, value in parameters.items()]
        arguments = [argument for text in texts for argument in ("-p", text)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", module if "." in module else f"lkpan_ros.node.{module}",
                    "--ros-args", "-r", f"__ns:={namespace}", *arguments, *more,
                ],
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def interrupt(self, signal_number: int = signal.SIGINT) -> None:
        self._process.send_signal(signal_number)

    def wait(self) -> int:
        """The exit status."""
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"does not end:\n{self.output}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Graph:
    """A node of the tests, and the processes that they start."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self._processes: list[Process] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("tests", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def start(self, module: str, parameters: dict[str, Any] | None = None, *more: str) -> Process:
        process = Process(module, self.namespace, self.folder, parameters or {}, *more)
        self._processes.append(process)
        return process

    def await_(self, condition: Callable[[], Any], what: str, needs: Process | None = None) -> None:
        """Spin until a condition holds; fail where it never does or the process that it needs has ended."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            output = "" if needs is None else f"; output:\n{needs.output}"
            if time.monotonic() > end_s:
                pytest.fail(f"in vain: waited for {what}{output}")
            if needs is not None and not needs.alive:
                pytest.fail(f"ended before {what}{output}")
            self.spin_once()

    def spin_once(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def collect(self, kind: type, topic: str, qos: QoSProfile = RELIABLE) -> list[Any]:
        """A list that grows with what is published."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def call(
        self,
        kind: Any,
        service: str,
        request: Any,
        needs: Process | None = None,
        again_s: float = math.inf,
    ) -> Any:
        """Call a service and await its answer.

        Args:
            kind: Of the service.
            service: Its name.
            request: For it.
            needs: The process that answers.
            again_s: What is not answered for so long is asked again. While a process that was killed is still thought
                to be there, a request for the one in its place can be lost.
        """
        client: Any = self.node.create_client(kind, service)
        self.await_(client.service_is_ready, f"service {service}", needs)
        futures: list[Any] = []
        asked_s = -math.inf

        def answered() -> bool:
            nonlocal asked_s
            if time.monotonic() >= asked_s + again_s or not futures:
                futures.append(client.call_async(request))
                asked_s = time.monotonic()
            return any(future.done() for future in futures)

        self.await_(answered, f"the answer of {service}", needs)
        self.node.destroy_client(client)
        return next(future.result() for future in futures if future.done())


class LocalizerProcess:
    """The localizer's process, and its services."""

    def __init__(self, graph: Graph, parameters: dict[str, Any], *more: str) -> None:
        self._graph = graph
        self.process = graph.start("localizer_node", parameters, *more)

    def _call(self, kind: Any, service: str, request: Any) -> Any:
        return self._graph.call(kind, f"localizer/{service}", request, self.process)

    def state(self) -> int:
        return int(self._call(GetState, "get_state", GetState.Request()).current_state.id)

    def await_active(self) -> None:
        while self.state() != State.PRIMARY_STATE_ACTIVE:
            if "cannot be configured" in self.process.output:
                pytest.fail(self.process.output)

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, "change_state", request).success)

    def configure(self) -> bool:
        return self.change(Transition.TRANSITION_CONFIGURE)

    def activate(self) -> bool:
        return self.change(Transition.TRANSITION_ACTIVATE)

    def deactivate(self) -> bool:
        return self.change(Transition.TRANSITION_DEACTIVATE)

    def clean_up(self) -> bool:
        return self.change(Transition.TRANSITION_CLEANUP)

    def set(self, **values: Any) -> tuple[bool, str]:
        """Set parameters, a dot in their names spelt as two underscores. Returns success and reason."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = self._call(SetParametersAtomically, "set_parameters_atomically", request).result
        return bool(result.successful), str(result.reason)

    def reload_gallery(self) -> tuple[bool, str]:
        answer = self._call(Trigger, "reload_gallery", Trigger.Request())
        return bool(answer.success), str(answer.message)

    def reset(self) -> None:
        assert self._call(Trigger, "reset", Trigger.Request()).success
