"""PyTorch on a processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lkpan_model.engines.convnext import convolve
from lkpan_model.engines.folding import fold, is_sequential
from lkpan_model.engines.precision import choose_dtype, name_of
from lkpan_model.engines.recorded import is_available, recorded
from lkpan_model.preprocess import Normalisation

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_model.config import EncoderConfig
    from lkpan_model.engines.engine import Order
    from lkpan_model.network import LKPAN

# More at once push each other out of the cache. Fewer cost EfficientNet a seventh, and ConvNeXt nothing.
_AT_ONCE = 4


class TorchCpu:
    """Folded, channels last, compiled by oneDNN; see `Engine`.

    Raises:
        DeviceError: A processor does not have the precision.
    """

    def __init__(self, network: LKPAN, order: Order) -> None:
        if order.threads is not None:
            torch.set_num_threads(order.threads)
        dtype = choose_dtype(order.precision, torch.device("cpu"), network.config)
        self.device, self.precision = "cpu", name_of(dtype)
        with torch.inference_mode():
            if is_sequential(network.config):
                fold(network)
                convolve(network)
            network.to(dtype).to(memory_format=torch.channels_last)
            whole = nn.Sequential(Normalisation(dtype), network).eval().requires_grad_(requires_grad=False)
            # Each is made now, as in flight it would take a second, and holds the weights in an order of its own.
            self._runs = {
                count: _ready(whole, network.config, dtype, count)
                for count in _numbers(network.config, order.batch_size)
            }

    @torch.inference_mode()
    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        images, described = torch.from_numpy(pixels), []
        while len(images):
            count = next(count for count in self._runs if count <= len(images))
            described.append(self._runs[count](images[:count]))
            images = images[count:]
        found: NDArray[np.float32] = torch.cat(described).numpy()
        return found


def _numbers(config: EncoderConfig, batch_size: int) -> list[int]:
    """Of images that are run together, falling."""
    gains = not config.backbone.startswith("convnext")
    return [_AT_ONCE, 1] if gains and batch_size >= _AT_ONCE else [1]


def _ready(
    network: nn.Module, config: EncoderConfig, dtype: torch.dtype, count: int
) -> Callable[[Tensor], Tensor]:
    """The network for so many images."""
    if not is_available(dtype, config):
        return network
    noise = torch.Generator().manual_seed(0)
    shape = (count, config.image_size, config.image_size, 3)
    return recorded(network, torch.randint(256, shape, dtype=torch.uint8, generator=noise), dtype)
