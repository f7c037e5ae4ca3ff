"""What the CPU's compiler makes of a network is used where it describes alike, and only there."""

from __future__ import annotations

import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.engines import recorded
from lkpan_model.engines.torch_cpu import TorchCpu
from lkpan_model.preprocess import Normalisation
from test.model.conftest import SMALL_CONVNEXT, calibrated
from test.model.pictures import pictures

pytestmark = pytest.mark.skipif(
    not recorded.is_available(torch.float32, SMALL_CONVNEXT), reason="this torch has no oneDNN Graph"
)


class Baked(nn.Module):
    """Keeps a number of the input that it is recorded with."""

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1).float() - float(images.float().mean())
        return rows + 0


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def small_network() -> nn.Sequential:
    network = nn.Sequential(Normalisation(), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten())
    return network.eval().requires_grad_(requires_grad=False)


@torch.inference_mode()
def test_a_recording_that_describes_other_pictures_otherwise_is_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = Baked().eval()
    with caplog.at_level(logging.WARNING):
        used = recorded.recorded(network, noise(1, 8, 8, 3) // 4, torch.float32)
    assert used is network
    assert "changes the descriptors (cosine 0." in caplog.text


@torch.inference_mode()
def test_a_faithful_recording_is_used() -> None:
    network, images = small_network(), noise(1, 16, 16, 3)
    used = recorded.recorded(network, images, torch.float32)
    assert used is not network
    torch.testing.assert_close(used(images // 2), network(images // 2))


def test_the_shipped_network_is_run_recorded() -> None:
    engine = Encoder("lite", device="cpu")._engine
    assert isinstance(engine, TorchCpu)
    assert [(count, type(run)) for count, run in engine._runs.items()] == [
        (4, torch.jit.ScriptFunction),
        (1, torch.jit.ScriptFunction),
    ]


@torch.inference_mode()
def test_a_network_that_cannot_be_recorded_is_used_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    learning = small_network().requires_grad_()
    with caplog.at_level(logging.WARNING):
        assert recorded.recorded(learning, noise(1, 16, 16, 3), torch.float32) is learning
    assert "does not take the network (Cannot insert a Tensor that requires grad" in caplog.text


def test_the_compiler_is_switched_on_for_the_recording_alone() -> None:
    before = torch.jit.onednn_fusion_enabled()  # type: ignore[no-untyped-call]
    Encoder.from_network(calibrated(SMALL_CONVNEXT), SMALL_CONVNEXT, device="cpu")
    assert torch.jit.onednn_fusion_enabled() == before  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ["small-convnext", "tiny"])
def test_maps_of_a_single_cell_run_too(name: str) -> None:
    config = (
        replace(SMALL_CONVNEXT, image_size=32) if name == "small-convnext" else variant(name, image_size=32)
    )
    encoder = Encoder.from_network(calibrated(config), config, device="cpu")
    assert encoder.encode(pictures(5, 32)).shape == (5, config.descriptor_dim)


def test_any_number_of_images_in_any_thread_is_described_alike() -> None:
    """Four at a time, what is left one by one, each recorded apart; the node encodes in a thread of its own."""
    config = variant("lite", image_size=64)
    encoder = Encoder.from_network(calibrated(config), config, device="cpu")
    images = pictures(11, 64)
    alone = np.concatenate([encoder.encode(image[None]) for image in images])
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda count: encoder.encode(images[:count]), range(1, 12)))
    for count, together in enumerate(found, start=1):
        np.testing.assert_allclose(together, alone[:count], atol=1e-6)


@torch.inference_mode()
def test_a_recording_that_is_no_longer_used_lets_go_of_the_weights() -> None:
    """A node that loads other weights, again and again, must not keep the old ones.

    (Those of torch. oneDNN keeps its copy until something else is recorded.)
    """
    network = small_network()
    used = recorded.recorded(network, noise(1, 16, 16, 3), torch.float32)
    assert used is not network
    weights = weakref.ref(network[1].weight)
    del network, used
    gc.collect()
    assert weights() is None
