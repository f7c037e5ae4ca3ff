from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from training.loss import InfoNCE

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _by_hand(drone: NDArray[np.float64], satellite: NDArray[np.float64], smoothing: float) -> float:
    logits = drone @ satellite.T / 0.07
    total = 0.0
    for matrix in (logits, logits.T):
        for i, row in enumerate(matrix):
            log_probability = row - np.log(np.exp(row).sum())
            target = np.full(len(row), smoothing / len(row))
            target[i] += 1 - smoothing
            total -= float((target * log_probability).sum()) / len(matrix)
    return total / 2


@pytest.fixture
def descriptors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.nn.functional.normalize(torch.randn(5, 8, generator=generator)) for _ in range(2))
    return one, two


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_formula(descriptors: tuple[torch.Tensor, torch.Tensor], smoothing: float) -> None:
    drone, satellite = descriptors
    expected = _by_hand(drone.double().numpy(), satellite.double().numpy(), smoothing)
    assert InfoNCE(smoothing)(drone, satellite).item() == pytest.approx(expected, rel=1e-5)


def test_loss_does_not_care_which_view_comes_first(descriptors: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = InfoNCE()
    assert loss(*descriptors).item() == pytest.approx(loss(*descriptors[::-1]).item(), rel=1e-6)


def test_temperature_learns_and_stays_bounded(descriptors: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = InfoNCE(0.0)
    value = loss(*descriptors)
    value.backward()
    assert loss.log_scale.grad is not None
    assert loss.log_scale.grad.item() != 0
    with torch.no_grad():
        loss.log_scale.fill_(50.0)
    assert torch.isfinite(loss(*descriptors))
