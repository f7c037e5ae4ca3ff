"""Exported networks: files that other libraries run, and what is known of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from lkpan_model import checkpoint
from lkpan_model.encoder import Encoder
from lkpan_model.errors import CheckpointError, DeviceError
from lkpan_model.export import main
from test.model.conftest import SMALL_LITE, calibrated
from test.model.pictures import pictures

if TYPE_CHECKING:
    from pathlib import Path


RUNS = [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    checkpoint.save(path, calibrated(SMALL_LITE), SMALL_LITE, half=False)
    return path


@pytest.fixture(scope="module")
def exported(weights: Path) -> Path:
    pytest.importorskip("onnxruntime")
    path = weights.with_suffix(".onnx")
    assert main(["--weights", str(weights), "--format", "onnx", "--output", str(path)]) == 0
    return path


@pytest.mark.parametrize(("format_", "engine"), RUNS)
def test_an_exported_network_describes_as_its_weights(
    weights: Path, tmp_path: Path, format_: str, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(engine)
    path = tmp_path / ("mine.onnx" if format_ == "onnx" else "mine.xml")
    assert main(["--weights", str(weights), "--format", format_, "--output", str(path)]) == 0
    assert f"{path.name}.json beside it: small-lite 64px" in capsys.readouterr().out
    encoder, original = Encoder(path, engine=engine), Encoder(weights)
    assert encoder.identity == original.identity
    images = pictures(3, 64)
    assert (encoder.encode(images) * original.encode(images)).sum(axis=1).min() >= 0.9999


@pytest.mark.slow
def test_eight_bits_are_close_with_the_shipped_weights(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    for number, picture in enumerate(pictures(30, 192, seed=1)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    path = tmp_path / "lite_int8.xml"
    assert main(["--format", "openvino", "--int8", str(tmp_path), "--output", str(path)]) == 0
    encoder = Encoder(path, engine="openvino")
    assert encoder.precision == "int8"
    images = pictures(8, 192, seed=2)
    described = encoder.encode(images)
    rest_in_bfloat16 = Encoder(path, engine="openvino", precision="bf16")
    assert (described * rest_in_bfloat16.encode(images)).sum(axis=1).min() >= 0.99
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1.0, atol=1e-4)
    assert (described * Encoder("lite").encode(images)).sum(axis=1).min() >= 0.99


def test_torch_does_not_run_an_exported_network(exported: Path) -> None:
    with pytest.raises(DeviceError, match="engine torch does not run: choose openvino or onnxruntime"):
        Encoder(exported)


def test_an_altered_file_is_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / exported.name
    path.write_bytes(exported.read_bytes()[:-1] + b"x")
    (tmp_path / f"{path.name}.json").write_bytes(exported.with_name(f"{exported.name}.json").read_bytes())
    with pytest.raises(CheckpointError, match="not the one that"):
        Encoder(path, engine="onnxruntime")


def test_a_file_without_its_manifest_is_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / exported.name
    path.write_bytes(exported.read_bytes())
    with pytest.raises(CheckpointError, match=r"has no mine.onnx.json beside it"):
        Encoder(path, engine="onnxruntime")


@pytest.mark.parametrize(
    "change",
    [{"format": "other"}, {"format_version": 2}, {"precision": "int4"}, {"files": []}, {"identity": {}}],
)
def test_a_senseless_manifest_is_refused(exported: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / exported.name
    path.write_bytes(exported.read_bytes())
    manifest = json.loads(exported.with_name(f"{exported.name}.json").read_text())
    path.with_name(f"{path.name}.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(CheckpointError, match=r"mine.onnx.json"):
        Encoder(path, engine="onnxruntime")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "nothing", "--format", "onnx"], "no weights named 'nothing'"),
        (["--format", "onnx", "--output", "lite.xyz"], "cannot write lite.xyz: give a name that ends in"),
        (["--format", "onnx", "--int8", "{pictures}"], "8 bits are for OpenVINO"),
        (["--format", "openvino", "--int8", "/nowhere"], "--int8 /nowhere: give a folder of pictures"),
        (["--format", "onnx", "--output", "/nowhere/lite.onnx"], "cannot write /nowhere/lite.onnx"),
    ],
)
def test_wrong_orders_are_told_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), pictures(1, 32)[0])
    assert main([word.format(pictures=tmp_path) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
