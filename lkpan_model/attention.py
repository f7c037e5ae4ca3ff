"""Large-kernel perceptual attention (the paper's feature enhancer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig

SPATIAL_SCALE = 0.3  # E = F + SPATIAL_SCALE * S, a constant of the published code
RESIDUAL_SCALE = 0.1  # F' = F + RESIDUAL_SCALE * E, likewise


class LargeKernelAttention(nn.Module):
    """Channel attention, then a large depthwise kernel, added to the feature map.

    a = sigmoid(W2 relu(W1 GAP(F))); S = BN(conv1x1(GELU(BN(dwconv(F * a))))); E = F + 0.3 S; F' = F + 0.1 E.
    Fresh weights keep PyTorch's init: the batch norm gives S unit variance, so that F' starts near 1.1 F.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels, kernel = config.feature_channels, config.kernel_size
        squeezed = channels // config.channel_reduction
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.spatial_conv = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """B x C x H x W to the same shape."""
        attended = features * self.channel_attention(features)
        enhanced = features + SPATIAL_SCALE * self.spatial_conv(attended)
        output: Tensor = features + RESIDUAL_SCALE * enhanced
        return output
