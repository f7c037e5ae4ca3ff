"""Heads for another input size, and the plain mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lkpan_model.aggregation import AveragePooling, SpatialAwareAggregation, resize_head
from lkpan_model.config import variant
from lkpan_model.network import LKPAN

LITE = variant("lite", image_size=128)  # 4 x 4 cells


def _head(seed: int = 0) -> nn.Sequential:
    """A head of 16 cells whose weights all differ and all matter."""
    torch.manual_seed(seed)
    head = SpatialAwareAggregation(LITE).heads[0]
    assert isinstance(head, nn.Sequential)
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head


def _blocks(values: Tensor, factor: int) -> Tensor:
    """B x 16 as a 4 x 4 map, each cell repeated factor times both ways: B x (16 factor^2)."""
    return values.view(-1, 4, 4).repeat_interleave(factor, 1).repeat_interleave(factor, 2).flatten(1)


def test_a_head_of_the_same_size_stays_the_same_function() -> None:
    head, peaks = _head(), torch.rand(5, 16)
    assert torch.allclose(resize_head(head, 16)(peaks), head(peaks), atol=1e-5)


@pytest.mark.parametrize("side", [6, 8, 12])
def test_a_larger_head_weighs_the_same_places_alike(side: int) -> None:
    head, peaks = _head(), torch.rand(5, 1).expand(5, 16)  # the same everywhere: no interpolation error
    old, new = head(peaks), resize_head(head, side * side)(peaks[:, :1].expand(5, side * side))
    assert torch.allclose(new.sum(1), old.sum(1), atol=1e-3)
    as_large = torch.nn.functional.interpolate(old.view(5, 1, 4, 4), (side, side), mode="bilinear").flatten(1)
    assert torch.allclose(new, as_large * (4 / side) ** 2, atol=1e-3)


def test_a_doubled_map_is_read_as_the_map_it_came_from() -> None:
    head, peaks = _head(), torch.rand(50, 16)
    old, new = head(peaks), resize_head(head, 64)(_blocks(peaks, 2))
    pooled = nn.functional.avg_pool2d(new.view(50, 1, 8, 8), 2).flatten(1) * 4
    together = torch.corrcoef(torch.stack([old.flatten(), pooled.flatten()]))[0, 1]
    assert together > 0.8  # interpolation smooths the weights


def test_average_pooling_is_the_mean_of_the_cells() -> None:
    features = torch.rand(2, 3, 4, 4)
    assert torch.allclose(AveragePooling()(features), features.flatten(2).mean(2))


def test_a_network_without_attention_and_heads_describes_by_the_mean() -> None:
    config = variant("lite", kernel_size=0, heads=0, image_size=64)
    network, images = LKPAN(config).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = nn.functional.normalize(network.backbone(images).mean(dim=(2, 3)))
        assert torch.allclose(network(images), expected, atol=1e-6)
    assert expected.shape == (2, config.descriptor_dim)
