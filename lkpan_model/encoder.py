"""Encoder: uint8 RGB images of any size to L2-normalised float32 descriptors."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from lkpan_model import exported, preprocess
from lkpan_model.checkpoint import hash_weights, load, resolve_weights
from lkpan_model.engines.choice import start, start_exported
from lkpan_model.engines.engine import Order
from lkpan_model.errors import ConfigError, ModelError
from lkpan_model.identity import EncoderIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.checkpoint import Checkpoint
    from lkpan_model.config import EncoderConfig
    from lkpan_model.engines.engine import Engine
    from lkpan_model.network import LKPAN


class Encoder:
    """An LK-PAN encoder, ready to run.

    Args:
        weights: The name of shipped weights, or a file: `.safetensors`, an authors' checkpoint, or what
            `lkpan_model.export` wrote (`.onnx`, `.xml`), for the engines that run it.
        engine: torch, openvino or onnxruntime: what runs the network. All give the same descriptors.
        device: auto, cpu, cuda, cuda:N; a GPU with torch alone.
        precision: auto, fp32, bf16, fp16. auto is the fastest that leaves the descriptors as they are: bf16 for
            ConvNeXt variants where the processor multiplies it natively, else fp32.
        batch_size: The most images that are handed to the engine at a time; more use more memory.
        threads: CPU threads, of torch those of the whole process; None leaves the library's choice.

    Raises:
        CheckpointError: The weights cannot be read.
        DeviceError: The engine, device or precision is unknown or not available here.
        ConfigError: batch_size or threads is below 1.
    """

    def __init__(
        self,
        weights: str | Path = "lite",
        *,
        engine: str = "torch",
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
        threads: int | None = None,
    ) -> None:
        order = _order(engine, device, precision, batch_size, threads)
        path = resolve_weights(weights)
        if path.suffix in exported.SUFFIXES:
            network = exported.read(path)
            self._setup(start_exported(network, order), network.identity, order)
        else:
            checkpoint = load(path)
            identity = identity_of(checkpoint)
            self._setup(start(_frozen(checkpoint.network()), order), identity, order)

    @classmethod
    def from_network(
        cls,
        network: LKPAN,
        config: EncoderConfig,
        *,
        engine: str = "torch",
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
        threads: int | None = None,
    ) -> Encoder:
        """An encoder of a network in memory, which is copied; errors as those of the class."""
        if config != network.config:
            raise ConfigError(f"the network was built for {network.config}, not for {config}")
        order = _order(engine, device, precision, batch_size, threads)
        self = cls.__new__(cls)
        identity = _identity(config, hash_weights(config, network.state_dict()))
        self._setup(start(_frozen(copy.deepcopy(network)), order), identity, order)
        return self

    def _setup(self, engine: Engine, identity: EncoderIdentity, order: Order) -> None:
        self._engine, self.identity, self.batch_size = engine, identity, order.batch_size

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
        """fp32, bf16, fp16 or int8: what auto came to, or what the weights were exported as."""
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


def identity_of(checkpoint: Checkpoint) -> EncoderIdentity:
    """The identity of an encoder with these weights."""
    return _identity(checkpoint.config, checkpoint.weights_hash)


def _identity(config: EncoderConfig, weights_hash: str) -> EncoderIdentity:
    return EncoderIdentity(config, weights_hash, preprocess.describe(config.image_size))


def _order(engine: str, device: str, precision: str, batch_size: int, threads: int | None) -> Order:
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
    return Order(engine, device, precision, batch_size, threads)


def _frozen(network: LKPAN) -> LKPAN:
    return network.eval().requires_grad_(requires_grad=False)
