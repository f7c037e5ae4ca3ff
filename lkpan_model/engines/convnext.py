"""ConvNeXt's blocks as compilers for processors run them fastest: all in one layout, without a turn for each norm.

timm's blocks turn the map so that channels come last, run a norm and two linear layers, and turn it back. In memory
nothing has to move, as the maps are in channels-last order all along; compilers that do not see that move everything.
"""

from __future__ import annotations

import torch
from timm.layers.mlp import Mlp
from timm.layers.norm import LayerNorm2d
from timm.models.convnext import ConvNeXtBlock
from torch import Tensor, nn


@torch.no_grad()
def convolve(network: nn.Module) -> None:
    """Run the linear layers of ConvNeXt blocks as 1x1 convolutions, in place: timm's own second form of them."""
    for block in network.modules():
        if isinstance(block, ConvNeXtBlock) and type(block.mlp) is Mlp and not block.use_conv_mlp:
            block.use_conv_mlp = True
            block.norm = _of_maps(block.norm)
            for name in ("fc1", "fc2"):
                setattr(block.mlp, name, _convolution(getattr(block.mlp, name)))


def write_out_norms(network: nn.Module) -> None:
    """Write the norms of `convolve`'s blocks and those between stages out as sums and products, in place.

    OpenVINO has norms of last axes alone, for which it turns the map in memory.
    """
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, LayerNorm2d):
                setattr(module, name, WrittenNorm(layer))


class WrittenNorm(nn.Module):
    """A norm over the channels of B x C x H x W."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self._eps = norm.eps
        self.weight = nn.Parameter(norm.weight.detach()[:, None, None], requires_grad=False)
        self.bias = nn.Parameter(norm.bias.detach()[:, None, None], requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        """B x C x H x W to the same."""
        centred = features - features.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return centred * torch.rsqrt(variance + self._eps) * self.weight + self.bias


def _of_maps(norm: nn.LayerNorm) -> LayerNorm2d:
    turned = LayerNorm2d(norm.normalized_shape[0], eps=norm.eps)
    turned.load_state_dict(norm.state_dict())
    return turned


def _convolution(layer: nn.Linear) -> nn.Conv2d:
    convolution: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, layer.in_features, layer.out_features, 1
    )
    convolution.weight.copy_(layer.weight[:, :, None, None])
    convolution.bias.copy_(layer.bias)  # type: ignore[union-attr]  # it was asked for
    return convolution
