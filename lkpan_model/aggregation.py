"""Spatial-aware aggregation: a feature map to one descriptor; and the plain mean it is compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig

_RING = 0.62  # fresh heads look at windows on a ring of this radius (half sides of the picture) ...
_WINDOW = 0.3  # ... of this standard deviation


class SpatialAwareAggregation(nn.Module):
    """Each head weighs the N cells by what is seen in all of them, and sums the features with these weights.

    The Linear sizes (N to N/2 to N, no activation between, as published) tie the weights to one input size.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        cells, hidden = config.cells, config.hidden_cells
        self.heads = nn.ModuleList(
            _head(cells, hidden, 2 * math.pi * index / config.heads) for index in range(config.heads)
        )

    def forward(self, features: Tensor) -> Tensor:
        """B x C x H x W to B x (heads * C), laid out head by head, not normalised."""
        cells = features.flatten(2)  # B x C x N
        peaks = cells.amax(dim=1)  # B x N
        weights = torch.stack([head(peaks) for head in self.heads], dim=2)  # B x N x heads
        pooled = cells @ weights  # B x C x heads
        return pooled.transpose(1, 2).flatten(1)


class AveragePooling(nn.Module):
    """The mean of all cells, the usual pooling of retrieval networks."""

    def forward(self, features: Tensor) -> Tensor:
        """B x C x H x W to B x C, not normalised."""
        return features.mean(dim=(2, 3))


def resize_head(head: nn.Sequential, cells: int) -> nn.Sequential:
    """A head for another number of cells that weighs the same places in the picture alike.

    Its peaks are the old ones' means over larger cells (or interpolated), its weights the old ones interpolated
    and scaled, so that their sum stays. Hidden units beyond the old ones start without effect; where there are
    fewer, the largest singular values of the linear map stay.

    Args:
        head: Of `SpatialAwareAggregation.heads`, for a square map.
        cells: Cells of the new map, a square number.
    """
    squeeze, expand = head[0], head[1]
    assert isinstance(squeeze, nn.Linear)
    assert isinstance(expand, nn.Linear)
    old, new = round(squeeze.in_features**0.5), round(cells**0.5)
    spread = F.interpolate(
        torch.eye(old * old).view(-1, 1, old, old), (new, new), mode="bilinear", antialias=True
    ).view(old * old, new * new)
    gather = spread / spread.sum(dim=1, keepdim=True)  # new peaks to old ones: means
    spread *= (old / new) ** 2  # old weights to new ones
    with torch.no_grad():
        whole = (
            spread.T @ expand.weight @ squeeze.weight @ gather
        )  # new x new, of the old head's rank at most
        bias = spread.T @ (expand.weight @ squeeze.bias + expand.bias)
        resized = _head(cells, max(1, cells // 2))
        new_squeeze, new_expand = (layer for layer in resized if isinstance(layer, nn.Linear))
        left, strength, right = torch.linalg.svd(whole)
        rank = min(len(strength), max(1, cells // 2), squeeze.out_features)
        root = strength[:rank].sqrt()
        new_squeeze.weight[:rank] = root[:, None] * right[:rank]
        new_squeeze.bias.zero_()
        new_expand.weight.zero_()
        new_expand.weight[:, :rank] = left[:, :rank] * root
        new_expand.bias.copy_(bias)
    return resized


def _head(cells: int, hidden: int, direction: float = 0.0) -> nn.Sequential:
    """A fresh head: a fixed window on one side of the picture, so that the descriptor holds the layout from the start.

    Args:
        cells: Of the map, a square number.
        hidden: Width of the hidden layer.
        direction: Where the window's middle lies, radians.
    """
    squeeze, expand = nn.Linear(cells, hidden), nn.Linear(hidden, cells)
    nn.init.normal_(expand.weight, std=0.01 / cells)
    side = round(cells**0.5)
    steps = (torch.arange(side) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    away = (x - _RING * math.cos(direction)) ** 2 + (y - _RING * math.sin(direction)) ** 2
    window = torch.exp(-away / (2 * _WINDOW**2)).flatten()
    with torch.no_grad():
        expand.bias.copy_(window / window.sum())
    return nn.Sequential(squeeze, expand)
