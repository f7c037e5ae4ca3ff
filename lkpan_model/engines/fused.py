"""Convolutions and linear layers as oneDNN runs them fastest on a CPU: weights laid out once, activation in the same pass.

torch's own layers lay their weights out anew in every call, and pass over a map again for its activation and for padding.
The operators below are those that torch's compiler writes out; here they need no compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.activations import GELU
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

Attribute = tuple[str, list[float], str]  # oneDNN's name of an activation, its numbers, its algorithm
_NONE: Attribute = ("none", [], "")
_OPERATORS = {
    "convolve": "_convolution_pointwise",
    "multiply": "_linear_pointwise",
    "lay out kernel": "_reorder_convolution_weight",
    "lay out matrix": "_reorder_linear_weight",
}


def is_available(dtype: torch.dtype) -> bool:
    """Whether this build of torch has the operators, and they take the numbers on this processor."""
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not built or not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS.values()):
        return False
    # Without AVX-512 torch's own layers still compute in bfloat16, slowly; these refuse.
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - told nowhere else


def fuse(network: nn.Module, images: Tensor) -> None:
    """Replace the layers of a network in evaluation mode, in place.

    Args:
        network: Its batch norms are folded; float32 or bfloat16, on the CPU.
        images: Of the shape that it will be given; other numbers of images work too, a little slower.
    """
    shapes: dict[nn.Module, torch.Size] = {}
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [
        layer.register_forward_pre_hook(
            lambda module, inputs: shapes.__setitem__(module, inputs[0].shape)  # the layer's input
        )
        for layer in layers
    ]
    network(images)
    for hook in hooks:
        hook.remove()
    _replace(network, shapes)


class FusedConv2d(nn.Module):
    """A convolution and the activation after it.

    Args:
        layer: The convolution; timm's `Conv2dSame` too.
        shape: Of its input.
        activation: What follows.
    """

    def __init__(self, layer: nn.Conv2d, shape: torch.Size, activation: Attribute) -> None:
        super().__init__()
        weight, padding = _plain(layer, shape)
        self._geometry = (padding, list(layer.stride), list(layer.dilation), layer.groups)
        self._activation = activation
        self._bias = layer.bias
        self._weight = _operator("lay out kernel")(weight.contiguous(), *self._geometry, list(shape))

    def forward(self, images: Tensor) -> Tensor:
        """B x C x H x W, channels last."""
        name, numbers, algorithm = self._activation
        return _operator("convolve")(
            images, self._weight, self._bias, *self._geometry, name, numbers, algorithm
        )


class FusedLinear(nn.Module):
    """A linear layer and the activation after it; arguments as of `FusedConv2d`."""

    def __init__(self, layer: nn.Linear, shape: torch.Size, activation: Attribute) -> None:
        super().__init__()
        self._activation, self._bias = activation, layer.bias
        self._weight = _operator("lay out matrix")(layer.weight, shape.numel() // shape[-1])

    def forward(self, rows: Tensor) -> Tensor:
        """... x features."""
        return _operator("multiply")(rows, self._weight, self._bias, *self._activation)


def _replace(module: nn.Module, shapes: dict[nn.Module, torch.Size]) -> None:
    children = [(name, child) for name, child in module.named_children() if not _does_nothing(child)]
    for index, (name, child) in enumerate(children):
        if child in shapes:
            following = children[index + 1] if index + 1 < len(children) else ("", nn.Identity())
            activation = _attribute(following[1])
            if activation is not _NONE:
                setattr(module, following[0], nn.Identity())
            kind = FusedConv2d if isinstance(child, nn.Conv2d) else FusedLinear
            setattr(module, name, kind(child, shapes[child], activation))  # type: ignore[arg-type]
        else:
            _replace(child, shapes)


def _does_nothing(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Identity | nn.Dropout)


def _attribute(layer: nn.Module) -> Attribute:
    if isinstance(layer, nn.ReLU6):
        return "hardtanh", [0.0, 6.0], ""
    if isinstance(layer, nn.ReLU):
        return "relu", [], ""
    if isinstance(layer, nn.GELU | GELU):
        return "gelu", [], getattr(layer, "approximate", "none")
    return _NONE


def _plain(layer: nn.Conv2d, shape: torch.Size) -> tuple[Tensor, list[int]]:
    """Kernel and padding of the same function, padded alike on both sides and without what lies on padding alone."""
    kernel, sides = layer.weight, list(shape[2:])
    if isinstance(layer, Conv2dSame):
        total = [
            _same(size, *along) for size, *along in zip(sides, kernel.shape[2:], layer.stride, strict=True)
        ]
        # Padded by one more at the end: a row and column of zeros in front of the kernel, and as much at the start.
        kernel = F.pad(kernel, (total[1] % 2, 0, total[0] % 2, 0))
        return kernel, [-(-amount // 2) for amount in total]
    padding = [int(amount) for amount in layer.padding]
    # On a map of 6 cells a centred 17x17 kernel reaches 5 cells at most.
    rim = min(padding[axis] - (sides[axis] - 1) for axis in (0, 1))
    if rim > 0 and layer.stride == (1, 1) and all(2 * padding[n] + 1 == kernel.shape[2 + n] for n in (0, 1)):
        return kernel[:, :, rim:-rim, rim:-rim], [amount - rim for amount in padding]
    return kernel, padding


def _same(size: int, kernel: int, stride: int) -> int:
    """TensorFlow's padding of both ends together, for ceil(size / stride) outputs."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def _operator(task: str) -> Callable[..., Tensor]:
    operator: Callable[..., Tensor] = getattr(torch.ops.mkldnn, _OPERATORS[task])
    return operator
