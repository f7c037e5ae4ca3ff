"""The localizer takes the calibration beside its gallery, keeps what the user has changed, and refuses a wrong file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lkpan_ros.localization.calibration_file import Calibration, beside, write_calibration
from lkpan_ros.localization.camera import Attitude
from test.ros.camera import Camera
from test.ros.graph import LocalizerProcess
from test.ros.world import TILE

if TYPE_CHECKING:
    from pathlib import Path

    from test.ros.graph import Graph
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# Calibrated is how far a view may be tilted, which is seen from outside; the temperature was given by the user.
SETTINGS = {"view.max_tilt_deg": 1.0, "similarity.temperature": 0.9}
TILTED = Attitude(2.0, 0.0)
OTHER_WEIGHTS = "f" * 64


@pytest.fixture(scope="module")
def gallery(world: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "city.gallery"
    path.write_bytes(world.gallery_file.read_bytes())
    calibrate(path, world)
    return path


@pytest.fixture(scope="module")
def localizer(graph: Graph, world: SmallWorld, gallery: Path) -> LocalizerProcess:
    given = {"gallery.path": gallery, "image.reliability": "reliable"}
    process = LocalizerProcess(graph, world.parameters | given)
    process.await_active()
    return process


@pytest.fixture(scope="module")
def camera(graph: Graph, localizer: LocalizerProcess, world: SmallWorld) -> Camera:
    camera = Camera(graph, localizer)
    camera.pair_up(world.view(TILE))
    return camera


def calibrate(gallery: Path, world: SmallWorld, weights: str = "") -> None:
    """Write the calibration beside a gallery, for its own weights unless others are given."""
    encoder = weights or world.gallery.encoder_identity.weights_hash
    write_calibration(beside(gallery), Calibration(SETTINGS, encoder, ("a flight",), "a test"))


def test_the_file_beside_the_gallery_counts_and_is_named(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld, gallery: Path
) -> None:
    camera.ask(world.view(TILE), body=TILTED).assert_refused("view_invalid")
    assert camera.ask(world.view(TILE)).fixed
    text = f"{beside(gallery)} (view.max_tilt_deg 1; not similarity.temperature: given)"
    assert f"calibration {text}" in localizer.process.output
    camera.diagnosis(lambda _, values: values["calibration"] == text)


def test_it_survives_a_change_of_another_parameter_and_gives_way_to_its_own(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld
) -> None:
    assert localizer.set(search__candidates=20) == (True, "")
    camera.ask(world.view(TILE), body=TILTED).assert_refused("view_invalid")
    assert localizer.set(view__max_tilt_deg=60.0) == (True, "")
    assert camera.ask(world.view(TILE), body=TILTED).fixed
    camera.diagnosis(lambda _, values: "not view.max_tilt_deg" in values["calibration"])
    assert localizer.set(view__max_tilt_deg=70.0) == (True, "")  # the default: back to what was calibrated
    camera.ask(world.view(TILE), body=TILTED).assert_refused("view_invalid")


def test_it_is_reloaded_with_the_gallery_and_a_wrong_one_leaves_the_old(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld, gallery: Path
) -> None:
    calibrate(gallery, world, OTHER_WEIGHTS)
    done, text = localizer.reload_gallery()
    assert not done
    assert "the old gallery stays in use" in text
    assert OTHER_WEIGHTS in text
    assert world.gallery.encoder_identity.weights_hash in text
    camera.ask(world.view(TILE), body=TILTED).assert_refused("view_invalid")
    beside(gallery).unlink()
    done, text = localizer.reload_gallery()
    assert done, text
    assert "calibration shipped" in text
    assert camera.ask(world.view(TILE), body=TILTED).fixed


def test_a_node_with_a_calibration_for_other_weights_is_not_configured(
    localizer: LocalizerProcess, world: SmallWorld, gallery: Path
) -> None:
    calibrate(gallery, world, OTHER_WEIGHTS)
    assert localizer.set(calibration__path="none")[0] is False  # fixed while it is configured
    assert localizer.deactivate()
    assert localizer.clean_up()
    assert not localizer.configure()
    complaint = localizer.process.output.rpartition("cannot be configured: ")[2]
    assert str(beside(gallery)) in complaint
    assert OTHER_WEIGHTS in complaint
    assert "Traceback" not in complaint
    assert localizer.set(calibration__path="none") == (True, "")
    assert localizer.configure()
