"""The engine for an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lkpan_model.engines.precision import choose_device

if TYPE_CHECKING:
    from lkpan_model.engines.engine import Engine, Order
    from lkpan_model.network import LKPAN


def start(network: LKPAN, order: Order) -> Engine:
    """An engine of a network in evaluation mode, which it may change.

    Raises:
        DeviceError: The device or the precision is unknown or not available here.
    """
    device = choose_device(order.device)
    if device.type == "cuda":
        from lkpan_model.engines.torch_cuda import TorchCuda  # noqa: PLC0415 - where it is needed alone

        return TorchCuda(network, order, device)
    from lkpan_model.engines.torch_cpu import TorchCpu  # noqa: PLC0415

    return TorchCpu(network, order)
