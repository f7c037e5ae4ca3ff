"""The localizer while it runs: its parameters, services, other topics, diagnostics and its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PolygonStamped, PoseWithCovarianceStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from lkpan_ros.localization.types import Reason
from test.ros.camera import message_with
from test.ros.graph import RELIABLE
from test.ros.world import TILE

if TYPE_CHECKING:
    from test.ros.camera import Camera
    from test.ros.graph import Graph, LocalizerProcess
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# Parameters


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("gate__min_probability", 1.5, "gate.min_probability"),
        ("gate__min_probability", math.nan, "gate.min_probability"),
        ("gate__radius_m", 0.0, "gate.radius_m"),
        ("search__candidates", 1, "search.candidates"),
        ("view__without_geometry", "guess", "give one of view, refuse"),
        ("gate__min_probability", "high", "gate.min_probability = 'high': give a float"),
        ("gallery__path", "/elsewhere", "read when the node is configured"),
        ("image__transport", "compressed", "read when the node is configured"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_a_reason(
    localizer: LocalizerProcess, name: str, value: object, reason: str
) -> None:
    done, why = localizer.set(**{name: value})
    assert not done
    assert reason in why


def test_a_changed_parameter_counts_from_the_next_picture(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    assert camera.ask(world.view(TILE)).fixed
    assert localizer.set(gate__min_probability=1.0) == (True, "")
    camera.ask(world.view(TILE)).assert_refused("ambiguous", "gate.min_probability 1")
    assert localizer.set(similarity__none_of_these=100.0) == (True, "")
    camera.ask(world.view(TILE)).assert_refused("low_similarity")


# The gallery


def test_a_good_gallery_is_reloaded_and_a_bad_one_leaves_the_old(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    done, text = localizer.reload_gallery()
    assert done
    assert "25 tiles" in text
    content = world.gallery_file.read_bytes()
    try:
        for bad in (b"", content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1])):
            world.gallery_file.write_bytes(bad)
            done, text = localizer.reload_gallery()
            assert not done
            assert "the old gallery stays in use" in text
            assert str(world.gallery_file) in text
    finally:
        world.gallery_file.write_bytes(content)
    assert camera.ask(world.view(TILE)).fixed


def test_the_outline_waits_for_those_who_come_late(
    graph: Graph, camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    latched = QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )
    outlines = graph.collect(PolygonStamped, "gallery/outline", latched)
    graph.await_(lambda: outlines, "the outline", localizer.process)
    assert outlines[0].header.frame_id == "map"
    corners = np.array([[point.x, point.y] for point in outlines[0].polygon.points])
    np.testing.assert_allclose(np.ptp(corners, axis=0), [210.0, 210.0], atol=0.1)


# What else is published


def test_a_fix_comes_as_a_pose_too(
    graph: Graph, camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    poses = graph.collect(PoseWithCovarianceStamped, "geo_fix/pose")
    graph.await_(
        lambda: graph.node.count_publishers(f"{graph.namespace}/geo_fix/pose"), "the pose's publisher"
    )
    camera.until_heard(lambda: camera.send_sensed(world.view(TILE)), lambda: poses)
    camera.settle()
    position = poses[0].pose.pose.position
    np.testing.assert_allclose([position.x, position.y], world.gallery.positions_m[TILE], atol=15.0)


def test_the_debug_picture_is_drawn_for_those_who_look(
    graph: Graph, camera: Camera, world: SmallWorld
) -> None:
    pictures = graph.collect(Image, "geo_fix/debug_image")
    camera.until_heard(lambda: camera.send_sensed(world.view(TILE)), lambda: pictures)
    camera.settle()
    assert pictures[0].encoding == "rgb8"
    assert pictures[0].width == 5 * pictures[0].width // 5 > pictures[0].height
    assert np.frombuffer(pictures[0].data, np.uint8).std() > 10.0


# Diagnostics, and a node that stays awake


def test_a_busy_localizer_answers_services_and_drops_all_but_the_newest_picture(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    """The worker waits a second for the samples that belong to a picture; whoever blocks on it is seen."""
    answered_first = False
    for _ in range(5):  # on a loaded machine a second may be short
        assert camera.ask(world.view(TILE)).fixed
        camera.reports.clear()
        for _ in range(4):
            camera.send(world.view(TILE), camera.stamp())
        for _ in range(3):
            localizer.state()
        answered_first = not camera.reports
        camera.settle()
        if answered_first:
            break
    assert answered_first
    camera.diagnosis(lambda _, values: int(values["dropped"]) >= 2)


def test_diagnostics_tell_rates_times_and_identity(camera: Camera, world: SmallWorld) -> None:
    assert camera.ask(world.view(TILE)).fixed
    status = camera.diagnosis(lambda _, values: bool(values.get("encode_p50_ms")))
    values = {entry.key: entry.value for entry in status.values}
    assert values["gallery"] == str(world.gallery_file)
    assert values["gallery_tiles"] == "25"
    assert values["weights"] == str(world.weights)
    assert values["encoder"]
    assert values["calibration"] == "shipped"
    assert "places, best" in values["filter"]
    assert 0.0 < float(values["last_probability"]) <= 1.0
    refused = [int(values[f"refused_{reason.value}"]) for reason in Reason]
    assert sum(refused) == int(values["refused"])
    stages = ("view", "encode", "search", "refine", "filter", "decide")
    for name in ("rate_hz", "latency_p50_ms", *(f"{stage}_p50_ms" for stage in stages)):
        assert float(values[name]) >= 0.0
    assert camera.ask(message_with(world.view(TILE), height=0)).report["reason"] == "bad_image"
    camera.diagnosis(
        lambda _, values: (
            "bad_image: 480x0" in values["last_rejection"]
            and int(values["refused_bad_image"]) >= 1
            and "bad_image" in values["refused_last_10_s"]
        )
    )


def test_a_time_without_fixes_is_a_warning_and_a_silent_camera_an_error(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    assert localizer.set(diagnostics__no_fix_warn_s=0.1, diagnostics__camera_silent_s=1e6)[0]
    assert camera.ask(message_with(world.view(TILE), height=0)).report["reason"] == "bad_image"
    warning = camera.diagnosis(lambda status, _: status.level == DiagnosticStatus.WARN)
    assert "no fix for" in warning.message
    assert "bad_image" in warning.message
    assert localizer.set(diagnostics__camera_silent_s=0.5)[0]
    error = camera.diagnosis(lambda status, _: status.level == DiagnosticStatus.ERROR)
    assert "no image for" in error.message
    assert "1 publisher(s), offering reliable, asked for reliable" in error.message
    assert localizer.set(diagnostics__no_fix_warn_s=5.0, diagnostics__camera_silent_s=3.0)[0]
    assert camera.ask(world.view(TILE)).fixed  # and it goes on
    camera.diagnosis(lambda status, _: status.level == DiagnosticStatus.OK)


def test_several_cameras_on_one_topic_are_a_warning(
    graph: Graph, camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    assert localizer.set(diagnostics__no_fix_warn_s=1e6, diagnostics__camera_silent_s=1e6)[0]
    assert camera.ask(world.view(TILE)).fixed
    other = graph.node.create_publisher(Image, "image", RELIABLE)
    warning = camera.diagnosis(lambda status, _: "2 publishers on" in status.message)
    assert warning.level == DiagnosticStatus.WARN
    graph.node.destroy_publisher(other)
    camera.diagnosis(lambda status, _: status.level == DiagnosticStatus.OK)
    assert localizer.set(diagnostics__no_fix_warn_s=5.0, diagnostics__camera_silent_s=3.0)[0]


def test_ctrl_c_ends_a_busy_localizer_with_0(
    paired: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    """The last test of this process; a launch file passes a Ctrl-C on that the terminal has sent already."""
    paired.send_sensed(world.view(TILE))
    localizer.process.interrupt()
    localizer.process.interrupt()
    assert localizer.process.wait() == 0, localizer.process.output
    assert "Traceback" not in localizer.process.output
