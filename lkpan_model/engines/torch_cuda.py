"""PyTorch on an NVIDIA GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lkpan_model.engines.folding import fold, is_sequential
from lkpan_model.engines.precision import choose_dtype, name_of
from lkpan_model.preprocess import Normalisation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.engines.engine import Order
    from lkpan_model.network import LKPAN


class TorchCuda:
    """Channels last, through pinned memory; one image at a time by a CUDA graph. See `Engine`.

    A graph starts all kernels of the network in one call: for a single image starting them takes longer than running them.

    Raises:
        DeviceError: The GPU does not have the precision.
    """

    def __init__(self, network: LKPAN, order: Order, device: torch.device) -> None:
        self._device = device
        dtype = choose_dtype(order.precision, device, network.config)
        self.device, self.precision = str(device), name_of(dtype)
        if dtype != torch.float16 and is_sequential(network.config):
            fold(network)
        self._network = nn.Sequential(Normalisation(dtype), _in(dtype, network)).to(device)
        self._network.to(memory_format=torch.channels_last)
        size = network.config.image_size
        self._sent = torch.empty((order.batch_size, size, size, 3), dtype=torch.uint8, pin_memory=True)
        self._returned = torch.empty((order.batch_size, network.config.descriptor_dim), pin_memory=True)
        with torch.cuda.device(device), torch.inference_mode():
            self._single = _Graph(self._network, torch.zeros_like(self._sent[:1], device=device))

    @torch.inference_mode()
    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        count = len(pixels)
        sent, returned = self._sent[:count], self._returned[:count]
        sent.numpy()[:] = pixels
        with torch.cuda.device(self._device):
            if count == 1:
                returned.copy_(self._single(sent), non_blocking=True)
            else:
                images = sent.to(self._device, non_blocking=True)
                returned.copy_(self._network(images), non_blocking=True)
            torch.cuda.current_stream().synchronize()
        # The buffer is used again by the next call.
        described: NDArray[np.float32] = returned.numpy().copy()
        return described


class _Graph:
    """A network recorded once for one shape of input, played again at each call."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self._input = example
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm_up.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(
            warm_up
        ):  # libraries choose their kernels and allocate, which cannot be recorded
            for _ in range(3):
                network(self._input)
        torch.cuda.current_stream().wait_stream(warm_up)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output: Tensor = network(self._input)

    def __call__(self, images: Tensor) -> Tensor:
        """What it returns holds until the next call."""
        self._input.copy_(images, non_blocking=True)
        self._graph.replay()
        return self._output


def _in(dtype: torch.dtype, network: nn.Module) -> nn.Module:
    """The network in a number format; batch norms keep float32, which their statistics need in float16."""
    for module in network.modules():
        if not isinstance(module, nn.BatchNorm2d):
            for values in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                values.data = values.data.to(dtype)
    return network
