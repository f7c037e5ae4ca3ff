"""A localizer with a public key, among peers that want in: unsigned files and files of others stay out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lifecycle_msgs.msg import State

from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.tools.sign import main as sign
from test.ros.camera import Camera
from test.ros.graph import LocalizerProcess
from test.ros.policy import allowed
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


def test_the_sros_policy_is_what_the_localizer_needs_and_no_more(
    graph: Graph, camera: Camera, localizer: LocalizerProcess, world: SmallWorld
) -> None:
    assert localizer.activate()
    camera.pair_up(world.view(TILE))

    def full(name: str) -> str:
        return name if name.startswith("/") else f"{graph.namespace}/{name.replace('~', 'localizer', 1)}"

    def there(ask: Any) -> set[str]:
        return {name for name, _ in ask("localizer", graph.namespace)}

    node = graph.node
    optional = {full("image/compressed"), "/clock", "/parameter_events"}  # by parameter
    subscribed = there(node.get_subscriber_names_and_types_by_node)
    assert subscribed | optional == allowed("localizer", "subscribe", full)
    assert there(node.get_publisher_names_and_types_by_node) == allowed("localizer", "publish", full)
    assert there(node.get_service_names_and_types_by_node) == allowed("localizer", "reply", full)
    assert there(node.get_client_names_and_types_by_node) == allowed("localizer", "request", full) == set()


def test_only_the_operator_of_the_sros_policy_may_change_anything() -> None:
    replied = allowed("localizer", "reply", lambda name: name.replace("~", "localizer"))
    assert allowed("operator", "request", str) == replied - {"localizer/get_type_description"}
    assert allowed("camera", "request", str) == allowed("consumer", "request", str) == set()
    fixes = {name for name in allowed("localizer", "publish", str) if "geo_fix" in name}
    for other in ("camera", "consumer", "operator"):
        assert not fixes & allowed(other, "publish", str)


def test_secured_dds_that_this_middleware_cannot_do_is_refused_not_ignored(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ROS_SECURITY_ENABLE a node runs secured or not at all, also on middleware without the plugins."""
    enclave = tmp_path / "enclaves" / "lkpan" / "localizer"
    enclave.mkdir(parents=True)
    for name in ("identity_ca.cert.pem", "cert.pem", "key.pem", "permissions_ca.cert.pem"):
        (enclave / name).write_text("not a certificate")
    for name in ("governance.p7s", "permissions.p7s"):
        (enclave / name).write_text("not signed")
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(tmp_path))
    process = graph.start("localizer_node", {}, "--enclave", "/lkpan/localizer")
    assert process.wait() == 1
    assert "Traceback" not in process.output
    assert "security" in process.output.lower()
