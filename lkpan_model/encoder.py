"""Encoder: uint8 RGB images of any size to L2-normalised float32 descriptors."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lkpan_model import preprocess
from lkpan_model.checkpoint import hash_weights, load, resolve_weights
from lkpan_model.config import VARIANTS, EncoderConfig
from lkpan_model.errors import ConfigError, DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.network import LKPAN

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *_DTYPES)


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
        batch_size: Images per pass; more use more memory.
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
        self._setup(checkpoint.network(), identity, device, precision, batch_size, threads)

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
        self._setup(copy.deepcopy(network), identity, device, precision, batch_size, threads)
        return self

    def _setup(
        self,
        network: LKPAN,
        identity: EncoderIdentity,
        device: str,
        precision: str,
        batch_size: int,
        threads: int | None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if threads is not None:
            torch.set_num_threads(threads)
        self.identity, self.batch_size = identity, batch_size
        self.device = _choose_device(device)
        self.dtype = _choose_dtype(precision, self.device, identity.config)
        network = network.eval().requires_grad_(False)
        if self.config.backbone in {known.backbone for known in VARIANTS.values()}:
            _fold_batch_norms(network)
        # Channels-last: a third of the time of planes with the depthwise convolutions on a CPU.
        self._network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)

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
    def precision(self) -> str:
        """fp32, bf16 or fp16: what auto came to."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)

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
        for start in range(0, len(images), self.batch_size):
            rows = slice(start, start + self.batch_size)
            descriptors[rows] = self._encode_batch(images[rows])
        return descriptors

    @torch.inference_mode()
    def _encode_batch(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = preprocess.to_batch(images, self.image_size).to(self.device)  # B x 3 x S x S, uint8
        batch = preprocess.normalise(pixels).to(self.dtype)
        descriptors: NDArray[np.float32] = self._network(batch).cpu().numpy()
        if not np.isfinite(descriptors).all():
            raise ModelError(
                f"{self.identity} gave a descriptor that is not finite in {self.precision}: try fp32"
            )
        return descriptors


def _identity(config: EncoderConfig, weights_hash: str) -> EncoderIdentity:
    return EncoderIdentity(config, weights_hash, preprocess.describe(config.image_size))


def _choose_dtype(precision: str, device: torch.device, config: EncoderConfig) -> torch.dtype:
    if precision not in PRECISIONS:
        raise DeviceError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; choose auto, bf16 or fp32 on a CPU")
    return _auto_dtype(device, config) if precision == "auto" else _DTYPES[precision]


def _auto_dtype(device: torch.device, config: EncoderConfig) -> torch.dtype:
    """The fastest number format that leaves descriptors as they are (cosine to float32 of 0.999 and more).

    Measured with avx512_bf16 on 2 cores. ConvNeXt in bfloat16: 0.4 of the time of float32, cosine 0.99999.
    EfficientNet-Lite in bfloat16: cosine 0.998, which moves similarities by up to 0.02, for no time on one image
    and 0.6 of it on four; so it stays in float32, or in float16 (which has 3 more bits, and ReLU6 bounds the
    values) on a GPU. Without such instructions a CPU emulates bfloat16, which is slower.
    """
    is_convnext = config.backbone.startswith("convnext")
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if is_convnext and native else torch.float16
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.bfloat16 if is_convnext and native else torch.float32


def _choose_device(device: str) -> torch.device:
    kind, _, index = device.partition(":")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (":" in device and not (index.isascii() and index.isdigit())):
        raise DeviceError(f"unknown device {device!r}; choose auto, cpu, cuda or cuda:N")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= found:
        raise DeviceError(
            f"device {device!r} is not available ({found} CUDA devices found); choose auto or cpu"
        )
    return torch.device(device)


def _fold_batch_norms(module: nn.Module) -> None:
    """Merge each batch norm into the convolution before it, in place: the same function in fewer passes."""
    names = [name for name, child in module.named_children() if not isinstance(child, nn.Identity)]
    for name, following in pairwise(names):
        convolution, norm = getattr(module, name), getattr(module, following)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(
                module, following, getattr(norm, "act", nn.Identity())
            )  # timm's norms carry the activation
    for child in module.children():
        _fold_batch_norms(child)
