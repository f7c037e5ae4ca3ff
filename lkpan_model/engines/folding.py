"""The same function in fewer passes: what can be computed before there is an image is merged into the layers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lkpan_model.aggregation import SpatialAwareAggregation
from lkpan_model.config import VARIANTS

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig
    from lkpan_model.network import LKPAN


def is_sequential(config: EncoderConfig) -> bool:
    """Whether the backbone's layers run in the order in which its modules list them, as those of our variants do.

    What is a convolution, its norm and its activation is told by their places, so that other backbones stay as they are.
    """
    return config.backbone in {known.backbone for known in VARIANTS.values()}


@torch.no_grad()
def fold(network: LKPAN) -> None:
    """Merge what can be merged, in place. Meant for float32 and bfloat16.

    In float16 it costs accuracy: the merged weights have no longer the few bits that they are stored with.
    """
    _fold_batch_norms(network)
    _fold_layer_scales(network)
    _fold_padding(network)
    if isinstance(network.aggregation, SpatialAwareAggregation):
        network.aggregation = MergedHeads(network.aggregation)


class MergedHeads(nn.Module):
    """`SpatialAwareAggregation` with one linear layer for all heads: a head's two have no activation between them."""

    def __init__(self, aggregation: SpatialAwareAggregation) -> None:
        super().__init__()
        maps = [(head[0], head[1]) for head in aggregation.heads]  # type: ignore[index]  # a head is an nn.Sequential
        self._heads = len(maps)
        weights = [(expand.weight.double() @ squeeze.weight.double()) for squeeze, expand in maps]
        biases = [expand(squeeze.bias) for squeeze, expand in maps]
        cells = maps[0][0].in_features
        self.all_heads = nn.Linear(cells, self._heads * cells)
        self.all_heads.weight.copy_(torch.cat(weights))
        self.all_heads.bias.copy_(torch.cat(biases))

    def forward(self, features: Tensor) -> Tensor:
        """B x C x H x W to B x (heads * C), laid out head by head, not normalised."""
        cells = features.permute(0, 2, 3, 1).flatten(1, 2)  # B x N x C
        weights = self.all_heads(cells.amax(dim=2)).unflatten(1, (self._heads, -1))  # B x heads x N
        pooled: Tensor = weights @ cells  # B x heads x C
        return pooled.flatten(1)


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
            last.weight.mul_(gamma[:, None])
            last.bias.mul_(gamma)
            setattr(block, "gamma", None)  # noqa: B010 - mypy takes every attribute of a module for a module


def _fold_padding(network: LKPAN) -> None:
    """Convolutions that pad by themselves, alike on both sides, with kernels that reach no further than the map."""
    sides: dict[nn.Module, torch.Size] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: sides.__setitem__(layer, inputs[0].shape[2:]))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    size = network.config.image_size
    network(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d):
                setattr(module, name, _padding_itself(layer, sides[layer]))


def _padding_itself(layer: nn.Conv2d, sides: torch.Size) -> nn.Conv2d:
    kernel, padding = _kernel(layer, sides)
    if kernel is layer.weight and padding == layer.padding and type(layer) is nn.Conv2d:
        return layer
    plain: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d,
        layer.in_channels,
        layer.out_channels,
        (kernel.shape[2], kernel.shape[3]),
        stride=(layer.stride[0], layer.stride[1]),
        padding=padding,
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    plain.weight.copy_(kernel)
    if plain.bias is not None and layer.bias is not None:
        plain.bias.copy_(layer.bias)
    return plain.train(layer.training)


def _kernel(layer: nn.Conv2d, sides: torch.Size) -> tuple[Tensor, tuple[int, int]]:
    """Kernel and padding of the same function, padded alike on both sides and without what lies on padding alone."""
    kernel = layer.weight
    if isinstance(layer, Conv2dSame):
        total = [
            _same(size, *along) for size, *along in zip(sides, kernel.shape[2:], layer.stride, strict=True)
        ]
        # Padded by one more at the end: a row and column of zeros in front of the kernel, and as much at the start.
        kernel = F.pad(kernel, (total[1] % 2, 0, total[0] % 2, 0))
        return kernel, (-(-total[0] // 2), -(-total[1] // 2))
    padding = [int(amount) for amount in layer.padding]
    # On a map of 6 cells a centred 17x17 kernel reaches 5 cells at most.
    rim = min(padding[axis] - (sides[axis] - 1) for axis in (0, 1))
    if rim > 0 and layer.stride == (1, 1) and all(2 * padding[n] + 1 == kernel.shape[2 + n] for n in (0, 1)):
        return kernel[:, :, rim:-rim, rim:-rim], (padding[0] - rim, padding[1] - rim)
    return kernel, (padding[0], padding[1])


def _same(size: int, kernel: int, stride: int) -> int:
    """TensorFlow's padding of both ends together, for ceil(size / stride) outputs."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)
