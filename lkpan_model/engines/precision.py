"""Devices and number formats: what there is, and what is fastest without changing the descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lkpan_model.errors import DeviceError

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig
    from lkpan_model.engines.engine import Order

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *DTYPES)


def name_of(dtype: torch.dtype) -> str:
    """`fp32` for `torch.float32`."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def choose_device(device: str) -> torch.device:
    """The device that auto, cpu, cuda or cuda:N names.

    Raises:
        DeviceError: No such device, or it is not here.
    """
    kind, _, index = device.partition(":")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (":" in device and not (index.isascii() and index.isdigit())):
        raise DeviceError(f"unknown device {device!r}; choose auto, cpu, cuda or cuda:N")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= found:
        raise DeviceError(
            f"device {device!r} is not available ({found} CUDA devices found); choose auto or cpu"
        )
    return torch.device(device)


def choose_dtype(precision: str, device: torch.device, config: EncoderConfig) -> torch.dtype:
    """The number format that auto, fp32, bf16 or fp16 names.

    Raises:
        DeviceError: It is unknown, or the device does not have it.
    """
    if precision not in PRECISIONS:
        raise DeviceError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; choose auto, bf16 or fp32 on a CPU")
    return _auto_dtype(device, config) if precision == "auto" else DTYPES[precision]


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively; without that it is emulated, which is slower."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def only_cpu(order: Order, engine: str) -> None:
    """Refuse an order for a GPU.

    Raises:
        DeviceError: The device is neither auto nor cpu.
    """
    if order.device not in {"auto", "cpu"}:
        raise DeviceError(
            f"engine {engine} runs on the CPU, not on {order.device!r}; choose auto, cpu or engine torch"
        )


def _auto_dtype(device: torch.device, config: EncoderConfig) -> torch.dtype:
    """The fastest that leaves descriptors as they are, with a cosine of 0.9999 and more to float32.

    ConvNeXt in bfloat16 keeps 0.99999. EfficientNet-Lite does not: 0.998, down to 0.98 for single pictures, which moves
    similarities by up to 0.02; float16 keeps 0.99999 with the shipped weights and 0.9992 with untrained ones.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = cpu_has_bf16()
    return torch.bfloat16 if native and config.backbone.startswith("convnext") else torch.float32
