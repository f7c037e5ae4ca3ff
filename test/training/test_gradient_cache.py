from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from lkpan_model.config import EncoderConfig
from lkpan_model.errors import ConfigError, DeviceError
from lkpan_model.network import LKPAN
from test.training.conftest import SMALL
from training import stages
from training.device import Precision, choose_device
from training.gradient_cache import backward, describe
from training.loss import InfoNCE

if TYPE_CHECKING:
    from torch import Tensor

CONVNEXT = EncoderConfig("small", "test_convnext", feature_channels=64, image_size=64, kernel_size=5)
CPU = torch.device("cpu")
FP32 = Precision("fp32", CPU)


def _build(config: EncoderConfig, *, freeze_batch_norm: bool, frozen_stages: int = 0) -> LKPAN:
    torch.manual_seed(0)
    network = LKPAN(config)
    stages.set_training_mode(network, frozen_stages, freeze_batch_norm=freeze_batch_norm)
    return network


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    drone, satellite = (torch.rand(10, 3, 64, 64, generator=generator) * 255 for _ in range(2))
    return drone, satellite


def _gradient(
    network: LKPAN, pair: tuple[Tensor, Tensor], chunk_size: int = 0, precision: Precision = FP32
) -> tuple[float, Tensor]:
    """Loss and the gradient of all trained parameters, the temperature's last."""
    loss = InfoNCE()
    network.zero_grad()
    value = backward(
        network, loss, *pair, precision=precision, scaler=precision.scaler(), chunk_size=chunk_size, seed=5
    )
    trained = [p for p in (*network.parameters(), *loss.parameters()) if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    return value, torch.cat([p.grad.flatten().clone() for p in trained if p.grad is not None])


def _assert_same(one: Tensor, two: Tensor, tolerance: float = 1e-5) -> None:
    assert (one - two).norm() <= tolerance * one.norm()


@pytest.mark.parametrize("config", [SMALL, CONVNEXT])
@pytest.mark.parametrize("chunk_size", [1, 3, 5, 9])
def test_chunks_give_the_gradient_of_the_whole_batch(
    config: EncoderConfig, chunk_size: int, pair: tuple[Tensor, Tensor]
) -> None:
    network = _build(config, freeze_batch_norm=True)
    whole, chunked = _gradient(network, pair), _gradient(network, pair, chunk_size)
    assert chunked[0] == pytest.approx(whole[0], rel=1e-6)
    _assert_same(whole[1], chunked[1])


def test_both_passes_use_the_same_random_numbers_and_statistics(pair: tuple[Tensor, Tensor]) -> None:
    """Against the graph of all chunks at once, with stochastic depth and batch norms in training mode."""
    network, loss = _build(replace(SMALL, drop_path=0.5), freeze_batch_norm=False), InfoNCE()
    parts = [
        describe(network, FP32, chunk[0], chunk[1], 5 + i)
        for i, chunk in enumerate(zip(*(torch.split(v, 4) for v in pair), strict=True))
    ]
    value = loss(*(torch.cat(view) for view in zip(*parts, strict=True)))
    value.backward()
    expected = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    chunked = _gradient(network, pair, 4)
    assert chunked[0] == pytest.approx(value.item(), rel=1e-6)
    _assert_same(expected, chunked[1][:-1])


def _statistics(network: LKPAN) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


def test_running_statistics_take_each_chunk_once(pair: tuple[Tensor, Tensor]) -> None:
    plain, cached = (_build(SMALL, freeze_batch_norm=False) for _ in range(2))
    for index, chunk in enumerate(zip(*(torch.split(view, 5) for view in pair), strict=True)):
        describe(plain, FP32, chunk[0], chunk[1], 5 + index)
    _gradient(cached, pair, 5)
    expected, found = _statistics(plain), _statistics(cached)
    assert int(found["backbone.body.bn1.num_batches_tracked"]) == 2
    for name, buffer in expected.items():
        assert torch.allclose(buffer.float(), found[name].float(), rtol=1e-5), name


@pytest.mark.parametrize("config", [SMALL, CONVNEXT])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_stages_give_the_same_gradient_and_statistics(
    config: EncoderConfig, precision: str, pair: tuple[Tensor, Tensor]
) -> None:
    random_depth = replace(config, drop_path=0.3)
    plain, recomputed = (_build(random_depth, freeze_batch_norm=False) for _ in range(2))
    stages.recompute_in_backward(recomputed)
    results = [_gradient(n, pair, precision=Precision(precision, CPU)) for n in (plain, recomputed)]
    assert results[0][0] == results[1][0]
    _assert_same(results[0][1], results[1][1])
    for name, buffer in _statistics(plain).items():
        assert torch.equal(buffer, _statistics(recomputed)[name]), name


def test_recomputing_stores_less(pair: tuple[Tensor, Tensor]) -> None:
    sizes = []
    for recompute in (False, True):
        network, kept = _build(SMALL, freeze_batch_norm=True), [0]

        def count(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept[0] += tensor.nbytes
            return tensor

        if recompute:
            stages.recompute_in_backward(network)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            describe(network, FP32, *pair, 0)
        sizes.append(kept[0])
    assert sizes[1] < sizes[0] / 2


def test_frozen_stages_and_batch_norms_stay_as_they_are(pair: tuple[Tensor, Tensor]) -> None:
    network = _build(SMALL, freeze_batch_norm=False, frozen_stages=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    _gradient(network, pair)
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = ("conv_stem", "bn1", "blocks.0", "blocks.1")
    prefix = "backbone.body."
    assert changed
    assert not [n for n in changed if n.startswith(tuple(prefix + part + "." for part in frozen))]
    assert [n for n in changed if n.startswith(f"{prefix}blocks.2.") and "running_mean" in n]
    stages.set_training_mode(network, 2, freeze_batch_norm=True)
    kept = _statistics(network)
    _gradient(network, pair)
    assert all(torch.equal(buffer, kept[name]) for name, buffer in _statistics(network).items())


def test_more_frozen_stages_than_there_are() -> None:
    with pytest.raises(ConfigError, match=r"frozen_stages is 6.* has 5 stages"):
        stages.freeze(LKPAN(SMALL), 6)


def test_precisions_that_a_device_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="fp16 trains on CUDA only"):
        Precision("fp16", CPU)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match="finds 0 CUDA devices here; use --device cpu"):
        choose_device("cuda")
