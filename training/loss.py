"""InfoNCE with a learnable temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_SCALE = 100.0  # CLIP's bound; above it single pairs rule the gradient


class InfoNCE(nn.Module):
    """Row i of both inputs shows place i; every other row is another place.

    logits = D S^T exp(t), t learnable from ln(1/0.07). Symmetric (the paper's, with label smoothing 0.1):
    loss = (CE over rows + CE over columns) / 2. One way, drone to satellite: CE over rows.
    """

    def __init__(self, label_smoothing: float = 0.1, *, symmetric: bool = True) -> None:
        super().__init__()
        self.label_smoothing, self.symmetric = label_smoothing, symmetric
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def scale(self) -> Tensor:
        """What the similarities are multiplied by: 1 / temperature."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def forward(self, drone: Tensor, satellite: Tensor) -> Tensor:
        """Descriptors B x D and B x D, each of unit length, to a scalar."""
        logits = drone @ satellite.T * self.scale()  # B x B, a row per drone view
        target = torch.arange(len(logits), device=logits.device)
        rows = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        if not self.symmetric:
            return rows
        columns = F.cross_entropy(logits.T, target, label_smoothing=self.label_smoothing)
        return (rows + columns) / 2
