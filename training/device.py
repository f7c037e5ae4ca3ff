"""Where and in which precision a training run computes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lkpan_model.errors import DeviceError
from training.fast_convolution import Float32ConvolutionBackward

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """`auto`, `cpu` or `cuda`; of several processes on a machine each takes the GPU of its local rank.

    Raises:
        DeviceError: There is no such device.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name}: process {local_rank} finds {torch.cuda.device_count()} CUDA devices here; "
            "use --device cpu, or fewer processes"
        )
    return torch.device("cuda", local_rank)


@dataclass(frozen=True)
class Precision:
    """The number format of the forward and the backward pass; weights and loss stay float32.

    Raises:
        DeviceError: The device cannot train in this precision.
    """

    name: str
    device: torch.device

    def __post_init__(self) -> None:
        if self.name == "fp16" and self.device.type != "cuda":
            raise DeviceError("precision fp16 trains on CUDA only: use bf16 or fp32 on the CPU")
        if self.name == "bf16" and self.device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise DeviceError(f"{torch.cuda.get_device_name()} has no bf16: use fp16 or fp32")

    def forward(self) -> AbstractContextManager[object]:
        """Around the network's forward pass."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, _DTYPES[self.name])

    def step(self) -> AbstractContextManager[object]:
        """Around forward and backward pass together, outside `forward`."""
        return Float32ConvolutionBackward() if self.device.type == "cpu" else nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps float16 gradients in range; does nothing in the other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")
