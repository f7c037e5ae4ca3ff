"""A network small enough that a training step takes milliseconds."""

from __future__ import annotations

import pytest
import torch

from lkpan_model.config import VARIANTS, EncoderConfig

SMALL = EncoderConfig("small-lite", "test_efficientnet", feature_channels=64, image_size=64, kernel_size=5)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # work this small only loses by being shared


@pytest.fixture
def _small_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """SMALL among the named variants."""
    monkeypatch.setitem(VARIANTS, SMALL.variant, SMALL)
