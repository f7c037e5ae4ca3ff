"""Spatial-aware aggregation: a feature map to one descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

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


def _head(cells: int, hidden: int) -> nn.Sequential:
    """A fresh head: an average pool with random positive weights, useful before any training."""
    squeeze, expand = nn.Linear(cells, hidden), nn.Linear(hidden, cells)
    nn.init.normal_(expand.weight, std=0.01 / cells)
    nn.init.uniform_(expand.bias, 0.0, 2.0 / cells)
    return nn.Sequential(squeeze, expand)
