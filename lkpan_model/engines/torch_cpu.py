"""PyTorch on a processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lkpan_model.engines import fused
from lkpan_model.engines.folding import fold, is_sequential
from lkpan_model.engines.precision import choose_dtype, name_of
from lkpan_model.preprocess import Normalisation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.engines.engine import Order
    from lkpan_model.network import LKPAN

# More at once push each other out of the cache, and glibc maps blocks of over 32 MB anew in every pass: 16 images of
# `lite` take 0.75 of the time by fours.
_AT_ONCE = 4


class TorchCpu:
    """Folded, channels last, fused by oneDNN; see `Engine`.

    Raises:
        DeviceError: A processor does not have the precision.
    """

    def __init__(self, network: LKPAN, order: Order) -> None:
        if order.threads is not None:
            torch.set_num_threads(order.threads)
        dtype = choose_dtype(order.precision, torch.device("cpu"), network.config)
        self.device, self.precision = "cpu", name_of(dtype)
        size = network.config.image_size
        known = is_sequential(network.config)
        with torch.inference_mode():
            if known:
                fold(network)
            self._normalise = Normalisation(dtype)
            self._network = network.to(dtype).to(memory_format=torch.channels_last)
            if known and fused.is_available(dtype):
                fused.fuse(self._network, self._normalise(torch.zeros(1, size, size, 3, dtype=torch.uint8)))

    @torch.inference_mode()
    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        parts = [
            torch.from_numpy(pixels[first : first + _AT_ONCE]) for first in range(0, len(pixels), _AT_ONCE)
        ]
        described: NDArray[np.float32] = torch.cat(
            [self._network(self._normalise(part)) for part in parts]
        ).numpy()
        return described
