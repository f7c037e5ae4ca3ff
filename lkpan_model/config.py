"""EncoderConfig: everything that fixes the shape of an encoder, and the variants by name."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Upper bounds, so that a foreign config cannot ask for an absurd network: (low, high) of each whole number.
_RANGES = {
    "feature_channels": (1, 8192),
    "image_size": (32, 1024),
    "heads": (0, 64),
    "kernel_size": (0, 63),
    "channel_reduction": (1, 64),
    "feature_stride": (32, 32),
}


@dataclass(frozen=True)
class EncoderConfig:
    """The architecture of one LK-PAN encoder.

    Source: "A Large-Kernel Perceptual Attention Network for Robust Multi-View Geo-Localization with Drone-View
    Offset Adaptation" for the defaults; `VARIANTS` for the named ones.

    Attributes:
        variant: The name that weights and galleries are matched by.
        backbone: The timm model whose last feature map (stride 32) is described.
        feature_channels: Channels of that feature map.
        image_size: Side of the square input, pixels; a multiple of 32.
        heads: Spatial-aware heads; the descriptor is one block of feature_channels per head. 0: the plain mean of
            the cells instead, one block (for ablations).
        kernel_size: Side of the large depthwise kernel, cells; odd. 0: no attention (for ablations).
        channel_reduction: The channel attention's bottleneck is feature_channels // channel_reduction wide.
        drop_path: Stochastic depth rate of the backbone, used in training only.
        feature_stride: Input pixels per cell.

    Raises:
        ConfigError: A value is of the wrong type or out of its range.
    """

    variant: str
    backbone: str
    feature_channels: int
    image_size: int
    heads: int = 8
    kernel_size: int = 17
    channel_reduction: int = 4
    drop_path: float = 0.0
    feature_stride: int = 32

    def __post_init__(self) -> None:
        for name in ("variant", "backbone"):
            value = getattr(self, name)
            # A plain name: timm takes "hf-hub:owner/model" as a request to download.
            if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value):
                raise ConfigError(
                    f"{name} must be a plain name of letters, digits, '_', '.', '-', got {value!r}"
                )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
        if self.image_size % self.feature_stride:
            raise ConfigError(
                f"image_size must be a multiple of {self.feature_stride}, got {self.image_size}"
            )
        if self.kernel_size and self.kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size must be odd (or 0 for no attention), got {self.kernel_size}")
        if self.channel_reduction > self.feature_channels:
            raise ConfigError(
                f"channel_reduction {self.channel_reduction} exceeds feature_channels {self.feature_channels}"
            )
        if not isinstance(self.drop_path, int | float) or not 0 <= self.drop_path < 1:
            raise ConfigError(f"drop_path must be a number from 0 to below 1, got {self.drop_path!r}")

    @property
    def cells(self) -> int:
        """Cells of the feature map (144 for `base`: 12 x 12)."""
        return (self.image_size // self.feature_stride) ** 2

    @property
    def hidden_cells(self) -> int:
        """Width of a head's hidden layer (72 for `base`)."""
        return max(1, self.cells // 2)

    @property
    def descriptor_dim(self) -> int:
        """Length of the descriptor (8192 for `base`)."""
        return max(1, self.heads) * self.feature_channels

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """The config from `to_dict`'s values.

        Raises:
            ConfigError: A key is unknown or missing, or a value is out of its range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown encoder config keys {unknown}; known are {sorted(known)}")
        if missing := sorted(known - set(values)):
            raise ConfigError(f"encoder config lacks the keys {missing}")
        return cls(**values)


VARIANTS: dict[str, EncoderConfig] = {
    config.variant: config
    for config in (
        EncoderConfig("base", "convnext_base", feature_channels=1024, image_size=384, drop_path=0.2),
        EncoderConfig("small", "convnext_small", feature_channels=768, image_size=384, drop_path=0.2),
        EncoderConfig("tiny", "convnext_tiny", feature_channels=768, image_size=384, drop_path=0.1),
        EncoderConfig("lite", "tf_efficientnet_lite0", feature_channels=320, image_size=192, drop_path=0.1),
    )
}


def variant(name: str, **overrides: Any) -> EncoderConfig:
    """The named variant, with single fields replaced: `variant("lite", image_size=256)`.

    Raises:
        ConfigError: No such variant or field, or a value out of its range.
    """
    if name not in VARIANTS:
        raise ConfigError(f"unknown variant {name!r}; choose one of {', '.join(VARIANTS)}")
    known = {field.name for field in fields(EncoderConfig)}
    if unknown := sorted(set(overrides) - known):
        raise ConfigError(f"unknown encoder config keys {unknown}; known are {sorted(known)}")
    return replace(VARIANTS[name], **overrides)
