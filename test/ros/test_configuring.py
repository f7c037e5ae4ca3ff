"""A localizer that cannot be configured says why, lives, and is configured when the fault is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from lifecycle_msgs.msg import State
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import Trigger

from lkpan_model.checkpoint import save
from lkpan_model.config import variant
from lkpan_model.network import LKPAN
from lkpan_ros.node.image_messages import to_compressed_message
from test.ros.camera import Camera
from test.ros.graph import LocalizerProcess
from test.ros.world import EASY, TILE

if TYPE_CHECKING:
    from pathlib import Path

    from test.ros.graph import Graph
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def localizer(graph: Graph, world: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> LocalizerProcess:
    given = {"encoder.precision": "fp32", "image.reliability": "reliable"}
    folders = {"files.folders": tmp_path_factory.getbasetemp()}
    process = LocalizerProcess(graph, EASY | given | folders)
    assert process.state() == State.PRIMARY_STATE_UNCONFIGURED
    return process


@pytest.fixture(scope="module")
def camera(graph: Graph, localizer: LocalizerProcess) -> Camera:
    return Camera(graph, localizer)


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another variant: fewer heads, so shorter descriptors."""
    config = replace(variant("lite"), variant="slim", heads=2, image_size=128)
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("other") / "slim.safetensors"
    save(path, LKPAN(config).eval(), config)
    return path


def faults(world: SmallWorld, other_weights: Path, folder: Path) -> dict[str, tuple[str, str, str]]:
    """Gallery, weights, and what the message must name."""
    good, weights = str(world.gallery_file), str(world.weights)
    half, flipped, foreign = folder / "half.gallery", folder / "flipped.gallery", folder / "foreign.gallery"
    content = world.gallery_file.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    flipped.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    foreign.write_bytes(b"PK\x03\x04 something else altogether" * 100)
    cut = folder / "cut.safetensors"
    cut.write_bytes(world.weights.read_bytes()[:5000])
    return {
        "no gallery": ("", weights, "gallery.path is empty"),
        "missing gallery": (str(folder / "nowhere.gallery"), weights, "nowhere.gallery"),
        "truncated gallery": (str(half), weights, "half.gallery"),
        "altered gallery": (str(flipped), weights, "flipped.gallery"),
        "foreign gallery": (str(foreign), weights, "foreign.gallery"),
        "another variant": (good, str(other_weights), "slim"),
        "variant without weights": (good, "base", "base"),
        "missing weights": (good, str(folder / "nowhere.safetensors"), "nowhere.safetensors"),
        "truncated weights": (good, str(cut), "cut.safetensors"),
    }


def test_every_fault_is_named_and_the_node_lives_to_be_configured(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld, other_weights: Path, tmp_path: Path
) -> None:
    for name, (gallery, weights, needle) in faults(world, other_weights, tmp_path).items():
        assert localizer.set(gallery__path=gallery, encoder__weights=weights) == (True, ""), name
        assert not localizer.configure(), name
        assert localizer.state() == State.PRIMARY_STATE_UNCONFIGURED, name
        complaint = localizer.process.output.rpartition("cannot be configured: ")[2]
        assert needle in complaint, name
        assert "Traceback" not in complaint, name
        camera.diagnosis(lambda status, _, needle=needle: needle in status.message)  # type: ignore[misc]
    done, why = localizer.reload_gallery()
    assert not done
    assert "configure the node first" in why
    assert localizer.set(gallery__path=str(world.gallery_file), encoder__weights=str(world.weights))[0]
    assert localizer.configure()
    assert localizer.activate()
    camera.pair_up(world.view(TILE))
    assert camera.ask(world.view(TILE)).fixed


def test_compressed_pictures_by_another_setting_after_a_clean_up(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld
) -> None:
    assert localizer.set(image__transport="compressed")[0] is False
    assert localizer.deactivate()
    assert localizer.clean_up()
    assert localizer.set(image__transport="compressed")[0]
    assert localizer.configure()
    assert localizer.activate()
    picture = to_compressed_message(world.view(TILE), 97)

    def send(message: CompressedImage) -> None:
        message.header.stamp = camera.stamp()
        camera.compressed.publish(message)

    camera.reports.clear()
    camera.until_heard(lambda: send(picture), lambda: camera.reports)
    camera.settle(compressed=True)
    assert camera.answer_to(lambda: send(picture)).fixed
    cut = CompressedImage(format="jpeg", data=picture.data[: len(picture.data) // 2])
    answer = camera.answer_to(lambda: send(cut))
    assert answer.report["reason"] == "bad_image"
    assert "truncated" in answer.report["detail"]
    grey = cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes()
    assert camera.answer_to(lambda: send(CompressedImage(data=grey))).report["reason"] == "bad_image"


def test_sigterm_ends_it_with_0(localizer: LocalizerProcess) -> None:
    localizer.process.interrupt(15)
    assert localizer.process.wait() == 0, localizer.process.output


@pytest.mark.parametrize(
    ("parameter", "value", "complaint"),
    [
        ("gate.min_probability", "2.0", "gate.min_probability"),
        ("gate.min_probability", "high", "gate.min_probability"),
        ("view.without_geometry", "guess", "give one of view, refuse"),
    ],
)
def test_a_bad_parameter_at_the_start_is_a_clear_error(
    graph: Graph, parameter: str, value: str, complaint: str
) -> None:
    process = graph.start("localizer_node", {parameter: value})
    assert process.wait() == 1, process.output
    assert complaint in process.output
    assert "Traceback" not in process.output


def test_a_misspelt_parameter_is_told_and_ctrl_c_ends_an_idle_node_with_0(graph: Graph) -> None:
    process = graph.start("localizer_node", {"gate.min_probabilty": 0.5})
    graph.await_(lambda: "no parameter 'gate.min_probabilty'" in process.output, "the warning", process)
    graph.await_(lambda: "autostart:=true" in process.output, "what it waits for", process)
    reset = graph.call(Trigger, "localizer/reset", Trigger.Request(), process)
    assert not reset.success
    assert "configure the node first" in reset.message
    process.interrupt()
    assert process.wait() == 0, process.output


def test_ctrl_c_while_it_is_configured_ends_it_with_0(graph: Graph, world: SmallWorld) -> None:
    parameters = {"gallery.path": world.gallery_file, "encoder.weights": world.weights, "autostart": True}
    process = graph.start("localizer_node", parameters, "-r", "__node:=early")
    early = f"{graph.namespace}/early"
    # Its services stand before it begins to load.
    graph.await_(
        lambda: any(name == f"{early}/reset" for name, _ in graph.node.get_service_names_and_types()),
        early,
        process,
    )
    process.interrupt()
    assert process.wait() == 0, process.output
