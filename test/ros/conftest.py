"""Everything here needs the ROS message packages, and most of it a graph of processes."""

from __future__ import annotations

import fcntl
import os
import tempfile
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


def own_domain() -> tuple[int, int]:
    """A domain that no other test run on this machine has, and the locked file (its descriptor) that says so."""
    for domain_id in range(1, 102):
        try:
            lock = os.open(
                f"{tempfile.gettempdir()}/lkpan_ros_test_domain_{domain_id}", os.O_CREAT | os.O_RDWR
            )
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return domain_id, lock
    pytest.fail("every ROS domain of this machine is taken by another test run")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    from test.ros.world import make_world

    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def _environment() -> Iterator[None]:
    """A graph that no other test run, and no drone, can hear; processes inherit it."""
    domain_id, lock = own_domain()
    os.environ["ROS_DOMAIN_ID"] = str(domain_id)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(REPOSITORY / "config" / "fastdds.xml")
    yield
    os.close(lock)


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
