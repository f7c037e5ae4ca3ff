"""How the process of a node ends."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lkpan_ros.node.process import START_ANEW
from test.ros.graph import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.ros, pytest.mark.slow]

_NODE = """
import os, signal, sys
from pathlib import Path
import rclpy
from rclpy.node import Node
from rclpy.task import Future
from lkpan_model.whole_file import write_whole
from lkpan_ros.node.process import give_up, run

class Own(Node):
    def __init__(self):
        {before}
        super().__init__("own")
        self.finished = Future()

    def start(self):
        {start}

    def stop(self):
        {stop}

sys.exit(run(Own))
"""


def ended(
    folder: Path, before: str = "pass", start: str = "pass", stop: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """A process of a node that does this before it stands, at its start and at its end."""
    (folder / "own.py").write_text(_NODE.format(before=before, start=start, stop=stop))
    return subprocess.run(
        [sys.executable, "-m", "own"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(("folder", "status"), [("", 0), ("missing", 1)])
def test_what_cannot_be_written_at_the_end_is_an_error_that_names_the_file(
    tmp_path: Path, folder: str, status: int
) -> None:
    path = tmp_path / folder / "table.csv"
    writes = f"write_whole(Path({str(path)!r}), b'all that it knows')"
    process = ended(tmp_path, start="self.finished.set_result(0)", stop=writes)
    assert process.returncode == status, process.stderr
    assert path.exists() == (status == 0)
    if status:
        assert str(tmp_path / folder) in process.stderr + process.stdout
        assert "Traceback" not in process.stderr


@pytest.mark.usefixtures("_environment")
def test_a_node_that_gives_up_says_why_and_ends_with_the_status_that_starts_it_anew(tmp_path: Path) -> None:
    process = ended(tmp_path, start="give_up(self, 'nothing is heard')", stop="print('ended in order')")
    said = process.stdout + process.stderr
    assert process.returncode == START_ANEW == 3, said
    assert "nothing is heard; ends with 3, to be started anew" in said
    assert "ended in order" not in said


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    "before",
    [
        'exec("raise KeyboardInterrupt")',  # a Ctrl-C in the import of a dataclass
        "os.kill(os.getpid(), signal.SIGTERM)\n        while rclpy.ok(): pass",
    ],
)
def test_a_signal_before_the_node_stands_ends_the_process_with_0(tmp_path: Path, before: str) -> None:
    process = ended(tmp_path, before=before)
    assert (process.returncode, process.stderr) == (0, "")
