"""OpenVINO on a processor."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from lkpan_model.engines.convnext import convolve, write_out_norms
from lkpan_model.engines.extras import extra
from lkpan_model.engines.precision import choose_dtype, name_of, only_cpu
from lkpan_model.engines.whole import example, whole

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.config import EncoderConfig
    from lkpan_model.engines.engine import Order
    from lkpan_model.network import LKPAN

_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoCpu:
    """See `Engine`.

    Args:
        model: Of `converted`, or a file that `lkpan_model.export` wrote (.xml, .onnx).
        config: Of the network.
        order: How to run.
        is_int8: Whether the model is quantised. The order's precision is then that of what is not: bfloat16 takes 0.6 of
            the time of `lite`, and adds as much error as the 8 bits do.

    Raises:
        DeviceError: OpenVINO is not installed, or the order asks for what it does not do here.
    """

    def __init__(self, model: Any, config: EncoderConfig, order: Order, *, is_int8: bool = False) -> None:
        only_cpu(order, "openvino")
        dtype = choose_dtype(order.precision, torch.device("cpu"), config)
        self.device, self.precision = "cpu", "int8" if is_int8 else name_of(dtype)
        core = extra("openvino", "engine openvino").Core()
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[name_of(dtype)],  # in 8 bits: of what is not quantised
            "ENABLE_CPU_PINNING": False,  # camera and autopilot run on the same cores
        }
        if order.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = order.threads
        self._request = core.compile_model(model, "CPU", properties).create_infer_request()

    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        described: NDArray[np.float32] = self._request.infer({0: pixels}, share_inputs=True)[0]
        return described.copy()  # the request writes there again


def converted(network: LKPAN) -> Any:
    """The network as an `openvino.Model`; the network is changed.

    Raises:
        DeviceError: OpenVINO is not installed.
    """
    openvino = extra("openvino", "engine openvino")
    images, model = example(network), whole(network)
    convolve(model)
    write_out_norms(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is recorded for one size of image, and by an old way
        return openvino.convert_model(
            model, example_input=images, input=[([-1, *images.shape[1:]], openvino.Type.u8)]
        )


def read(path: Path) -> Any:
    """An `openvino.Model` from a file whose content is checked already.

    Raises:
        DeviceError: OpenVINO is not installed.
    """
    return extra("openvino", "engine openvino").Core().read_model(path)
