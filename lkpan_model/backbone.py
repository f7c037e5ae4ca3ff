"""The timm feature map of a variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import timm
from torch import Tensor, nn

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig


class Backbone(nn.Module):
    """Images to their last feature map at stride 32: the raw output of the last stage, before any head.

    For ConvNeXt that is stage 4 without the head's norm, for EfficientNet-Lite the 320-channel map before
    `conv_head`. Weights are random: nothing is ever downloaded.

    Raises:
        ConfigError: timm has no such backbone, or its last map is not as the config says.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if not timm.is_model(config.backbone):
            raise ConfigError(f"timm {timm.__version__} has no backbone {config.backbone!r}")
        try:
            body: Any = timm.create_model(
                config.backbone,
                pretrained=False,
                features_only=True,
                out_indices=(-1,),
                drop_path_rate=config.drop_path,
            )
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ConfigError(f"timm's {config.backbone} gives no feature maps: {error}") from error
        channels, stride = body.feature_info.channels()[-1], body.feature_info.reduction()[-1]
        if (channels, stride) != (config.feature_channels, config.feature_stride):
            raise ConfigError(
                f"the last map of {config.backbone} has {channels} channels at stride {stride}, "
                f"the config says {config.feature_channels} at {config.feature_stride}"
            )
        self.body: nn.Module = body

    def forward(self, images: Tensor) -> Tensor:
        """B x 3 x S x S to B x C x S/32 x S/32."""
        features: Tensor = self.body(images)[-1]
        return features
