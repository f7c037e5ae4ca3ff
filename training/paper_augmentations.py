"""The augmentations that the paper's recipe documents, and the shifts of Offset-1652 as one more.

Source: the LK-PAN paper and its published recipe, which goes back to Sample4Geo's: for both views JPEG, resize,
colour jitter, blur or sharpen, grid or coarse dropout; then quarter turns of the satellite view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from lkpan_model.errors import InputError
from lkpan_model.preprocess import to_batch
from training.offsets import VARIANTS, cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Documented.
FLIP = 0.5  # probability, of both views together
JPEG, JPEG_QUALITY = 0.5, (90, 100)
JITTER, JITTER_STRENGTH = 0.5, 0.15  # brightness, contrast, saturation (factors 1 -+ 0.15), hue (turns)
SHARPNESS = 0.3  # probability of blur or sharpen, one or the other
DROPOUT = 0.3  # probability of grid or coarse dropout, one or the other

# Not in the paper: the defaults of the image library that the published recipe calls.
BLUR_SIZES, BLUR_SIGMA = (3, 5, 7), (0.2, 1.0)  # pixels
SHARPEN = (2.6, 6.5)  # 13 times the 0.2 to 0.5 of the kernel with 9 in the middle and -1 around
GRID_CELLS, GRID_RATIO = 10, 0.4  # per side; side of a hole over that of its cell
HOLES, HOLE_SIDE = (10, 25), (0.1, 0.2)  # number; side over that of the image

# Ours.
DISTORTION = 0.3  # farthest that a corner moves inwards, half sides


@dataclass(frozen=True)
class Draws:
    """Random numbers of one sample."""

    generator: torch.Generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers in low..high."""
        return torch.rand(shape, generator=self.generator) * (high - low) + low

    def number(self, low: float, high: float) -> float:
        """One number in low..high."""
        return self.uniform(low, high).item()

    def integer(self, low: int, high: int) -> int:
        """One whole number in low..high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.number(0, 1) < probability


def augment_pair(
    drone: Tensor, satellite: Tensor, size: int, generator: torch.Generator, *,
    quarter_turns: bool = True, offset: float = 0.0, perspective: float = 0.0, device: str = "cpu",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Augment both views of a batch; every sample draws for itself.

    All random numbers come from `generator`, none from torch's global one, so that other threads and layers with
    randomness of their own do not matter.

    Args:
        drone: uint8 B x 3 x P x P. With `offset`, P of 4/3 of `size` keeps the detail that a cut enlarges.
        satellite: uint8 B x 3 x Q x Q, row i the same place as the drone's.
        size: Side of the result, pixels.
        generator: The same state gives the same result.
        quarter_turns: Turn the satellite view by a random multiple of 90 degrees (documented).
        offset: Probability that a drone view is cut as a random one of Offset-1652's 40 variants.
        perspective: Probability that a drone view is seen from a random other direction.
        device: Where everything after the resizing is computed: a GPU does not wait for colour jitter then.

    Returns:
        Two float32 tensors B x 3 x size x size in [0, 255], on `device`.

    Raises:
        InputError: The images are not uint8 of the shapes above.
    """
    _check(drone, satellite)
    draws = Draws(generator)
    drones, satellites = [], []
    for pair in zip(drone, satellite, strict=True):
        low, high = (view.flip(-1) for view in pair) if draws.chance(FLIP) else pair
        low = shift(low, draws) if draws.chance(offset) else low
        low, high = (compress(view, size, draws).to(device) for view in (low, high))
        low = tilt(low, draws) if draws.chance(perspective) else low
        high = high.rot90(draws.integer(0, 3), (1, 2)) if quarter_turns else high
        drones.append(augment(low, draws))
        satellites.append(augment(high, draws))
    return torch.stack(drones).float(), torch.stack(satellites).float()


