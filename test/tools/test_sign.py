"""The command that signs, as a user runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lkpan_model.checkpoint import load, resolve_weights
from lkpan_model.exported import Exported, write_manifest
from lkpan_model.identity import EncoderIdentity
from lkpan_ros.localization.calibration_file import Calibration, write_calibration
from lkpan_ros.localization.signature import read_public_key
from lkpan_ros.tools.sign import main
from test.localization.galleries import grid_gallery
from test.model.conftest import SMALL_LITE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a key pair, a gallery and a calibration."""
    assert main(["keygen", "--output", str(tmp_path / "mission")]) == 0
    grid_gallery(0, 5).save(tmp_path / "city.gallery")
    write_calibration(
        tmp_path / "city.calibration.json",
        Calibration({"gate.radius_m": 20.0}, "ab" * 32, ("a flight",), "test"),
    )
    return tmp_path


def test_every_kind_of_file_is_signed_and_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / "city.gallery"), str(folder / "city.calibration.json"), "lite"]
    key, public = str(folder / "mission.key"), str(folder / "mission.pub")
    assert main(["sign", "--key", key, "--output", str(folder), *files]) == 0
    assert main(["verify", "--public-key", public, "--signatures", str(folder), *files]) == 0
    said = capsys.readouterr().out
    assert "signed by" in said
    weights = resolve_weights("lite")
    read_public_key(folder / "mission.pub").require("weights", weights, load(weights).weights_hash, folder)
    assert not weights.with_name("lite.safetensors.sig").exists()


def test_what_is_not_as_signed_is_told_by_the_exit_status(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery, key, public = (str(folder / name) for name in ("city.gallery", "mission.key", "mission.pub"))
    assert main(["verify", "--public-key", public, gallery]) == 2
    assert "is not signed" in capsys.readouterr().err
    assert main(["sign", "--key", key, gallery]) == 0
    assert main(["verify", "--public-key", public, gallery]) == 0
    grid_gallery(1, 5).save(folder / "city.gallery")
    assert main(["verify", "--public-key", public, gallery]) == 2
    assert "is not what" in capsys.readouterr().err


def test_an_exported_network_is_signed_by_what_its_files_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = folder / "net.onnx"
    network.write_bytes(b"a network")
    identity = EncoderIdentity(SMALL_LITE, "ab" * 32, "rgb 64x64")
    write_manifest(Exported(network, identity, "fp32"))
    key, public = str(folder / "mission.key"), str(folder / "mission.pub")
    assert main(["sign", "--key", key, str(network)]) == 0
    assert main(["verify", "--public-key", public, str(network)]) == 0
    network.write_bytes(b"another network")
    assert main(["verify", "--public-key", public, str(network)]) == 2
    write_manifest(Exported(network, identity, "fp32"))  # by somebody who knows how
    assert main(["verify", "--public-key", public, str(network)]) == 2
    assert "is not what" in capsys.readouterr().err


def test_a_damaged_file_is_not_signed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = folder / "city.gallery"
    content = bytearray(gallery.read_bytes())
    content[-1] ^= 1
    gallery.write_bytes(content)
    assert main(["sign", "--key", str(folder / "mission.key"), str(gallery)]) == 2
    assert "altered" in capsys.readouterr().err
    assert not (folder / "city.gallery.sig").exists()
    assert main(["sign", "--key", str(folder / "mission.key"), str(folder / "nothing")]) == 2


def test_nothing_is_signed_where_one_of_the_files_cannot_be(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = folder / "other.calibration.json"
    files = [str(folder / "city.gallery"), str(missing)]
    assert main(["sign", "--key", str(folder / "mission.key"), *files]) == 2
    assert f"{missing}: there is no such file" in capsys.readouterr().err
    assert not (folder / "city.gallery.sig").exists()


@pytest.mark.parametrize("name", [".", "nowhere/mission"])
def test_keys_need_a_name_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keygen", "--output", name]) == 2
    assert f"--output {name}: give the name of the keys" in capsys.readouterr().err


def test_a_folder_of_signatures_that_is_none_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery, public = str(folder / "city.gallery"), str(folder / "mission.pub")
    assert main(["sign", "--key", str(folder / "mission.key"), gallery]) == 0
    assert main(["verify", "--public-key", public, "--signatures", str(folder / "no"), gallery]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert main(["verify", "--public-key", str(folder / "other.pub"), gallery]) == 2
    assert "there is no such key" in capsys.readouterr().err
