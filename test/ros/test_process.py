"""How the process of a node ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

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
