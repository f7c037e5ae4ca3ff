"""Engines beside torch: the same descriptors, clear words where one is missing or asked for too much."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from lkpan_model.checkpoint import load, resolve_weights
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.errors import DeviceError
from lkpan_model.network import LKPAN
from lkpan_model.preprocess import normalise
from test.model.conftest import SMALL_CONVNEXT, SMALL_LITE, calibrated
from test.model.pictures import pictures

ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("openvino", "onnxruntime")
]


def network_of(name: str) -> LKPAN:
    if name == "shipped":
        return load(resolve_weights("lite")).network()
    return calibrated(variant(name, image_size=96))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shipped", "lite", "tiny"])
@pytest.mark.parametrize("engine", ENGINES)
@torch.inference_mode()
def test_describes_as_the_plain_network(engine: str, name: str) -> None:
    network = network_of(name)
    images = pictures(3, network.config.image_size)
    expected = network(normalise(torch.from_numpy(images).permute(0, 3, 1, 2))).numpy()
    encoder = Encoder.from_network(network, network.config, engine=engine)
    assert (encoder.encode(images) * expected).sum(axis=1).min() >= 0.9999
    assert (encoder.encode(images[:1]) * expected[:1]).sum() >= 0.9999  # any number of images


@pytest.mark.parametrize("engine", ENGINES)
def test_descriptors_are_the_callers_own(engine: str) -> None:
    network = calibrated(SMALL_LITE)
    encoder = Encoder.from_network(network, SMALL_LITE, engine=engine, threads=1)
    first, second = pictures(2, 64)
    kept = encoder.encode(first[None])
    copy = kept.copy()
    encoder.encode(second[None])
    np.testing.assert_array_equal(kept, copy)


@pytest.mark.parametrize("engine", ENGINES)
def test_identity_is_that_of_the_weights(engine: str) -> None:
    network = calibrated(SMALL_LITE)
    encoder = Encoder.from_network(network, SMALL_LITE, engine=engine)
    assert encoder.identity == Encoder.from_network(network, SMALL_LITE).identity
    assert (encoder.device, encoder.precision) == ("cpu", "fp32")


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_openvino_in_bfloat16_is_close() -> None:
    network = calibrated(SMALL_CONVNEXT)
    images = pictures(4, 64)
    reduced, full = (
        Encoder.from_network(network, SMALL_CONVNEXT, engine=engine, precision=precision).encode(images)
        for engine, precision in (("openvino", "bf16"), ("torch", "fp32"))
    )
    assert (reduced * full).sum(axis=1).min() >= 0.999


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_missing_library_is_named(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "onnxruntime":
        pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(DeviceError, match=f"engine {engine} needs .* pip install {engine}"):
        Encoder.from_network(LKPAN(SMALL_LITE), SMALL_LITE, engine=engine)


def test_missing_onnx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DeviceError, match=r"an ONNX network needs .* pip install onnx"):
        Encoder.from_network(LKPAN(SMALL_LITE), SMALL_LITE, engine="onnxruntime")


@pytest.mark.parametrize(
    ("engine", "order", "said"),
    [
        ("tensorflow", {}, "unknown engine 'tensorflow'; choose one of torch, openvino, onnxruntime"),
        ("openvino", {"device": "cuda"}, "engine openvino runs on the CPU, not on 'cuda'"),
        ("openvino", {"precision": "fp16"}, "fp16 needs a CUDA device"),
        ("onnxruntime", {"device": "cuda:0"}, "engine onnxruntime runs on the CPU"),
        ("onnxruntime", {"precision": "bf16"}, "engine onnxruntime runs in fp32, not bf16"),
    ],
)
def test_what_an_engine_does_not_do_is_refused(engine: str, order: dict[str, Any], said: str) -> None:
    if engine != "tensorflow":
        pytest.importorskip(engine)
    with pytest.raises(DeviceError, match=said):
        Encoder.from_network(LKPAN(SMALL_LITE), SMALL_LITE, engine=engine, **order)
