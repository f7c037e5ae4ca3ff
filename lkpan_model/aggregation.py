"""Spatial-aware aggregation: a feature map to one descriptor; and the plain mean it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from lkpan_model.config import EncoderConfig


class SpatialAwareAggregation(nn.Module):
    """Each head weighs the N cells by what is seen in all of them, and sums the features with these weights.

    The Linear sizes (N to N/2 to N, no activation between, as published) tie the weights to one input size.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        cells, hidden = config.cells, config.hidden_cells
        self.heads = nn.ModuleList(_head(cells, hidden) for _ in range(config.heads))

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
        left, strength, right = torch.linalg.svd(whole)
        rank = min(len(strength), max(1, cells // 2), squeeze.out_features)
        root = strength[:rank].sqrt()
        resized[0].weight[:rank] = root[:, None] * right[:rank]
        resized[0].bias.zero_()
        resized[1].weight.zero_()
        resized[1].weight[:, :rank] = left[:, :rank] * root
        resized[1].bias.copy_(bias)
    return resized


def _head(cells: int, hidden: int) -> nn.Sequential:
    """A fresh head: an average pool with random positive weights, useful before any training."""
    squeeze, expand = nn.Linear(cells, hidden), nn.Linear(hidden, cells)
    nn.init.normal_(expand.weight, std=0.01 / cells)
    nn.init.uniform_(expand.bias, 0.0, 2.0 / cells)
    return nn.Sequential(squeeze, expand)
