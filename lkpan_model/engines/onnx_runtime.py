"""ONNX Runtime on a processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lkpan_model.engines.extras import extra
from lkpan_model.engines.precision import only_cpu
from lkpan_model.engines.whole import INPUT
from lkpan_model.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.engines.engine import Order


class OnnxRuntimeCpu:
    """See `Engine`.

    Args:
        model: Content of an ONNX file, as of `onnx_bytes`.
        order: How to run.

    Raises:
        DeviceError: ONNX Runtime is not installed, or the order asks for what it does not do here.
    """

    def __init__(self, model: bytes, order: Order) -> None:
        only_cpu(order, "onnxruntime")
        if order.precision not in {"auto", "fp32"}:
            raise DeviceError(f"engine onnxruntime runs in fp32, not {order.precision}; choose auto or fp32")
        self.device, self.precision = "cpu", "fp32"
        onnxruntime = extra("onnxruntime", "engine onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = order.threads or 0
        # Threads that wait in a loop starve the camera and the autopilot of the other core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        described: NDArray[np.float32] = self._session.run(None, {INPUT: pixels})[0]
        return described
