"""LKPAN: the whole network, image tensor to descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from lkpan_model.aggregation import AveragePooling, SpatialAwareAggregation
from lkpan_model.attention import LargeKernelAttention
from lkpan_model.backbone import Backbone
from lkpan_model.errors import InputError

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig


class LKPAN(nn.Module):
    """The Large-Kernel Perceptual Attention Network; drone and satellite views share all weights.

    C channels, N = (S/32)^2 cells, D = heads * C. Weights are random until loaded.

    Raises:
        ConfigError: The config names no backbone of timm, or one with another feature map.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.attention = LargeKernelAttention(config) if config.kernel_size else nn.Identity()
        self.aggregation: nn.Module = SpatialAwareAggregation(config) if config.heads else AveragePooling()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images B x 3 x S x S to descriptors B x D float32, each of unit length.

        Raises:
            InputError: The images do not have the config's size.
        """
        self._check_shape(images)
        features = self.backbone(images)  # B x C x S/32 x S/32
        features = self.attention(features)  # B x C x S/32 x S/32
        descriptors = self.aggregation(features)  # B x D
        # Under autocast the sum of squares of D terms needs float32.
        return F.normalize(descriptors.float(), dim=1)  # B x D

    def _check_shape(self, images: Tensor) -> None:
        size = self.config.image_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise InputError(
                f"{self.config.variant} takes images of B x 3 x {size} x {size}, got {tuple(images.shape)}"
            )
