"""What makes the descriptors of two encoders comparable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lkpan_model.config import EncoderConfig
from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class EncoderIdentity:
    """All that makes two descriptors comparable. Device and precision are no part of it.

    Attributes:
        config: The architecture.
        weights_hash: SHA-256 of the weights, hexadecimal.
        preprocessing: How pixels become the network's input.
    """

    config: EncoderConfig
    weights_hash: str
    preprocessing: str

    def __str__(self) -> str:
        config = self.config
        return f"{config.variant} {config.image_size}px {config.descriptor_dim}-d weights {self.weights_hash[:12]}"

    def to_dict(self) -> dict[str, Any]:
        """The identity as plain JSON values."""
        return {
            "config": self.config.to_dict(),
            "weights_hash": self.weights_hash,
            "preprocessing": self.preprocessing,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderIdentity:
        """The identity from `to_dict`'s values.

        Raises:
            ConfigError: A key is unknown or missing, or a value is wrong.
        """
        expected = {"config": dict, "weights_hash": str, "preprocessing": str}
        found = {key: type(value) for key, value in values.items()}
        if found != expected:
            raise ConfigError(
                f"an encoder identity has {sorted(expected)}, got {sorted(found)} or other types"
            )
        return cls(EncoderConfig.from_dict(values["config"]), values["weights_hash"], values["preprocessing"])
