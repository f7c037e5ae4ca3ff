"""What lies between the ground and a picture: light, season, lens, noise, compression; and what was not seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from training.geometry import Randomness


def fill(views: Tensor, random: Randomness) -> Tensor:
    """B x 4 x S x S to B x 3 x S x S: what was not seen becomes black (mostly), grey, or stays as sampled."""
    colour = random.uniform(0, 255, 1, 1, 1) * random.chance(0.25).view(-1, 1, 1, 1)
    seen = torch.maximum(views[:, 3:], random.chance(0.2).view(-1, 1, 1, 1).float())
    return views[:, :3] * seen + colour * (1 - seen)


def sensor(images: Tensor, random: Randomness, strength: float) -> Tensor:
    """Light, shadow, season, lens, noise and compression, within [0, 255].

    What was filled black stays nearly so: colours are multiplied, and the offset is small.
    """
    if images.shape[1] == 4:
        images = fill(images, random)
    images = colours(images, random, strength)
    images = blur(images, random, strength)
    noise = torch.randn(images.shape, generator=random.generator) * random.uniform(0, 9 * strength, 1, 1, 1)
    images = (images + noise).clamp(0, 255)
    images = erase(images, random, 0.3 * strength)
    return compress(images, random.chance(0.5 * strength), random)


def colours(images: Tensor, random: Randomness, strength: float) -> Tensor:
    """Saturation, white balance, a colour twist, exposure, contrast, gamma and soft shadows."""
    batch = len(images)
    grey = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
    keep = random.uniform(1 - 0.7 * strength, 1 + 0.5 * strength, 1, 1)
    keep = keep * ~random.chance(0.12 * strength).view(-1, 1, 1)
    twist = torch.randn(batch, 3, 3, generator=random.generator) * (0.07 * strength)
    matrix = (torch.eye(3) * keep + grey * (1 - keep) + twist) * random.uniform(
        -0.4 * strength, 0.4 * strength, 1, 1
    ).exp()
    mixed = torch.einsum("bij,bjhw->bihw", matrix, images / 255)
    shade = torch.randn(batch, 1, 5, 5, generator=random.generator) * (0.15 * strength)
    mixed = mixed * F.interpolate(shade, size=images.shape[2:], mode="bilinear").exp()
    gamma = random.uniform(-0.45 * strength, 0.45 * strength, 1, 1, 1).exp()
    mixed = mixed.clamp(1e-4, 1) ** gamma
    offset = random.uniform(-0.04 * strength, 0.08 * strength, 1, 1, 1)
    return (mixed + offset).clamp(0, 1) * 255


def blur(images: Tensor, random: Randomness, strength: float) -> Tensor:
    """A Gaussian of random width and elongation (defocus, motion, stretched texture) for half of them."""
    widths = random.uniform(0.25, 0.8 + 0.8 * strength, 2)
    widths = torch.where(random.chance(0.5)[:, None], widths, torch.full_like(widths, 0.2))
    angle = random.uniform(0, math.pi)
    steps = torch.arange(-3.0, 4.0)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    along = x * angle.cos().view(-1, 1, 1) + y * angle.sin().view(-1, 1, 1)
    across = y * angle.cos().view(-1, 1, 1) - x * angle.sin().view(-1, 1, 1)
    exponent = (along / widths[:, 0].view(-1, 1, 1)) ** 2 + (across / widths[:, 1].view(-1, 1, 1)) ** 2
    kernel = torch.exp(-exponent / 2)
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).repeat_interleave(3, dim=0)[
        :, None
    ]  # 3B x 1 x 7 x 7
    flat = F.pad(images, (3, 3, 3, 3), mode="replicate").reshape(1, -1, *(n + 6 for n in images.shape[2:]))
    return F.conv2d(flat, kernel, groups=len(kernel)).view_as(images)


def erase(images: Tensor, random: Randomness, probability: float) -> Tensor:
    """Cover one rectangle with a plain grey: a person, glare, the drone's own leg."""
    size = images.shape[-1]
    centre, half = random.uniform(0, size, 2), random.uniform(0.04, 0.2, 2) * size
    steps = torch.arange(size)
    column = (steps - centre[:, :1]).abs() < half[:, :1]  # B x S
    row = (steps - centre[:, 1:]).abs() < half[:, 1:]
    covered = (row[:, :, None] & column[:, None, :])[:, None] & random.chance(probability).view(-1, 1, 1, 1)
    return torch.where(covered, random.uniform(0, 255, 1, 1, 1), images)


def compress(images: Tensor, chosen: Tensor, random: Randomness) -> Tensor:
    """JPEG of quality 35 to 95 for the chosen ones."""
    quality = random.uniform(35, 95).long()
    output = images.clone()
    for index in chosen.nonzero()[:, 0].tolist():
        pixels = images[index].permute(1, 2, 0).round().to(torch.uint8).cpu().numpy()[:, :, ::-1]  # BGR
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality[index])])[1]
        decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        output[index] = torch.from_numpy(decoded).permute(2, 0, 1)
    return output
