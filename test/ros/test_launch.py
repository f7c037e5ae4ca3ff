"""The launch files, where a ROS installation brings `launch` (no wheel does)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from lkpan_ros.node.process import START_ANEW

LAUNCH = Path(__file__).resolve().parents[2] / "launch"


@pytest.mark.ros
@pytest.mark.parametrize("name", ["localize", "demo"])
def test_a_launch_file_describes_itself(name: str) -> None:
    pytest.importorskip("launch_ros")
    packages = pytest.importorskip("ament_index_python.packages")
    try:
        packages.get_package_share_directory("lkpan_ros")
    except packages.PackageNotFoundError:
        pytest.skip("lkpan_ros is not installed in this ROS workspace")
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.generate_launch_description().entities


def test_the_launch_file_starts_a_node_anew_that_has_given_up() -> None:
    text = (LAUNCH / "localize.launch.py").read_text(encoding="utf-8")
    assert re.findall(r"^START_ANEW = (\d+)", text, re.MULTILINE) == [str(START_ANEW)]
