"""Augmentation as batched tensors: geometry by homographies, then light, lens and sensor.

A homography here is B x 3 x 3 and takes a point of the output to the input, both in [-1, 1] with x right and
y down (the corners are the outer edges of the corner pixels, as `grid_sample` with align_corners=False).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from training.config import SourceConfig

SHIFT = 0.34  # largest offset of the drone view's centre, half sides: 15 m of a 90 m tile, a bit more
SCALE = 0.16  # largest log scale error of the drone view
TILT = (0.15, 0.5)  # range of the projective term: at 0.5 the far edge is three times as far as the near one


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


def augment_pair(
    drone: Tensor, satellite: Tensor, source: SourceConfig, size: int, generator: torch.Generator, *,
    same_canvas: bool, canvas_factor: float, north_up: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Canvases of both views to what the encoder would be given.

    Args:
        drone: uint8 B x 3 x P x P.
        satellite: uint8 B x 3 x P x P, row i the same place as the drone's.
        source: How the views are posed.
        size: Side of the result, pixels.
        generator: All randomness; the same state gives the same result.
        same_canvas: Both are one overhead image: the drone's tilted camera is simulated.
        canvas_factor: Side of the canvas over the side of the view.
        north_up: Keep the canvas's own direction (validation) instead of turning and mirroring both views alike.

    Returns:
        Two float32 tensors B x 3 x size x size in [0, 255].
    """
    random = Randomness(generator, len(drone))
    common = torch.eye(3).repeat(len(drone), 1, 1) if north_up else flips(random)
    if same_canvas:  # any direction up in the overhead image is as good as north
        turn = random.uniform(-math.pi, math.pi) * (not north_up)
        common = common @ similarity(turn, torch.full((len(drone),), 1 / canvas_factor))
        drone_view = simulated_view(drone, common, source, size, random)
        satellite_view = warp(satellite, common, size)
    else:
        quarters = (random.uniform(0, 4).floor() * (source.quarter_turns * math.pi / 2)).float()
        satellite_view = warp(satellite, common @ similarity(quarters, random.uniform(0.88, 1.0)), size)
        pose = common @ jitter(source, random, shift=0.12) @ tilt(random.uniform(0, 0.12), random)
        drone_view = fill(warp(drone, pose, size, reflect=True), random)
    drone_view = sensor(drone_view, random, strength=1.0)
    return drone_view, sensor(fill(satellite_view, random), random, strength=0.5)


def simulated_view(
    canvas: Tensor, common: Tensor, source: SourceConfig, size: int, random: Randomness
) -> Tensor:
    """What a tilted camera sees of an overhead canvas: as it is (oblique) or rectified to the ground again.

    Rectifying resamples twice, so the far side is blurred and corners that the camera did not see are missing,
    as in flight. Returns float32 B x 4 x size x size, the fourth channel 1 where the ground was seen.
    """
    pose = common @ jitter(source, random, shift=SHIFT)
    strength = random.uniform(*TILT) * ~random.chance(0.25)  # a quarter looks straight down
    camera_tilt = tilt(strength, random)
    reach = similarity(torch.zeros(random.batch), random.uniform(0.95, 1.35))  # what the frame covers
    camera = warp(canvas, pose @ camera_tilt @ reach, size, relief=relief(random, size))
    error = tilt(random.uniform(0, 0.06), random)
    rectify = torch.linalg.inv(camera_tilt @ reach) @ error
    rectified = warp(camera[:, :3], rectify, size, mask=camera[:, 3:])
    return torch.where(random.chance(source.oblique).view(-1, 1, 1, 1), camera, rectified)


def flips(random: Randomness) -> Tensor:
    """Mirror images with probability one half (both views alike, or the pair would not be one)."""
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


def jitter(source: SourceConfig, random: Randomness, shift: float) -> Tensor:
    """The drone view's heading, scale and centre error."""
    turned = random.chance(source.turned).float()
    limit = math.radians(source.heading_deg) * (1 - turned) + math.radians(45) * turned
    angle = random.uniform(-1, 1) * limit
    scale = random.uniform(-SCALE, SCALE).exp()
    return similarity(angle, scale, random.uniform(-shift, shift, 2))


def tilt(strength: Tensor, random: Randomness) -> Tensor:
    """A projective term in a random direction: the ground as a tilted pinhole camera sees it."""
    direction = random.uniform(-math.pi, math.pi)
    matrix = torch.eye(3).repeat(len(strength), 1, 1)
    matrix[:, 2, 0], matrix[:, 2, 1] = direction.cos() * strength, direction.sin() * strength
    return matrix


def relief(random: Randomness, size: int) -> Tensor:
    """Displacements B x size x size x 2 (half sides) as of things that stand above the ground: they lean away."""
    heights = torch.relu(torch.randn(random.batch, 1, 12, 12, generator=random.generator))
    heights = F.interpolate(heights, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    lean = random.uniform(-0.05, 0.05, 2)
    return heights[..., None] * lean.view(-1, 1, 1, 2)


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
        pixels = (
            images[index].permute(1, 2, 0).round().to(torch.uint8).numpy()[:, :, ::-1]
        )  # OpenCV takes BGR
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality[index])])[1]
        decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        output[index] = torch.from_numpy(decoded).permute(2, 0, 1)
    return output
