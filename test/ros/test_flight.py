"""A recorded flight goes from the camera node through the localizer to the monitor, each a process of its own."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from PIL import Image as Picture
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image, Imu, NavSatFix

from lkpan_ros.localization.types import Odometry as Pose
from lkpan_ros.node import camera_messages
from lkpan_ros.node.image_messages import to_image_message, to_rgb
from lkpan_ros.node.messages import to_seconds
from lkpan_ros.node.odometry import to_odometry
from test.ros.camera import INTRINSICS, NORTH_UP
from test.ros.graph import PATIENCE_S, LocalizerProcess
from test.ros.world import FOCAL_PX, HEIGHT_M

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from lkpan_ros.localization.geodesy import LatLon
    from test.ros.graph import Graph, Process
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TILES = (6, 12, 13, 18)
SPACING_S = 3.0  # from tile to tile no faster than a vehicle flies
LATCHED = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def position(world: SmallWorld, tile: int) -> LatLon:
    return world.gallery.frame.point(*world.gallery.positions_m[tile])


def pose(east_m: float, north_m: float) -> Pose:
    """Of a vehicle that looks north, in a frame whose x is east."""
    return Pose(
        np.array([east_m, north_m, 0.0]), np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    )


@pytest.fixture(scope="module")
def flight(world: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flight")
    with (folder / "flight.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "stamp_s", "lat", "lon", "height_above_takeoff_m", "heading_deg"])
        for number, tile in enumerate(TILES):
            Picture.fromarray(world.view(tile)).save(folder / f"{number}.png")
            here = position(world, tile)
            rows.writerow(
                [f"{number}.png", 50.0 + SPACING_S * number, here.lat_deg, here.lon_deg, HEIGHT_M, 0.0]
            )
    return folder


def write_bag(path: Path, world: SmallWorld, storage: StoragePlugin) -> Path:
    with Writer(path, version=9, storage_plugin=storage) as writer:
        types = get_typestore(Stores.ROS2_JAZZY)
        topics = {
            "/cam/image": "sensor_msgs/msg/Image",
            "/cam/camera_info": "sensor_msgs/msg/CameraInfo",
            "/imu/data": "sensor_msgs/msg/Imu",
            "/altimeter": "sensor_msgs/msg/Range",
            "/gps": "sensor_msgs/msg/NavSatFix",
            "/wheels": "nav_msgs/msg/Odometry",
            "/vio": "nav_msgs/msg/Odometry",
        }
        connections = {
            name: writer.add_connection(name, kind, typestore=types) for name, kind in topics.items()
        }
        for number, tile in enumerate(TILES):
            time_ns = round((100.0 + SPACING_S * number) * 1e9)
            stamp = Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)
            picture = to_image_message(world.view(tile))
            picture.header.stamp = stamp
            messages = {
                "/cam/camera_info": camera_messages.camera_info(INTRINSICS, stamp, "camera"),
                "/imu/data": camera_messages.imu(NORTH_UP, stamp, "base_link", level_only=False),
                "/altimeter": camera_messages.height(HEIGHT_M, stamp, "base_link"),
                "/gps": camera_messages.truth(position(world, tile), stamp, "gps"),
                "/wheels": camera_messages.odometry(pose(0.0, 0.0), stamp, "odom", "base_link"),
                "/vio": camera_messages.odometry(
                    pose(*world.gallery.positions_m[tile]), stamp, "odom", "base_link"
                ),
                "/cam/image": picture,
            }
            for name, message in messages.items():
                writer.write(connections[name], time_ns, serialize_message(message))
    return path


@pytest.fixture(scope="module")
def localizer(graph: Graph, world: SmallWorld) -> LocalizerProcess:
    parameters = world.parameters | {"camera.stabilized": True}
    remapped = [
        f"{name}:=camera/{target}"
        for name, target in (("image", "image_raw"), ("camera_info", "camera_info"))
    ]
    process = LocalizerProcess(graph, parameters, *[word for text in remapped for word in ("-r", text)])
    process.await_active()
    return process


def fly(
    graph: Graph, localizer: LocalizerProcess, table: Path, source: dict[str, Any]
) -> tuple[Process, Process]:
    """Play a flight to its end. Returns the camera's and the monitor's processes."""
    localizer.reset()
    await_listeners(graph, localizer, 0)
    monitor = graph.start("flight_monitor", {"monitor.output": table, "monitor.idle_s": PATIENCE_S})
    await_listeners(graph, localizer, 1)
    camera = graph.start("camera_node", {"source.wait_for_subscriber": True, "source.rate": 2.0} | source)
    for process in (camera, monitor):
        assert process.wait() == 0, process.output + localizer.process.output
    return camera, monitor


def await_listeners(graph: Graph, localizer: LocalizerProcess, count: int) -> None:
    """Until the localizer has discovered so many subscriptions to its reports: what it says before is lost."""
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")

    def discovered() -> bool:
        values = {entry.key: entry.value for m in diagnostics for s in m.status for entry in s.values}
        return f"geo_fix/report {count}" in values.get("listeners", "")

    graph.await_(discovered, f"the localizer to have {count} listeners", localizer.process)


def start_watched(graph: Graph, parameters: dict[str, Any], watched: dict[str, type]) -> tuple[Process, Any]:
    """Start a camera that nobody else listens to, and collect what it says from its first word on, by topic.

    It waits for a subscriber to its pictures; discovery keeps the order in which a node subscribes.
    """
    heard = {topic: graph.collect(kind, topic) for topic, kind in watched.items()}
    heard["pictures"] = graph.collect(Image, "watched/image_raw")
    remapped = ("-r", "camera/image_raw:=watched/image_raw")
    return graph.start("camera_node", parameters | {"source.wait_for_subscriber": True}, *remapped), heard


def assert_found_everywhere(table: Path, world: SmallWorld, monitor: Process) -> None:
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["reason"] for row in rows] == [""] * len(TILES), rows
    for row, tile in zip(rows, TILES, strict=True):
        true = position(world, tile)
        assert float(row["true_lat"]) == pytest.approx(true.lat_deg, abs=1e-9)
        assert row["reference"] == "vehicle"
        off_m = math.hypot(
            (float(row["lat"]) - true.lat_deg) * 111_200.0,
            (float(row["lon"]) - true.lon_deg) * 111_200.0 * math.cos(math.radians(true.lat_deg)),
        )
        assert off_m < 15.0
    spacing = np.diff([float(row["stamp_s"]) for row in rows])
    np.testing.assert_allclose(spacing, SPACING_S, atol=1e-3)
    assert f"[{len(TILES)}/{len(TILES)}" in monitor.output
    assert "monitor: dropped=0 frames=4 fixes=4" in monitor.output


def test_a_flight_folder_is_localized_frame_by_frame(
    graph: Graph, localizer: LocalizerProcess, world: SmallWorld, flight: Path, tmp_path: Path
) -> None:
    table = tmp_path / "new folder" / "frames.csv"
    source = {"source.type": "flight", "source.path": flight, "camera.focal_px": FOCAL_PX}
    camera, monitor = fly(graph, localizer, table, source)
    assert "4 pictures sent, 0 could not be read" in camera.output
    assert_found_everywhere(table, world, monitor)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_is_localized_frame_by_frame(
    graph: Graph, localizer: LocalizerProcess, world: SmallWorld, tmp_path: Path, storage: StoragePlugin
) -> None:
    bag, table = write_bag(tmp_path / "bag", world, storage), tmp_path / "frames.csv"
    source = {"source.type": "bag", "source.path": bag, "bag.odometry_topic": "/vio"}
    _, monitor = fly(graph, localizer, table, source)
    assert_found_everywhere(table, world, monitor)


def test_the_odometry_of_a_bag_is_published_to_the_last(
    graph: Graph, world: SmallWorld, tmp_path: Path
) -> None:
    bag = write_bag(tmp_path / "bag", world, StoragePlugin.MCAP)
    source = {"source.type": "bag", "source.path": bag, "source.rate": 100.0, "bag.odometry_topic": "/vio"}
    camera, heard = start_watched(graph, source, {"odom": Odometry})
    graph.await_(lambda: len(heard["odom"]) == len(TILES), "its odometry")
    assert camera.wait() == 0, camera.output
    positions = [[m.pose.pose.position.x, m.pose.pose.position.y] for m in heard["odom"]]
    np.testing.assert_allclose(positions, world.gallery.positions_m[list(TILES)])


def test_the_simulator_publishes_pictures_sensors_and_truth(graph: Graph) -> None:
    truth = graph.collect(NavSatFix, "truth/fix", LATCHED)
    view = graph.collect(NavSatFix, "truth/view", LATCHED)
    parameters = {
        "simulator.size_m": 460.0,
        "simulator.seconds": 2.5,
        "simulator.rate_hz": 0.8,
        "simulator.tilt_deg": 0.0,
        "simulator.odometry": True,
    }
    topics = {"camera/camera_info": CameraInfo, "imu": Imu, "odom": Odometry}
    camera, heard = start_watched(graph, parameters, topics)
    graph.await_(lambda: len(heard["pictures"]) >= 2 and len(view) >= 2, "two simulated pictures", camera)
    assert camera.wait() == 0, camera.output
    first, second = heard["pictures"][:2]
    assert to_rgb(first).std() > 10.0
    assert to_seconds(second.header.stamp) - to_seconds(first.header.stamp) == pytest.approx(1.25, abs=1e-3)
    assert heard["camera/camera_info"][0].width == first.width
    assert heard["imu"][0].header.stamp == first.header.stamp
    start, then = (to_odometry(message) for message in heard["odom"][:2])
    assert [m.header.stamp for m in heard["odom"][:2]] == [first.header.stamp, second.header.stamp]
    assert np.linalg.norm(then.position_m - start.position_m) == pytest.approx(1.25 * 12.0, rel=0.15)
    by_stamp = {to_seconds(message.header.stamp): message for message in view}
    true_fix = next(m for m in truth if m.header.stamp == first.header.stamp)
    seen = by_stamp[to_seconds(first.header.stamp)]
    assert abs(seen.latitude - true_fix.latitude) * 111_200.0 < 60.0  # straight down, but for the gusts


# What cannot be played


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"source.type": "flight"}, "source.path is empty"),
        ({"source.type": "flight", "source.path": "/nowhere"}, "/nowhere"),
        ({"source.type": "bag", "source.path": "/nowhere"}, "there is no such bag"),
        ({"source.type": "bag", "source.path": "flight"}, "is no readable bag"),
        ({"source.type": "film"}, "give one of flight, bag, simulator"),
        ({"source.rate": 0.0}, "source.rate"),
    ],
)
def test_what_cannot_be_played_is_a_clear_error(
    graph: Graph, flight: Path, parameters: dict[str, Any], complaint: str
) -> None:
    if parameters.get("source.path") == "flight":
        parameters = parameters | {"source.path": flight}
    camera = graph.start("camera_node", parameters)
    assert camera.wait() == 1, camera.output
    assert complaint in camera.output
    assert "Traceback" not in camera.output


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_sent(
    graph: Graph, flight: Path, tmp_path: Path
) -> None:
    for file in flight.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[: len(content) // 2] if file.name == "1.png" else content)
    parameters = {"source.type": "flight", "source.path": tmp_path, "source.rate": 100.0}
    camera = graph.start("camera_node", parameters)
    assert camera.wait() == 1
    assert "1.png" in camera.output
    assert "3 pictures sent, 1 could not be read" in camera.output


def test_ctrl_c_in_mid_flight_ends_the_camera_with_0(graph: Graph, flight: Path) -> None:
    images = graph.collect(Image, "camera/image_raw")
    parameters = {"source.type": "flight", "source.path": flight, "source.loop": True, "source.rate": 20.0}
    camera = graph.start("camera_node", parameters)
    graph.await_(lambda: len(images) > 5, "pictures of a looping flight", camera)
    camera.interrupt()
    camera.interrupt()
    assert camera.wait() == 0, camera.output
    assert "Traceback" not in camera.output


def test_the_monitor_writes_what_it_has_when_it_is_interrupted(
    graph: Graph, localizer: LocalizerProcess, flight: Path, tmp_path: Path
) -> None:
    table = tmp_path / "frames.csv"
    monitor = graph.start("flight_monitor", {"monitor.output": table})
    source = {"source.type": "flight", "source.path": flight, "source.rate": 20.0, "source.loop": True}
    topic = f"{graph.namespace}/truth/fix"
    graph.await_(lambda: graph.node.count_subscribers(topic), "the monitor", monitor)
    camera = graph.start("camera_node", source | {"camera.focal_px": FOCAL_PX})
    graph.await_(lambda: re.search(r"error +\d", monitor.output), "a fix beside its truth", localizer.process)
    monitor.interrupt()
    assert monitor.wait() == 0, monitor.output
    camera.interrupt()
    assert camera.wait() == 0, camera.output
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert any(row["true_lat"] for row in rows)
