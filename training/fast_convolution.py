"""A faster backward pass for convolutions under bfloat16 autocast on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Float32Backward(torch.autograd.Function):
    """conv2d whose gradients are computed in float32, whatever the precision of the forward pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, *settings: Any) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.settings = settings
        stride, padding, dilation, groups = settings
        return torch.conv2d(image, weight, None, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        to_image, to_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(), image.float(), weight.float(), None, stride, padding, dilation,
            False, [0, 0], groups, [*ctx.needs_input_grad[:2], False],
        )  # fmt: skip
        to_image = None if to_image is None else to_image.to(image.dtype)
        return to_image, None if to_weight is None else to_weight.to(weight.dtype), None, None, None, None


class Float32ConvolutionBackward(TorchFunctionMode):
    """While this is entered, spatial convolutions get their gradients in float32.

    oneDNN's bfloat16 gradients of strided and of 5x5 depthwise convolutions are 5 to 10 times slower than the
    float32 ones (measured: torch 2.14, EPYC with avx512_bf16), and they are most of EfficientNet's step.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides`: called in place of every torch function."""
        if func is torch.conv2d and torch.is_grad_enabled() and args[1].shape[-1] > 1:
            return _apply(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _apply(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    stride, padding, dilation = (
        [v, v] if isinstance(v, int) else list(v) for v in (stride, padding, dilation)
    )
    if torch.is_autocast_enabled(image.device.type):
        dtype = torch.get_autocast_dtype(image.device.type)
        image, weight = image.to(dtype), weight.to(dtype)
    output: Tensor = _Float32Backward.apply(image, weight, stride, padding, dilation, groups)  # type: ignore[no-untyped-call]
    return output if bias is None else output + bias.to(output.dtype).view(1, -1, 1, 1)
