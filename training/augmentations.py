"""Augmentation of pairs as batched tensors: what a drone and a satellite see of a place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from training.geometry import Randomness, camera_view, flips, offset_window, reflected, similarity, tilt, warp
from training.sensor import fill, sensor

if TYPE_CHECKING:
    from torch import Tensor

    from training.config import SourceConfig

SHIFT = 0.34  # largest offset of the drone view's centre, half sides: 15 m of a 90 m tile, a bit more
SCALE = 0.16  # largest log scale error of the drone view
TILT = (0.15, 0.5)  # range of the projective term: at 0.5 the far edge is three times as far as the near one
ROLL = math.radians(8)  # of a held camera, largest
PERSPECTIVE = 0.25  # largest projective term of the perspective that can be asked for


def augment_pair(
    drone: Tensor, satellite: Tensor, source: SourceConfig, size: int, generator: torch.Generator, *,
    same_canvas: bool, north_up: bool = False, offset: float = 0.0, perspective: float = 0.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Canvases of both views to what the encoder would be given.

    Args:
        drone: uint8 B x 3 x P x P.
        satellite: uint8 B x 3 x P x P, row i the same place as the drone's.
        source: How the views are posed.
        size: Side of the result, pixels.
        generator: All randomness; the same state gives the same result.
        same_canvas: Both are one overhead image, `source.canvas_factor` times the view: the drone's camera is
            simulated.
        north_up: Keep the canvas's own direction (validation) instead of turning and mirroring both views alike.
        offset: Probability that a picture (what a camera sees, not a rectified view) is cut to one of the 40
            windows of Offset-1652.
        perspective: Probability of a further perspective of the drone view.

    Returns:
        Two float32 tensors B x 3 x size x size in [0, 255].
    """
    random = Randomness(generator, len(drone))
    mirror = torch.eye(3).repeat(len(drone), 1, 1) if north_up else flips(random)
    if same_canvas:  # any direction up in the overhead image is as good as north
        turn = random.uniform(-math.pi, math.pi) * (not north_up)
        ground = mirror @ similarity(turn, torch.full((len(drone),), 1 / source.canvas_factor))
        drone_view = seen_from_above(drone, ground, source, size, random, offset, perspective)
        satellite_view = warp(satellite, ground, size)
    else:
        ground = reflected(mirror, source.camera.heading_deg if source.camera else 0.0)
        drone_view = photographed(drone, mirror, ground, source, size, random, offset, perspective)
        quarters = (random.uniform(0, 4).floor() * (source.quarter_turns * math.pi / 2)).float()
        satellite_view = warp(satellite, ground @ similarity(quarters, random.uniform(0.88, 1.0)), size)
    drone_view = sensor(drone_view, random, strength=source.strength)
    return drone_view, sensor(fill(satellite_view, random), random, strength=0.5 * source.strength)


def photographed(
    drone: Tensor, mirror: Tensor, ground: Tensor, source: SourceConfig, size: int, random: Randomness,
    offset: float, perspective: float,
) -> Tensor:  # fmt: skip
    """A drone's real picture: as it is, cut to a window, or rectified to the ground by its known camera."""
    whole = jitter(source, random, shift=0.12) @ tilt(random.uniform(0, 0.12), random)
    pose = mirror @ windowed(whole, random, offset, perspective)
    picture = fill(warp(drone, pose, size, reflect=True), random)
    if source.camera is None:
        return picture
    to_picture = torch.linalg.inv(camera_view(source.camera, random))
    rectified = warp(drone, to_picture @ ground @ jitter(source, random, shift=SHIFT / 2), size)
    return torch.where(random.chance(source.rectified).view(-1, 1, 1, 1), fill(rectified, random), picture)


def seen_from_above(
    canvas: Tensor, ground: Tensor, source: SourceConfig, size: int, random: Randomness,
    offset: float, perspective: float,
) -> Tensor:  # fmt: skip
    """What a tilted camera would see of an overhead canvas: the source's own camera, or any one."""
    if source.camera is None:
        return simulated_view(canvas, ground, source, size, random)
    aim = similarity(torch.zeros(random.batch), torch.ones(random.batch), random.uniform(-0.1, 0.1, 2))
    pose = (
        ground
        @ aim
        @ camera_view(source.camera, random)
        @ windowed(held(random), random, offset, perspective)
    )
    return warp(canvas, pose, size, relief=0.4 * relief(random, size), reflect=True)


def windowed(whole: Tensor, random: Randomness, offset: float, perspective: float) -> Tensor:
    """A picture's pose, or, with these probabilities, that of a window of it, and of a perspective of either."""
    window = offset_window(random) @ held(random)
    pose = torch.where(random.chance(offset).view(-1, 1, 1), window, whole)
    return pose @ tilt(random.uniform(0, PERSPECTIVE) * random.chance(perspective), random)


def held(random: Randomness) -> Tensor:
    """Roll, zoom and aim of a camera that is meant to look straight at the place."""
    angle = random.uniform(-1, 1) * ROLL
    return similarity(angle, random.uniform(-0.2, 0.1).exp(), random.uniform(-0.08, 0.08, 2))


def simulated_view(
    canvas: Tensor, ground: Tensor, source: SourceConfig, size: int, random: Randomness
) -> Tensor:
    """What a tilted camera sees of an overhead canvas: as it is (oblique) or rectified to the ground again.

    Rectifying resamples twice, so the far side is blurred and corners that the camera did not see are missing,
    as in flight. Returns float32 B x 4 x size x size, the fourth channel 1 where the ground was seen.
    """
    pose = ground @ jitter(source, random, shift=SHIFT)
    strength = random.uniform(*TILT) * ~random.chance(0.25)  # a quarter looks straight down
    camera_tilt = tilt(strength, random)
    reach = similarity(torch.zeros(random.batch), random.uniform(0.95, 1.35))  # what the frame covers
    camera = warp(canvas, pose @ camera_tilt @ reach, size, relief=relief(random, size))
    error = tilt(random.uniform(0, 0.06), random)
    rectify = torch.linalg.inv(camera_tilt @ reach) @ error
    rectified = warp(camera[:, :3], rectify, size, mask=camera[:, 3:])
    return torch.where(random.chance(source.oblique).view(-1, 1, 1, 1), camera, rectified)


def jitter(source: SourceConfig, random: Randomness, shift: float) -> Tensor:
    """The drone view's heading, scale and centre error."""
    turned = random.chance(source.turned).float()
    limit = math.radians(source.heading_deg) * (1 - turned) + math.radians(45) * turned
    angle = random.uniform(-1, 1) * limit
    scale = random.uniform(-SCALE, SCALE).exp()
    return similarity(angle, scale, random.uniform(-shift, shift, 2))


def relief(random: Randomness, size: int) -> Tensor:
    """Displacements B x size x size x 2 (half sides) as of things that stand above the ground: they lean away."""
    heights = torch.relu(torch.randn(random.batch, 1, 12, 12, generator=random.generator))
    heights = F.interpolate(heights, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    lean = random.uniform(-0.05, 0.05, 2)
    return heights[..., None] * lean.view(-1, 1, 1, 2)
