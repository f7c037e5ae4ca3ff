"""The life of a node's process: started, spun, ended by Ctrl-C or by itself, with an exit status that says how."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

import rclpy
from rclpy.exceptions import InvalidParameterValueException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation

from lkpan_ros.errors import LkpanError
from lkpan_ros.node import memory

# What ends a start with a message; of ROS: bad parameters, arguments and files, and security that cannot be had.
NAMED: tuple[type[Exception], ...] = (
    LkpanError,
    ParameterException,
    InvalidParameterValueException,
    rclpy_implementation.RCLError,
    rclpy_implementation.UnknownROSArgsError,
)
WRITING: tuple[type[Exception], ...] = (*NAMED, OSError)
# Exit status of a process that cannot go on and should be started anew, as the launch file does.
START_ANEW = 3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from rclpy.node import Node
    from rclpy.task import Future


class Runnable(Protocol):
    """A node that can be run.

    Attributes:
        finished: Gets the exit status when the node has nothing more to do; a node may leave it for ever.
    """

    finished: Future[int]

    def start(self) -> None:
        """Called once, before the node is spun."""

    def stop(self) -> None:
        """Called once, at the end: stop every thread, write what is to be written."""


def run(make_node: Callable[[], Runnable], args: Sequence[str] | None = None) -> int:
    """Make a node, spin it until it has finished or is told to end, and take it down.

    Returns:
        The exit status: what the node finished with, 0 for Ctrl-C and SIGTERM, 1 where it could not be made or
        could not write what it has to. A node that gives up (`give_up`) ends the process with 3.
    """
    memory.limit_pools()
    ctrl_c = _CtrlC()
    node: Runnable | None = None
    status = 0
    try:
        rclpy.init(args=list(args) if args is not None else None)
        try:
            node = make_node()
            status = _spin(node, ctrl_c)
        except Exception:
            # A signal shuts the context down at any moment; whatever rclpy then stumbles over is no error.
            if rclpy.ok():
                raise
    except (KeyboardInterrupt, ExternalShutdownException):
        _forget_interrupt()
    except NAMED as error:
        status = _failed(error)
    finally:
        # `ros2 launch` passes a Ctrl-C on although the terminal has sent it already: the second must not interrupt.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            status = _stopped(node) or status
        rclpy.try_shutdown(uninstall_handlers=False)
    return status


def give_up(node: Node, why: str) -> NoReturn:
    """End the process at once, with the status that says to start it anew: what is broken may not let it end in order."""
    node.get_logger().fatal(f"{why}; ends with {START_ANEW}, to be started anew")
    sys.stdout.flush()
    os._exit(START_ANEW)


def _stopped(node: Runnable) -> int:
    try:
        node.stop()
    except WRITING as error:  # disk full, no permission: the message names the file
        return _failed(error)
    finally:
        cast("Node", node).destroy_node()
    return 0


def _failed(error: Exception) -> int:
    rclpy.logging.get_logger("lkpan_ros").fatal(str(error))
    return 1


def _forget_interrupt() -> None:
    """Let the process end with its own status.

    CPython ends itself by SIGINT where a Ctrl-C came out of the execution of a text (a dataclass that is imported is
    made so), though it was caught since; the next such execution forgets it.
    """
    exec("")  # noqa: S102 - of nothing


class _CtrlC:
    """What Python makes of a Ctrl-C; rclpy's own handler ends the spinning either way.

    Once the node spins it must make nothing of it: an exception in the middle of the conversion of a message comes
    out of rclpy as a RuntimeError. Set before rclpy installs its handler, which calls this one.
    """

    def __init__(self) -> None:
        self.interrupts = True
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.interrupts:
            signal.default_int_handler(number, frame)


def _spin(node: Runnable, ctrl_c: _CtrlC) -> int:
    executor = SingleThreadedExecutor()
    executor.add_node(cast("Node", node))
    try:
        node.start()
        ctrl_c.interrupts = False
        executor.spin_until_future_complete(node.finished)
        return int(node.finished.result() or 0) if node.finished.done() else 0
    finally:
        executor.remove_node(cast("Node", node))
        executor.shutdown(timeout_sec=0.0)
