"""uint8 RGB images to the network's input: the only place that knows mean, std and how images are resized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from lkpan_model.errors import InputError

if TYPE_CHECKING:
    import cv2
    from numpy.typing import NDArray
    from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1]
STD = (0.229, 0.224, 0.225)
_RESIZE = "area-down-linear-up"  # part of the identity: change it when `_resize` changes


def describe(image_size: int) -> str:
    """All that two sides must do alike for their descriptors to be comparable, as one string."""
    return f"rgb {image_size}x{image_size} {_RESIZE} mean={MEAN} std={STD}"


def check(images: object) -> None:
    """Refuse anything but uint8 RGB images.

    Raises:
        InputError: Not a sequence or array of images, or one is not a uint8 array H x W x 3 with H, W >= 1.
    """
    is_batch = images.ndim == 4 if isinstance(images, np.ndarray) else isinstance(images, Sequence)
    if not is_batch or isinstance(images, str | bytes):
        given = f"shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(f"images must be a sequence of arrays or one array B x H x W x 3, got {given}")
    for index, image in enumerate(cast("Sequence[object]", images)):
        if not isinstance(image, np.ndarray):
            raise InputError(f"image {index} must be a uint8 array H x W x 3, got {type(image).__name__}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(
                f"image {index} must be a uint8 RGB array H x W x 3 with H, W >= 1, "
                f"got dtype {image.dtype}, shape {image.shape}"
            )


def to_squares(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize images to squares (no aspect kept) and stack them.

    OpenCV rather than torch: on uint8 RGB rows it is several times as fast as antialiased `interpolate`, which
    must convert to planes of float first. Area averaging where an axis shrinks, as frames come in many sizes
    and plain bilinear sampling aliases; bilinear where it grows.

    Args:
        images: uint8 RGB arrays H x W x 3 of any sizes, or one array B x H x W x 3.
        size: Side of the result, pixels.

    Returns:
        uint8 array B x size x size x 3, contiguous; the given array where it is that already.

    Raises:
        InputError: An image is not a uint8 array H x W x 3 with H, W >= 1.
    """
    check(images)
    if isinstance(images, np.ndarray) and images.shape[1:3] == (size, size) and _is_plain(images):
        return images
    batch = np.empty((len(images), size, size, 3), np.uint8)
    for index, image in enumerate(images):
        batch[index] = image if image.shape == (size, size, 3) else _resize(image, size)
    return batch


def to_batch(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], size: int) -> Tensor:
    """`to_squares` as a uint8 tensor B x 3 x size x size, in channels-last memory."""
    return torch.from_numpy(to_squares(images, size)).permute(0, 3, 1, 2)


def normalise(images: Tensor) -> Tensor:
    """Pixel values in [0, 255], B x 3 x H x W uint8 or floating, to float with ImageNet's mean and std taken off.

    Differentiable; a floating dtype is kept, uint8 becomes float32.
    """
    pixels = images if images.is_floating_point() else images.float()
    mean, std = pixels.new_tensor(MEAN) * 255, pixels.new_tensor(STD) * 255
    return (pixels - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


class Normalisation(nn.Module):
    """`normalise` for networks that are recorded or exported: uint8 B x H x W x 3 to B x 3 x H x W.

    Args:
        dtype: Of the result; the arithmetic is float32.
        layout: Of the result in memory: channels last, as the pixels lie, or `torch.contiguous_format` for planes.
    """

    def __init__(
        self, dtype: torch.dtype = torch.float32, layout: torch.memory_format = torch.channels_last
    ) -> None:
        super().__init__()
        self._dtype = dtype
        self._in_planes = layout == torch.contiguous_format
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN) * 255)
        self.register_buffer("std", torch.tensor(STD) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixel values in [0, 255]."""
        images: Tensor = ((pixels.float() - self.mean) / self.std).to(self._dtype)
        images = images.permute(0, 3, 1, 2)
        return images.contiguous() if self._in_planes else images


def _is_plain(images: NDArray[np.uint8]) -> bool:
    """Whether torch takes the array as it is: none that must not be written to, or that runs backwards along an axis.

    To NumPy an axis of one element is contiguous whatever its stride.
    """
    return images.flags.c_contiguous and images.flags.writeable and min(images.strides) >= 0


def _resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    import cv2  # noqa: PLC0415 - images of the right size need none

    height, width = image.shape[:2]
    pixels: cv2.typing.MatLike = np.ascontiguousarray(image)  # OpenCV takes no negative strides
    if height > size or width > size:
        # OpenCV averages areas only where both axes shrink, so the axis that grows waits for the next step.
        pixels = cv2.resize(pixels, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != (size, size):
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    return pixels.astype(np.uint8, copy=False)
