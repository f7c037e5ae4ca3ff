"""PyTorch on a processor."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lkpan_model.engines import recorded
from lkpan_model.engines.convnext import convolve
from lkpan_model.engines.folding import fold, is_sequential
from lkpan_model.engines.precision import choose_dtype, name_of
from lkpan_model.preprocess import Normalisation

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.engines.engine import Order
    from lkpan_model.network import LKPAN

# More at once push each other out of the cache, and glibc maps blocks of over 32 MB anew in every pass: 16 images of
# `lite` take 0.75 of the time by fours.
_AT_ONCE = 4


class TorchCpu:
    """Folded, channels last, compiled by oneDNN; see `Engine`.

    Raises:
        DeviceError: A processor does not have the precision.
    """

    def __init__(self, network: LKPAN, order: Order) -> None:
        if order.threads is not None:
            torch.set_num_threads(order.threads)
        self._dtype = dtype = choose_dtype(order.precision, torch.device("cpu"), network.config)
        self.device, self.precision = "cpu", name_of(dtype)
        self._size = network.config.image_size
        with torch.inference_mode():
            if is_sequential(network.config):
                fold(network)
                convolve(network)
            network.to(dtype).to(memory_format=torch.channels_last)
            self._network = nn.Sequential(Normalisation(dtype), network).eval().requires_grad_(False)
            self._is_recorded = recorded.is_available(dtype, network.config)
            self._single = self._for(1)

    @torch.inference_mode()
    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        images = torch.from_numpy(pixels)
        together = len(images) - len(images) % _AT_ONCE
        parts = [self._several(images[at : at + _AT_ONCE]) for at in range(0, together, _AT_ONCE)]
        parts += [self._single(images[at : at + 1]) for at in range(together, len(images))]
        described: NDArray[np.float32] = torch.cat(parts).numpy()
        return described

    @cached_property
    def _several(self) -> Callable[[Tensor], Tensor]:
        """For as many as are run at once; made when they are first asked for, as it holds the weights once more."""
        return self._for(_AT_ONCE)

    def _for(self, count: int) -> Callable[[Tensor], Tensor]:
        if not self._is_recorded:
            return self._network
        anything = torch.Generator().manual_seed(0)
        shape = (count, self._size, self._size, 3)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=anything)
        return recorded.recorded(self._network, images, self._dtype)
