"""The network against a reference written out from the paper's formulae."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lkpan_model.authors import export_authors
from lkpan_model.config import VARIANTS, EncoderConfig, variant
from lkpan_model.errors import ConfigError, InputError
from lkpan_model.network import LKPAN

if TYPE_CHECKING:
    from collections.abc import Mapping

CONVNEXT_DEPTHS = {"base": (3, 3, 27, 3), "small": (3, 3, 27, 3), "tiny": (3, 3, 9, 3)}


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Weights and batch-norm statistics at random, large enough that each of them shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.ndim > 1:
                tensor.copy_(noise / math.sqrt(tensor[0].numel()))
            else:
                tensor.copy_(0.3 * noise + (1.0 if name.endswith(("weight", "gamma")) else 0.0))


class Published:
    """ConvNeXt, attention and aggregation as the paper and the authors' key names spell them.

    Args:
        p: Weights by the authors' names.
    """

    def __init__(self, p: Mapping[str, Tensor]) -> None:
        self.p = p

    def conv(self, x: Tensor, key: str, *, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
        weight, bias = self.p[f"{key}.weight"], self.p.get(f"{key}.bias")
        return functional.conv2d(x, weight, bias, stride, padding, 1, groups)

    def layer_norm(self, x: Tensor, key: str) -> Tensor:  # over channels
        mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        scale, shift = (self.p[f"{key}.{leaf}"].view(1, -1, 1, 1) for leaf in ("weight", "bias"))
        return (x - mean) / (var + 1e-6).sqrt() * scale + shift

    def batch_norm(self, x: Tensor, key: str) -> Tensor:
        leaves = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, shift = (self.p[f"{key}.{leaf}"].view(1, -1, 1, 1) for leaf in leaves)
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def linear(self, x: Tensor, key: str) -> Tensor:
        return x @ self.p[f"{key}.weight"].T + self.p[f"{key}.bias"]

    def backbone(self, x: Tensor, depths: tuple[int, ...]) -> Tensor:
        for stage, depth in enumerate(depths):
            down = f"model.features.downsample_layers.{stage}"
            if stage == 0:
                x = self.layer_norm(self.conv(x, f"{down}.0", stride=4), f"{down}.1")
            else:
                x = self.conv(self.layer_norm(x, f"{down}.0"), f"{down}.1", stride=2)
            for block in range(depth):
                key = f"model.features.stages.{stage}.{block}"
                y = self.layer_norm(
                    self.conv(x, f"{key}.dwconv", padding=3, groups=x.shape[1]), f"{key}.norm"
                )
                y = functional.gelu(self.linear(y.permute(0, 2, 3, 1), f"{key}.pwconv1"))
                x = x + (self.p[f"{key}.gamma"] * self.linear(y, f"{key}.pwconv2")).permute(0, 3, 1, 2)
        return x

    def attention(self, x: Tensor) -> Tensor:
        key = "model.feature_enhancer"
        pooled = functional.relu(self.conv(x.mean((2, 3), keepdim=True), f"{key}.channel_attention.1"))
        a = torch.sigmoid(self.conv(pooled, f"{key}.channel_attention.3"))
        s = self.conv(x * a, f"{key}.spatial_conv.0", padding=8, groups=x.shape[1])
        s = functional.gelu(self.batch_norm(s, f"{key}.spatial_conv.1"))
        s = self.batch_norm(self.conv(s, f"{key}.spatial_conv.3"), f"{key}.spatial_conv.4")
        return x + 0.3 * s

    def aggregation(self, features: Tensor) -> Tensor:  # B x C x N
        peaks, blocks = features.max(1).values, []
        for head in range(8):
            key = f"model.spatial_aware.fc.{head}"
            weights = self.linear(self.linear(peaks, f"{key}.0"), f"{key}.1")
            blocks.append(torch.einsum("bcn,bn->bc", features, weights))
        return torch.cat(blocks, dim=1)

    def descriptors(self, images: Tensor, depths: tuple[int, ...]) -> Tensor:
        x = self.backbone(images, depths)
        features = (x + 0.1 * self.attention(x)).flatten(2)
        return functional.normalize(self.aggregation(features), dim=1)


@pytest.mark.parametrize("name", ["tiny", pytest.param("base", marks=pytest.mark.slow)])
@torch.inference_mode()
def test_descriptors_agree_with_the_paper(name: str) -> None:
    network = LKPAN(variant(name, image_size=128)).eval()
    randomise(network)
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    published = Published(export_authors(network.state_dict()))
    expected = published.descriptors(images, CONVNEXT_DEPTHS[name])
    cosine = (network(images) * expected).sum(1)
    assert cosine.min() >= 0.99999
    assert expected[0] @ expected[1] < 0.999  # the random weights do tell images apart


@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_count_and_shapes(name: str) -> None:
    expected_millions = {"base": 89.6, "small": 50.7, "tiny": 29.1, "lite": 3.2}[name]
    with torch.device("meta"):
        network = LKPAN(variant(name)).eval()
        size = network.config.image_size
        descriptors = network(torch.empty(2, 3, size, size))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(expected_millions, abs=0.05)
    assert descriptors.shape == (2, network.config.descriptor_dim)


def test_attention_constants_are_the_published_ones() -> None:
    network = LKPAN(variant("lite")).eval()
    features = torch.rand(1, 320, 4, 4)
    with torch.no_grad():
        network.get_parameter("attention.spatial_conv.4.weight").zero_()
        network.get_parameter("attention.spatial_conv.4.bias").fill_(2.0)  # so that S is 2 everywhere
        torch.testing.assert_close(network.attention(features), 1.1 * features + 0.1 * 0.3 * 2.0)


def test_fresh_aggregation_tells_feature_maps_apart() -> None:
    """Before any training a descriptor is close to an average pool: like images are more alike than others."""
    network = LKPAN(variant("lite", image_size=128)).eval()
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 320, 4, 4, generator=generator)
    near = features[:1] + 0.05 * torch.rand(1, 320, 4, 4, generator=generator)
    with torch.no_grad():
        described = functional.normalize(network.aggregation(torch.cat([features, near])), dim=1)
    assert described[2] @ described[0] > described[2] @ described[1]


def test_gradients_reach_all_weights_under_autocast() -> None:
    network = LKPAN(variant("lite", image_size=128)).train()
    images = torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        descriptors = network(images)
    assert descriptors.dtype == torch.float32
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(4))
    (
        descriptors * torch.randn(descriptors.shape, generator=torch.Generator().manual_seed(1))
    ).sum().backward()
    without = [
        n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())
    ]
    assert not without


def test_wrong_input_size_is_named() -> None:
    network = LKPAN(variant("lite"))
    with pytest.raises(InputError, match=r"192 x 192, got \(1, 3, 96, 96\)"):
        network(torch.zeros(1, 3, 96, 96))


@pytest.mark.parametrize(
    ("backbone", "channels", "message"),
    [("convnext_enormous", 320, "no backbone"), ("tf_efficientnet_lite0", 321, "320 channels")],
)
def test_backbone_that_does_not_fit_is_refused(backbone: str, channels: int, message: str) -> None:
    config = EncoderConfig("mine", backbone, feature_channels=channels, image_size=128)
    with pytest.raises(ConfigError, match=message):
        LKPAN(config)
