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
    """Through pinned memory; single images and full batches by CUDA graphs. See `Engine`.

    A graph starts all kernels of the network in one call: starting them takes longer than running them for a single image,
    and for many images of a small network.

    Raises:
        DeviceError: The GPU does not have the precision.
    """

    def __init__(self, network: LKPAN, order: Order, device: torch.device) -> None:
        self._device = device
        dtype = choose_dtype(order.precision, device, network.config)
        self.device, self.precision = str(device), name_of(dtype)
        if dtype != torch.float16 and is_sequential(network.config):
            fold(network)
        # cuDNN's kernels for half precision are faster with channels last, those for float32 in planes, with TF32 or without.
        layout = torch.contiguous_format if dtype == torch.float32 else torch.channels_last
        self._network = nn.Sequential(Normalisation(dtype, layout), _in(dtype, network)).to(device)
        self._network.to(memory_format=layout)
        size = network.config.image_size
        self._sent = torch.empty((order.batch_size, size, size, 3), dtype=torch.uint8, pin_memory=True)
        self._returned = torch.empty((order.batch_size, network.config.descriptor_dim), pin_memory=True)
        self._graphs: dict[int, _Graph] = {}
        self.describe(self._sent[:1].numpy())  # the node's first frame shall not wait for the graph

    @torch.inference_mode()
    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        count = len(pixels)
        sent, returned = self._sent[:count], self._returned[:count]
        sent.numpy()[:] = pixels
        with torch.cuda.device(self._device):
            run = self._graph(count) if count in {1, len(self._sent)} else self._plain
            returned.copy_(run(sent), non_blocking=True)
            torch.cuda.current_stream().synchronize()
        # The buffer is used again by the next call.
        described: NDArray[np.float32] = returned.numpy().copy()
        return described

    def _plain(self, images: Tensor) -> Tensor:
        described: Tensor = self._network(images.to(self._device, non_blocking=True))
        return described

    def _graph(self, count: int) -> _Graph:
        """Recorded when it is first asked for, as each holds the maps of its images."""
        if count not in self._graphs:
            self._graphs[count] = _Graph(
                self._network, torch.zeros_like(self._sent[:count], device=self._device)
            )
        return self._graphs[count]


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
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
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
