"""The same function in fewer passes: batch norms and layer scales merged into the layers before them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lkpan_model.config import VARIANTS

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig


def is_sequential(config: EncoderConfig) -> bool:
    """Whether the backbone's layers run in the order in which its modules list them, as those of our variants do.

    What is a convolution, its norm and its activation is told by their places, so that other backbones stay as they are.
    """
    return config.backbone in {known.backbone for known in VARIANTS.values()}


def fold(network: nn.Module) -> None:
    """Merge what can be merged, in place. Meant for float32 and bfloat16.

    In float16 it costs accuracy: the merged weights have no longer the few bits that they are stored with.
    """
    _fold_batch_norms(network)
    _fold_layer_scales(network)


def _fold_batch_norms(module: nn.Module) -> None:
    names = [name for name, child in module.named_children() if not isinstance(child, nn.Identity)]
    for name, following in pairwise(names):
        convolution, norm = getattr(module, name), getattr(module, following)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            # timm's norms carry the activation.
            setattr(module, following, getattr(norm, "act", nn.Identity()))
    for child in module.children():
        _fold_batch_norms(child)


def _fold_layer_scales(module: nn.Module) -> None:
    """ConvNeXt's gamma, a factor for each channel of what its second linear layer gives."""
    for block in module.modules():
        gamma, last = getattr(block, "gamma", None), getattr(getattr(block, "mlp", None), "fc2", None)
        if isinstance(gamma, Tensor) and isinstance(last, nn.Linear):
            with torch.no_grad():
                last.weight.mul_(gamma[:, None])
                last.bias.mul_(gamma)
            setattr(block, "gamma", None)  # noqa: B010 - mypy takes every attribute of a module for a module
