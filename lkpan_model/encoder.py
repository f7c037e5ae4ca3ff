"""Encoder: uint8 RGB images of any size to L2-normalised float32 descriptors."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_model import preprocess
from lkpan_model.checkpoint import hash_weights, load, resolve_weights
from lkpan_model.config import EncoderConfig
from lkpan_model.engines.choice import start
from lkpan_model.engines.engine import Order
from lkpan_model.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.network import LKPAN


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


class Encoder:
    """An LK-PAN encoder, ready to run.

    Args:
        weights: The name of shipped weights, or a file (`.safetensors`, or an authors' checkpoint).
        device: auto, cpu, cuda, cuda:N.
        precision: auto, fp32, bf16, fp16. auto is the fastest that leaves the descriptors as they are: bf16 for
            ConvNeXt variants where the processor multiplies it natively, else fp32 on a CPU, fp16 on a GPU.
        batch_size: The most images that are handed to the engine at a time; more use more memory.
        threads: CPU threads of the whole process's torch; None leaves torch's choice.

    Raises:
        CheckpointError: The weights cannot be read.
        DeviceError: The device or precision is not available here.
        ConfigError: batch_size or threads is below 1.
    """

    def __init__(
        self,
        weights: str | Path = "lite",
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
        threads: int | None = None,
    ) -> None:
        checkpoint = load(resolve_weights(weights))
        identity = _identity(checkpoint.config, checkpoint.weights_hash)
        self._setup(checkpoint.network(), identity, Order(device, precision, batch_size, threads))

    @classmethod
    def from_network(
        cls,
        network: LKPAN,
        config: EncoderConfig,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
        threads: int | None = None,
    ) -> Encoder:
        """An encoder of a network in memory, which is copied; errors as those of the class."""
        if config != network.config:
            raise ConfigError(f"the network was built for {network.config}, not for {config}")
        self = cls.__new__(cls)
        identity = _identity(config, hash_weights(config, network.state_dict()))
        self._setup(copy.deepcopy(network), identity, Order(device, precision, batch_size, threads))
        return self

    def _setup(self, network: LKPAN, identity: EncoderIdentity, order: Order) -> None:
        for name, value in (("batch_size", order.batch_size), ("threads", order.threads)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        self.identity, self.batch_size = identity, order.batch_size
        self._engine = start(network.eval().requires_grad_(requires_grad=False), order)

    @property
    def config(self) -> EncoderConfig:
        """The architecture."""
        return self.identity.config

    @property
    def image_size(self) -> int:
        """Side of the square that images are resized to, pixels."""
        return self.config.image_size

    @property
    def descriptor_dim(self) -> int:
        """Length D of a descriptor."""
        return self.config.descriptor_dim

    @property
    def device(self) -> str:
        """Where it runs, cpu or cuda:N: what auto came to."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """fp32, bf16 or fp16: what auto came to."""
        return self._engine.precision

    def encode(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe images.

        Args:
            images: uint8 RGB arrays H x W x 3 of any sizes, or one array B x H x W x 3.

        Returns:
            float32 array B x D, rows of unit length, in the order of the images.

        Raises:
            InputError: An image is not a uint8 array H x W x 3 with H, W >= 1.
            ModelError: A descriptor is not finite.
        """
        preprocess.check(images)  # all of them, before work goes into the first
        descriptors = np.empty((len(images), self.descriptor_dim), np.float32)
        for first in range(0, len(images), self.batch_size):
            rows = slice(first, first + self.batch_size)
            descriptors[rows] = self._encode_batch(images[rows])
        return descriptors

    def _encode_batch(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
        descriptors = self._engine.describe(preprocess.to_squares(images, self.image_size))
        if not np.isfinite(descriptors).all():
            raise ModelError(
                f"{self.identity} gave a descriptor that is not finite in {self.precision}: try fp32"
            )
        return descriptors


def _identity(config: EncoderConfig, weights_hash: str) -> EncoderIdentity:
    return EncoderIdentity(config, weights_hash, preprocess.describe(config.image_size))
