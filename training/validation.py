"""Retrieval on places that training never sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from lkpan_model.preprocess import normalise, to_batch
from training.augmentations import augment_pair
from training.datasets import OverheadSource, PairSource
from training.metrics import recall_at

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lkpan_model.network import LKPAN
    from training.datasets import Source

TILES_PER_RASTER = 64
QUERIES_PER_RASTER = 12


def validate(network: LKPAN, source: Source, seed: int = 0) -> dict[str, float]:
    """Recall of drone view to satellite view on a held-out source; the same views at every call."""
    if isinstance(source, PairSource):
        return validate_pairs(network, source)
    assert isinstance(source, OverheadSource)
    return validate_overhead(network, source, seed)


def validate_pairs(network: LKPAN, source: PairSource) -> dict[str, float]:
    """First image of each view against each other: R@1, 5, 10 for one view, and R@1 with 4 rotations.

    `r1_rot4` adds the similarities of the 4 rotations, `r1_best4` keeps the best of them, as a localizer
    without heading does.
    """
    drone, satellite = (source.first_images(view) for view in ("drone", "satellite"))
    gallery = encode(network, satellite)  # P x D
    turned = np.stack([encode(network, drone.rot90(k, (2, 3))) @ gallery.T for k in range(4)])  # 4 x P x P
    positive = np.eye(source.places, dtype=np.bool_)
    result = {f"r{k}": value for k, value in recall_at(turned[0], positive).items()}
    result["r1_rot4"] = recall_at(turned.sum(axis=0), positive, (1,))[1]
    result["r1_best4"] = recall_at(turned.max(axis=0), positive, (1,))[1]
    return result


def validate_overhead(network: LKPAN, source: OverheadSource, seed: int = 0) -> dict[str, float]:
    """Simulated drone views anywhere in the images against overlapping tiles of all of them.

    Tiles stand on a grid, three to a side; right is a tile whose centre lies within one stride of the truth.
    """
    size, config = network.config.image_size, source.config
    footprint = float(np.sqrt(config.footprint_m[0] * config.footprint_m[1])) / source.gsd_m  # pixels
    margin = config.canvas_factor * footprint / 2
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    tiles, tile_at, views, view_at = [], [], [], []
    for index, raster in enumerate(source.rasters):
        grid = _grid(raster.shape[0], raster.shape[1], margin, footprint / 3, TILES_PER_RASTER)
        tiles += [source.crop(index, x, y, footprint) for x, y in grid]
        tile_at += [(index * 1e6, x, y) for x, y in grid]
        spots = rng.uniform(grid.min(axis=0), grid.max(axis=0), (QUERIES_PER_RASTER, 2))
        views += [source.crop(index, x, y, config.canvas_factor * footprint) for x, y in spots]
        view_at += [(index * 1e6, x, y) for x, y in spots]
    canvases = to_batch(views, source.canvas_size)
    queries, _ = augment_pair(
        canvases,
        canvases,
        config,
        size,
        generator,
        same_canvas=True,
        north_up=True,
    )
    similarity = encode(network, queries) @ encode(network, to_batch(tiles, size)).T
    away = np.linalg.norm(np.array(view_at)[:, None] - np.array(tile_at)[None], axis=2)
    found = recall_at(similarity, away <= footprint / 3)
    return {f"r{k}": value for k, value in found.items()}


def _grid(height: int, width: int, margin: float, stride: float, most: int) -> NDArray[np.float64]:
    """Up to `most` neighbouring grid points (x, y) whose tiles lie inside: N x 2."""
    side = int(np.sqrt(most))
    columns = np.arange(margin, max(width - margin, margin) + 1, stride)[:side]
    rows = np.arange(margin, max(height - margin, margin) + 1, stride)[:side]
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)


def encode(network: LKPAN, images: Tensor, batch_size: int = 64) -> NDArray[np.float32]:
    """Pixel values B x 3 x S x S (uint8 or float in [0, 255]) to descriptors B x D, on the network's device."""
    device = next(network.parameters()).device
    parts = tqdm(torch.split(images, batch_size), desc="describing", unit="batch", leave=False, delay=2.0)
    with torch.inference_mode():
        described = [network(normalise(part.to(device).float())).cpu() for part in parts]
    return torch.cat(described).numpy()
