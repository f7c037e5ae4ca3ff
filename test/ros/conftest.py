"""Everything here needs the ROS message packages, and most of it a graph of processes."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from test.ros.camera import Camera
    from test.ros.graph import Graph, LocalizerProcess
    from test.ros.world import SmallWorld

collect_ignore_glob = [] if find_spec("rclpy") else ["test_*.py"]

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    from test.ros.world import make_world

    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def _environment() -> None:
    """A graph that no other test run, and no drone, can hear; processes inherit it."""
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(REPOSITORY / "config" / "fastdds.xml")


@pytest.fixture(scope="module")
def graph(
    _environment: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Graph]:
    """A node of the tests in a namespace of their module; its processes end with it."""
    from test.ros.graph import Graph

    name = request.module.__name__.rpartition(".")[2]
    graph = Graph(f"/{name}", tmp_path_factory.mktemp(name))
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def localizer(graph: Graph, world: SmallWorld) -> LocalizerProcess:
    """An active localizer."""
    from test.ros.graph import LocalizerProcess

    process = LocalizerProcess(graph, world.parameters | {"image.reliability": "reliable"})
    process.await_active()
    return process


@pytest.fixture(scope="module")
def paired(graph: Graph, localizer: LocalizerProcess, world: SmallWorld) -> Camera:
    """A camera that the localizer hears and answers."""
    from test.ros.camera import Camera
    from test.ros.world import TILE

    camera = Camera(graph, localizer)
    camera.pair_up(world.view(TILE))
    return camera


@pytest.fixture
def camera(paired: Camera, localizer: LocalizerProcess) -> Iterator[Camera]:
    """The same, for a test that may change settings."""
    from test.ros.world import EASY

    yield paired
    assert localizer.set(**{name.replace(".", "__"): value for name, value in EASY.items()}) == (True, "")
