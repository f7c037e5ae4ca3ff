"""Symmetric InfoNCE with a learnable temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_SCALE = 100.0  # CLIP's bound; above it single pairs rule the gradient


class SymmetricInfoNCE(nn.Module):
    """Row i of both inputs shows place i; every other row is another place.

    logits = D S^T exp(t), t learnable from ln(1/0.07); loss = (CE over rows + CE over columns) / 2, both with
    label smoothing (the paper's loss, 0.1).
    """

    def __init__(self, label_smoothing: float = 0.1) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, drone: Tensor, satellite: Tensor) -> Tensor:
        """Descriptors B x D and B x D, each of unit length, to a scalar."""
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        logits = drone @ satellite.T * scale  # B x B
        target = torch.arange(len(logits), device=logits.device)
        rows = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        columns = F.cross_entropy(logits.T, target, label_smoothing=self.label_smoothing)
        return (rows + columns) / 2
