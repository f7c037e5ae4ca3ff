"""A localizer with a public key, among peers that want in: unsigned files and files of others stay out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from lifecycle_msgs.msg import State

from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.tools.sign import main as sign
from test.ros.camera import Camera
from test.ros.graph import LocalizerProcess
from test.ros.world import TILE

if TYPE_CHECKING:
    from pathlib import Path

    from test.ros.graph import Graph
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, world: SmallWorld) -> Path:
    """Copies of gallery and weights, and a key pair; nothing is signed yet."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "city.gallery").write_bytes(world.gallery_file.read_bytes())
    (folder / "mine.safetensors").write_bytes(world.weights.read_bytes())
    assert sign(["keygen", "--output", str(folder / "mission")]) == 0
    return folder


@pytest.fixture(scope="module")
def localizer(graph: Graph, world: SmallWorld, folder: Path) -> LocalizerProcess:
    own = {"gallery.path": folder / "city.gallery", "encoder.weights": folder / "mine.safetensors"}
    more = {"gallery.public_key": folder / "mission.pub", "image.reliability": "reliable", "autostart": False}
    return LocalizerProcess(graph, world.parameters | own | more)


@pytest.fixture(scope="module")
def camera(graph: Graph, localizer: LocalizerProcess) -> Camera:
    return Camera(graph, localizer)


def put_signature(folder: Path, name: str) -> None:
    assert sign(["sign", "--key", str(folder / "mission.key"), str(folder / name)]) == 0


def test_only_what_is_signed_is_used_and_diagnostics_say_so(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld, folder: Path
) -> None:
    for name in ("mine.safetensors", "city.gallery"):
        assert not localizer.configure()
        assert localizer.state() == State.PRIMARY_STATE_UNCONFIGURED
        camera.diagnosis(lambda status, _, name=name: f"{name}: is not signed" in status.message)  # type: ignore[misc]
        put_signature(folder, name)
    assert localizer.configure()
    assert localizer.activate()
    camera.pair_up(world.view(TILE))
    assert camera.ask(world.view(TILE)).fixed
    camera.diagnosis(lambda _, values: len(values["signed_by"]) == 16)


def test_an_altered_gallery_is_not_reloaded(
    camera: Camera, localizer: LocalizerProcess, world: SmallWorld, folder: Path
) -> None:
    """Whole, of the same encoder, its checksum right: somebody has moved every tile by a kilometre."""
    assert localizer.state() == State.PRIMARY_STATE_ACTIVE
    good = Gallery.load(folder / "city.gallery")
    Gallery(good.info, good.descriptors(np.arange(len(good))), good.positions_m + 1000.0, good.mosaic).save(
        folder / "city.gallery"
    )
    done, why = localizer.reload_gallery()
    assert not done
    assert "the old gallery stays in use" in why
    assert "is not what" in why
    camera.diagnosis(lambda status, _: "the old gallery stays in use" in status.message)
    assert camera.ask(world.view(TILE)).fixed
    (folder / "city.gallery").write_bytes(world.gallery_file.read_bytes())
    assert localizer.reload_gallery()[0]
    camera.diagnosis(lambda status, _: "stays in use" not in status.message)


def test_a_peer_can_neither_name_other_files_nor_take_the_key_away(
    localizer: LocalizerProcess, tmp_path: Path
) -> None:
    assert localizer.deactivate()
    assert localizer.clean_up()
    for name in ("gallery__path", "encoder__weights", "calibration__path"):
        done, why = localizer.set(**{name: str(tmp_path / "x")})
        assert not done
        assert "outside the folders that files may be named in" in why
    for name, value in (("gallery__public_key", ""), ("files__folders", "/")):
        assert not localizer.set(**{name: value})[0]
        assert not localizer.set(**{name: None})[0]
    assert localizer.configure()