def compress(image: Tensor, size: int, draws: Draws) -> Tensor:
    """JPEG, then the size of the encoder, resized as it does itself: uint8 3 x P x P to 3 x size x size."""
    pixels = image.permute(1, 2, 0).numpy()
    if draws.chance(JPEG):
        pixels = jpeg(pixels, draws.integer(*JPEG_QUALITY))
    return to_batch([pixels], size)[0]


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """An RGB image H x W x 3 after encoding and decoding (by OpenCV: torchvision is about to drop its codecs)."""
    encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[:, :, ::-1].astype(np.uint8, copy=False)  # OpenCV's order is BGR


def augment(image: Tensor, draws: Draws) -> Tensor:
    """What changes colour, sharpness and completeness of either view: uint8 3 x S x S to the same."""
    if draws.chance(JITTER):
        image = jitter(image, draws)
    if draws.chance(SHARPNESS):
        image = (blur if draws.chance(0.5) else sharpen)(image, draws)
    if draws.chance(DROPOUT):
        image = (drop_grid if draws.chance(0.5) else drop_holes)(image, draws)
    return image


def shift(image: Tensor, draws: Draws) -> Tensor:
    """One of the 40 windows of Offset-1652: uint8 3 x P x P to 3 x 0.75 P x 0.75 P."""
    variant = VARIANTS[draws.integer(0, len(VARIANTS) - 1)]
    return torch.from_numpy(cut(image.permute(1, 2, 0).numpy(), variant)).permute(2, 0, 1)


def jitter(image: Tensor, draws: Draws) -> Tensor:
    """Brightness, contrast, saturation and hue in random order."""
    changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    for index in torch.randperm(len(changes), generator=draws.generator).tolist():
        change = draws.number(-JITTER_STRENGTH, JITTER_STRENGTH)
        image = changes[index](image, change if changes[index] is F.adjust_hue else 1 + change)
    return image


def blur(image: Tensor, draws: Draws) -> Tensor:
    """A Gaussian, wider along one axis than along the other."""
    side = BLUR_SIZES[draws.integer(0, len(BLUR_SIZES) - 1)]
    blurred: Tensor = F.gaussian_blur(image, [side, side], draws.uniform(*BLUR_SIGMA, 2).tolist())
    return blurred


def sharpen(image: Tensor, draws: Draws) -> Tensor:
    """The opposite of a 3 x 3 blur."""
    sharp: Tensor = F.adjust_sharpness(image, 1 + draws.number(*SHARPEN))
    return sharp


def drop_grid(image: Tensor, draws: Draws) -> Tensor:
    """Black squares on a regular grid at a random place."""
    size = image.shape[-1]
    steps = torch.arange(size)[:, None] * (GRID_CELLS / size) + draws.uniform(0, 1, 2)  # S x (y, x), cells
    covered = (steps % 1 < GRID_RATIO).to(image.device)
    return image * ~(covered[:, None, 0] & covered[None, :, 1])


def drop_holes(image: Tensor, draws: Draws) -> Tensor:
    """Black rectangles anywhere."""
    size, image = image.shape[-1], image.clone()
    for _ in range(draws.integer(*HOLES)):
        height, width = (max(1, round(side * size)) for side in draws.uniform(*HOLE_SIDE, 2).tolist())
        top, left = draws.integer(0, size - height), draws.integer(0, size - width)
        image[:, top : top + height, left : left + width] = 0
    return image


def tilt(image: Tensor, draws: Draws) -> Tensor:
    """Look at a random quadrilateral whose corners lie near those of the image."""
    end = image.shape[-1] - 1
    corners = torch.tensor([[0, 0], [end, 0], [end, end], [0, end]])  # x, y
    inwards = draws.uniform(0, DISTORTION * end / 2, 4, 2)
    seen = torch.where(corners == 0, inwards, end - inwards).round().int()
    view: Tensor = F.perspective(
        image, seen.tolist(), corners.tolist(), interpolation=InterpolationMode.BILINEAR
    )
    return view


def _check(drone: Tensor, satellite: Tensor) -> None:
    for images in (drone, satellite):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (len(drone), 3):
            raise InputError(
                f"both views must be uint8 B x 3 x P x P, got {images.dtype} {tuple(images.shape)}"
            )
