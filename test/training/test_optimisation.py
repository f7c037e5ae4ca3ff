from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from lkpan_model.network import LKPAN
from test.training.conftest import SMALL
from training.config import SourceConfig, TrainConfig
from training.loss import InfoNCE
from training.optimisation import adamw, set_rates

SOURCES = (SourceConfig("pairs", "x"),)


@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(3, 5, 0.1), (1, 1, 0.5), (10, 7, 0.0)])
def test_one_cycle_is_pytorchs(epochs: int, steps: int, warmup: float) -> None:
    config = TrainConfig(
        epochs=epochs, steps_per_epoch=steps, warmup=warmup, learning_rate=0.02, sources=SOURCES
    )
    total = epochs * steps + 2
    theirs = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    schedule = OneCycleLR(theirs, 0.02, total, pct_start=max(warmup, 2 / total))
    ours = adamw(LKPAN(SMALL), InfoNCE(), config)
    for step in range(epochs * steps):
        set_rates(ours, config, step)
        for name in ("lr", "betas"):
            assert ours.param_groups[0][name] == pytest.approx(theirs.param_groups[0][name], rel=1e-9), step
        theirs.step()
        schedule.step()


def test_cosine_rises_then_falls_to_nothing() -> None:
    config = TrainConfig(
        epochs=10, steps_per_epoch=10, warmup=0.1, learning_rate=1e-4, schedule="cosine", sources=SOURCES
    )
    optimizer = adamw(LKPAN(SMALL), InfoNCE(), config)
    rates = [set_rates(optimizer, config, step) for step in range(100)]
    assert 0 < rates[0] < rates[9] < rates[10] == max(rates) == pytest.approx(1e-4)
    assert rates[55] == pytest.approx(1e-4 * (1 + math.cos(math.pi * 0.5)) / 2)
    assert 0 < rates[99] < 1e-7


def test_rates_and_decay_by_group() -> None:
    config = TrainConfig(backbone_learning_rate=0.1, learning_rate=1.0, weight_decay=0.3, sources=SOURCES)
    network, loss = LKPAN(SMALL), InfoNCE()
    assert isinstance(network.attention, torch.nn.Module)
    network.attention.requires_grad_(requires_grad=False)
    squeeze = network.get_submodule("aggregation.heads.0.0")
    optimizer = adamw(network, loss, config)
    peak = set_rates(optimizer, config, 60)
    found = {
        p: (round(g["lr"] / peak, 6), g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]
    }
    assert found[squeeze.weight] == (1, 0.3)  # type: ignore[index]
    assert found[squeeze.bias] == (1, 0)  # type: ignore[index]
    assert found[loss.log_scale] == (1, 0)
    backbone = list(network.backbone.parameters())
    assert {found[p] for p in backbone} == {(0.1, 0.3), (0.1, 0)}
    assert len(found) == len(list(network.parameters())) + 1 - len(list(network.attention.parameters()))
