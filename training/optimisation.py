"""AdamW's parameter groups, and its rates as functions of the step alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from lkpan_model.network import LKPAN
    from training.config import TrainConfig
    from training.loss import InfoNCE

MOMENTUM = (0.85, 0.95)  # one cycle: lowest where the rate is highest
BETAS = (0.9, 0.999)


def adamw(network: LKPAN, loss: InfoNCE, config: TrainConfig) -> torch.optim.AdamW:
    """Groups by learning rate (backbone or not) and by weight decay (matrices and kernels, or vectors)."""
    backbone = set(network.backbone.parameters())
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for parameter in (*network.parameters(), *loss.parameters()):
        if parameter.requires_grad:
            factor = config.backbone_learning_rate if parameter in backbone else 1.0
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": part, "weight_decay": decay, "factor": factor}
            for (factor, decay), part in groups.items()
        ],
        lr=config.learning_rate,
        betas=BETAS,
    )


def set_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Set learning rate and first beta for a step (from 0); returns the rate of the parts outside the backbone."""
    total = config.epochs * config.steps_per_epoch
    schedule = _one_cycle if config.schedule == "one_cycle" else _cosine
    factor, beta = schedule(step, total, config.warmup)
    rate = config.learning_rate * factor
    group: dict[str, Any]
    for group in optimizer.param_groups:
        group["lr"], group["betas"] = rate * group["factor"], (beta, BETAS[1])
    return rate


def _one_cycle(step: int, total: int, warmup: float) -> tuple[float, float]:
    """Smith's one cycle as PyTorch's OneCycleLR has it by default: from 1/25 to 1, then to 1/250000."""
    steps = total + 2  # either phase needs a step of its own
    peak = max(warmup, 2 / steps) * steps - 1
    low, high = MOMENTUM
    if step <= peak:
        part = step / peak
        return _anneal(1 / 25, 1.0, part), _anneal(high, low, part)
    part = (step - peak) / (steps - 1 - peak)
    return _anneal(1.0, 1 / 250_000, part), _anneal(low, high, part)


def _cosine(step: int, total: int, warmup: float) -> tuple[float, float]:
    """A linear rise over the first part of the steps, then half a cosine to 0."""
    rise = warmup * total
    if step < rise:
        return (step + 1) / (rise + 1), BETAS[0]
    return _anneal(1.0, 0.0, (step - rise) / (total - rise)), BETAS[0]


def _anneal(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
