"""The engine for an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lkpan_model.engines.precision import choose_device
from lkpan_model.errors import DeviceError

if TYPE_CHECKING:
    from lkpan_model.engines.engine import Engine, Order
    from lkpan_model.exported import Exported
    from lkpan_model.network import LKPAN

ENGINES = ("torch", "openvino", "onnxruntime")

# Each engine's module is imported where it is chosen: none pays for the libraries of the others.


def start(network: LKPAN, order: Order) -> Engine:
    """An engine of a network in evaluation mode, which it may change.

    Raises:
        DeviceError: The engine, the device or the precision is unknown or not available here.
    """
    if order.engine == "openvino":
        from lkpan_model.engines.openvino_cpu import OpenVinoCpu, converted  # noqa: PLC0415

        return OpenVinoCpu(converted(network), network.config, order)
    if order.engine == "onnxruntime":
        from lkpan_model.engines.onnx_runtime import OnnxRuntimeCpu  # noqa: PLC0415
        from lkpan_model.engines.whole import onnx_bytes  # noqa: PLC0415

        return OnnxRuntimeCpu(onnx_bytes(network), order)
    if order.engine != "torch":
        raise DeviceError(f"unknown engine {order.engine!r}; choose one of {', '.join(ENGINES)}")
    device = choose_device(order.device)
    if device.type == "cuda":
        from lkpan_model.engines.torch_cuda import TorchCuda  # noqa: PLC0415

        return TorchCuda(network, order, device)
    from lkpan_model.engines.torch_cpu import TorchCpu  # noqa: PLC0415

    return TorchCpu(network, order)


def start_exported(exported: Exported, order: Order) -> Engine:
    """An engine of a file that `lkpan_model.export` wrote.

    Raises:
        DeviceError: As `start`, or the engine does not run such files.
    """
    path, is_int8 = exported.path, exported.precision == "int8"
    if order.engine == "openvino":
        from lkpan_model.engines.openvino_cpu import OpenVinoCpu, read  # noqa: PLC0415

        return OpenVinoCpu(read(path), exported.identity.config, order, is_int8=is_int8)
    if order.engine == "onnxruntime" and path.suffix == ".onnx":
        from lkpan_model.engines.onnx_runtime import OnnxRuntimeCpu  # noqa: PLC0415

        return OnnxRuntimeCpu(path.read_bytes(), order)
    fitting = "openvino" if path.suffix == ".xml" else "openvino or onnxruntime"
    raise DeviceError(
        f"{path} is an exported network, which engine {order.engine} does not run: choose {fitting}"
    )
