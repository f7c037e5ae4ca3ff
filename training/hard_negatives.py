"""The search for places that look alike, for Sample4Geo's dynamic similarity sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from training.sampler import nearest_places
from training.validation import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from lkpan_model.network import LKPAN
    from training.datasets import Source

CHUNK = 64  # places decoded and encoded at once


def find(network: LKPAN, sources: Sequence[Source], seed: Sequence[int]) -> list[NDArray[np.int64]]:
    """For each source the nearest other places of each place by its descriptors: int64 P x K, nearest first.

    Args:
        network: In evaluation mode.
        sources: Of training.
        seed: Chooses the images of places that have several.
    """
    return [
        nearest_places(*describe_places(network, source, np.random.default_rng([*seed, number])))
        for number, source in enumerate(sources)
    ]


def describe_places(network: LKPAN, source: Source, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Descriptors of one drone and one satellite view of every place, each P x D."""
    size = network.config.image_size
    parts = []
    for start in range(0, source.places, CHUNK):
        views = plain_views(source, np.arange(start, min(start + CHUNK, source.places)), size, rng)
        drone = torch.from_numpy(encode(network, views[0]))
        parts.append((drone, drone if source.same_canvas else torch.from_numpy(encode(network, views[1]))))
    drones, satellites = zip(*parts, strict=True)
    return torch.cat(drones), torch.cat(satellites)


def plain_views(
    source: Source, places: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Both views without augmentation: uint8 B x 3 x size x size each. Of an overhead image they are the same."""
    views = []
    for canvas in source.draw(places, rng):
        side = round(canvas.shape[-1] / source.config.canvas_factor)
        margin = (canvas.shape[-1] - side) // 2
        middle = canvas[..., margin : margin + side, margin : margin + side].float()
        shown = F.interpolate(middle, (size, size), mode="bilinear", antialias=True)
        views.append(shown.round().clamp(0, 255).to(torch.uint8))
    return views[0], views[1]
