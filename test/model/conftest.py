"""Networks small enough that a test takes milliseconds."""

from __future__ import annotations

import pytest
import torch

from lkpan_model.config import VARIANTS, EncoderConfig
from lkpan_model.network import LKPAN

# timm's own test backbones: the architectures of `lite` and of the ConvNeXt variants, some 0.1 M parameters.
SMALL_LITE = EncoderConfig(
    "small-lite", "test_efficientnet", feature_channels=64, image_size=64, kernel_size=5
)
SMALL_CONVNEXT = EncoderConfig("small-convnext", "test_convnext", feature_channels=64, image_size=64)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # networks this small only lose by sharing the work


@pytest.fixture
def _small_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small networks among the named variants."""
    for config in (SMALL_LITE, SMALL_CONVNEXT):
        monkeypatch.setitem(VARIANTS, config.variant, config)


def calibrated(config: EncoderConfig, seed: int = 0) -> LKPAN:
    """A random network whose batch norms have the statistics of its input, as after training.

    Without that the descriptors of a deep random network hardly depend on the image.
    """
    torch.manual_seed(seed)
    network = LKPAN(config).train()
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain average over all that it sees
    with torch.no_grad():
        for _ in range(2):
            coarse = torch.randn(16, 3, 8, 8)
            network(torch.nn.functional.interpolate(coarse, size=config.image_size, mode="bilinear"))
        for norm in norms:
            norm.weight.uniform_(0.7, 1.3)
            norm.bias.normal_(std=0.1)
    return network.eval()
