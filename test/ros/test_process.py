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
import sys
from pathlib import Path
from rclpy.node import Node
from rclpy.task import Future
from lkpan_model.whole_file import write_whole
from lkpan_ros.node.process import run

class Writer(Node):
    def __init__(self):
        super().__init__("writer")
        self.finished = Future()

    def start(self):
        self.finished.set_result(0)

    def stop(self):
        write_whole(Path(sys.argv[1]), b"all that it knows")

sys.exit(run(Writer))
"""


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(("folder", "status"), [("", 0), ("missing", 1)])
def test_what_cannot_be_written_at_the_end_is_an_error_that_names_the_file(
    tmp_path: Path, folder: str, status: int
) -> None:
    path = tmp_path / folder / "table.csv"
    ended = subprocess.run(
        [sys.executable, "-c", _NODE, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == status, ended.stderr
    assert path.exists() == (status == 0)
    if status:
        assert str(tmp_path / folder) in ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr


_DEAF = """
import sys
from rclpy.node import Node
from rclpy.task import Future
from lkpan_ros.node.process import give_up, run

class Deaf(Node):
    def __init__(self):
        super().__init__("deaf")
        self.finished = Future()

    def start(self):
        give_up(self, "nothing is heard")

    def stop(self):
        print("ended in order")

sys.exit(run(Deaf))
"""


@pytest.mark.usefixtures("_environment")
def test_a_node_that_gives_up_says_why_and_ends_with_the_status_that_starts_it_anew() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _DEAF], capture_output=True, text=True, check=False, timeout=60
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == START_ANEW == 3, said
    assert "nothing is heard; ends with 3, to be started anew" in said
    assert "ended in order" not in said


_INTERRUPTED = """
import os, signal, sys
import rclpy
from rclpy.node import Node
from rclpy.task import Future
from lkpan_ros.node.process import run

class Early(Node):
    def __init__(self):
        {before}
        super().__init__("early")
        self.finished = Future()

    def start(self):
        pass

    def stop(self):
        pass

sys.exit(run(Early))
"""


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    "before",
    [
        'exec("raise KeyboardInterrupt")',  # a Ctrl-C in the import of a dataclass
        "os.kill(os.getpid(), signal.SIGTERM)\n        while rclpy.ok(): pass",
    ],
)
def test_a_signal_before_the_node_stands_ends_the_process_with_0(tmp_path: Path, before: str) -> None:
    (tmp_path / "early.py").write_text(_INTERRUPTED.format(before=before))
    ended = subprocess.run(
        [sys.executable, "-m", "early"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
