"""Nodes as processes of their own, on a graph of this process's own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from lkpan_ros.shared_files import fastdds_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE_S = 20.0  # for a process to end after Ctrl-C


@contextlib.contextmanager
def node_process(
    name: str, parameters: Mapping[str, object], remappings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A node of this package, ended by Ctrl-C as a user would.

    Args:
        name: Of its module in `lkpan_ros.node`.
        parameters: Of the node.
        remappings: Topics by the names that the node has for them.
    """
    command = [sys.executable, "-m", f"lkpan_ros.node.{name}", "--ros-args", "--log-level", "warn"]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={value}"]
    for topic, target in remappings.items():
        command += ["-r", f"{topic}:={target}"]
    process = subprocess.Popen(command, env=_environment(), start_new_session=True)  # noqa: S603 - our own words
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _environment() -> dict[str, str]:
    """This machine alone, with room for whole pictures in shared memory."""
    own = {
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(fastdds_profile()),
    }
    return own | dict(os.environ)
