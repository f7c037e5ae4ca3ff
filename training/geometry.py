"""The geometry of augmentation: homographies, batched, and sampling by them.

A homography here is B x 3 x 3 and takes a point of the output to the input, both in [-1, 1] with x right and
y down (the corners are the outer edges of the corner pixels, as `grid_sample` with align_corners=False).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from training.offsets import VARIANTS, crop_box

if TYPE_CHECKING:
    from training.config import CameraConfig

HEADING_ERROR = math.radians(10)  # of a known camera, largest
TILT_ERROR = math.radians(5)
REACH_ERROR = 0.12  # log scale
_SIDE = 512  # of the pictures that Offset-1652 is defined on


@dataclass(frozen=True)
class Randomness:
    """Uniform numbers for one batch, from a seeded generator."""

    generator: torch.Generator
    batch: int

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Batch x shape numbers in low..high."""
        return torch.rand(self.batch, *shape, generator=self.generator) * (high - low) + low

    def chance(self, probability: float) -> Tensor:
        """Batch booleans, True with this probability."""
        return torch.rand(self.batch, generator=self.generator) < probability


def flips(random: Randomness) -> Tensor:
    """Left and right swapped, with probability one half."""
    matrix = torch.eye(3).repeat(random.batch, 1, 1)
    matrix[:, 0, 0] = 1 - 2 * random.chance(0.5).float()
    return matrix


def similarity(angle: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    """Turn by an angle (radians), scale, then shift (B x 2, half sides): B x 3 x 3."""
    matrix = torch.zeros(len(angle), 3, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos() * scale
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin() * scale, angle.sin() * scale
    matrix[:, 2, 2] = 1
    if shift is not None:
        matrix[:, :2, 2] = shift
    return matrix


def reflected(mirror: Tensor, heading_deg: float) -> Tensor:
    """How the ground is mirrored where a picture taken in this direction is mirrored by `flips`."""
    turn = similarity(torch.full((len(mirror),), math.radians(heading_deg)), torch.ones(len(mirror)))
    return turn @ mirror @ turn.transpose(1, 2)


def tilt(strength: Tensor, random: Randomness) -> Tensor:
    """A projective term in a random direction: the ground as a tilted pinhole camera sees it."""
    direction = random.uniform(-math.pi, math.pi)
    matrix = torch.eye(3).repeat(len(strength), 1, 1)
    matrix[:, 2, 0], matrix[:, 2, 1] = direction.cos() * strength, direction.sin() * strength
    return matrix


def offset_window(random: Randomness) -> Tensor:
    """One of the 40 windows of Offset-1652, each as likely: three quarters of the side, off the centre."""
    boxes = [crop_box(variant, _SIDE) for variant in VARIANTS]
    middles = (
        torch.tensor([[box.left + box.side / 2, box.top + box.side / 2] for box in boxes]) * (2 / _SIDE) - 1
    )
    chosen = random.uniform(0, len(boxes)).long()
    scale = torch.full((random.batch,), boxes[0].side / _SIDE)
    return similarity(torch.zeros(random.batch), scale, middles[chosen])


def camera_view(camera: CameraConfig, random: Randomness) -> Tensor:
    """A camera's picture to the ground, in half sides of the satellite view; with the errors of a held camera."""
    heading = math.radians(camera.heading_deg) + random.uniform(-1, 1) * HEADING_ERROR
    tilted = math.radians(camera.tilt_deg) + random.uniform(-1, 1) * TILT_ERROR
    distance = 1 / math.tan(
        math.radians(camera.fov_deg) / 2
    )  # of the ground, half widths of what is seen of it
    project = torch.zeros(random.batch, 3, 3)  # ground right, forward, 1 -> picture
    project[:, 0, 0] = distance
    project[:, 1, 1] = -distance * tilted.cos()
    project[:, 2, 1], project[:, 2, 2] = tilted.sin(), distance
    axes = torch.zeros(random.batch, 3, 3)  # ground right, forward, 1 -> satellite view
    axes[:, 0, 0], axes[:, 0, 1] = heading.cos(), heading.sin()
    axes[:, 1, 0], axes[:, 1, 1] = heading.sin(), -heading.cos()
    axes[:, :2] /= camera.reach * random.uniform(-REACH_ERROR, REACH_ERROR, 1, 1).exp()
    axes[:, 2, 2] = 1
    homography: Tensor = axes @ torch.linalg.inv(project)
    return homography


def warp(
    images: Tensor, homography: Tensor, size: int, *,
    relief: Tensor | None = None, mask: Tensor | None = None, reflect: bool = False,
) -> Tensor:  # fmt: skip
    """Sample images at the places a homography sends the output's pixels to.

    Returns float32 B x 4 x size x size; the fourth channel is 1 inside the image (and its mask), else 0. With
    `reflect` the outside shows the mirrored image, half the time marked as seen.
    """
    steps = (torch.arange(size) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)  # 1 x N x 3
    mapped = points @ homography.transpose(1, 2)  # B x N x 3
    grid = (mapped[..., :2] / mapped[..., 2:].clamp(min=0.05)).view(-1, size, size, 2)
    if relief is not None:
        grid = grid + relief
    pixels = images.float()
    mode = "reflection" if reflect else "border"
    sampled = F.grid_sample(pixels, grid, padding_mode=mode, align_corners=False)
    inside = (grid.abs().amax(dim=-1) <= 1).float()[:, None]
    if mask is not None:
        inside = inside * (F.grid_sample(mask, grid, align_corners=False) > 0.5)
    inside = inside * (mapped[..., 2] > 0.05).view(-1, 1, size, size)
    return torch.cat([sampled, inside], dim=1)
