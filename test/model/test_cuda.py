"""The engine for NVIDIA GPUs; needs one, and beside pytest what lkpan_model needs alone: `pytest --noconftest -m cuda`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lkpan_model.checkpoint import load, resolve_weights
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from test.model.conftest import calibrated
from test.model.pictures import pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_model.network import LKPAN

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def network_of(name: str) -> LKPAN:
    return load(resolve_weights("lite")).network() if name == "shipped" else calibrated(variant(name))


def plain(network: LKPAN, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32, eager, on the processor, as published."""
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        described: NDArray[np.float32] = network((pixels / 255 - mean) / std).numpy()
        return described


def cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float((first * second).sum(axis=1).min())


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return Encoder("lite", device="cuda", batch_size=4)


@pytest.mark.parametrize("name", ["shipped", "lite", "tiny", "base"])
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_agrees_with_the_plain_network(name: str, precision: str) -> None:
    network = network_of(name)
    images = pictures(6, network.config.image_size)
    encoder = Encoder.from_network(network, network.config, device="cuda", precision=precision)
    expected = plain(network, images)
    together = encoder.encode(images)
    alone = np.concatenate([encoder.encode(image[None]) for image in images])
    assert cosine(together, expected) >= 0.9999
    assert cosine(alone, expected) >= 0.9999
    assert cosine(expected, np.roll(expected, 1, axis=0)) < 0.9999  # the images do differ


@pytest.mark.parametrize("name", ["shipped", "lite"])
def test_fp16_is_close(name: str) -> None:
    network = network_of(name)
    images = pictures(6, network.config.image_size)
    encoder = Encoder.from_network(network, network.config, device="cuda", precision="fp16")
    least = 0.9999 if name == "shipped" else 0.999
    assert cosine(encoder.encode(images), plain(network, images)) >= least


def test_auto_is_fp32_for_lite(shipped: Encoder) -> None:
    assert (shipped.device, shipped.precision) == ("cuda", "fp32")


def test_every_number_of_images_is_taken(shipped: Encoder) -> None:
    images = pictures(9, shipped.image_size)
    every = shipped.encode(images)  # 4, 4 and 1
    assert cosine(shipped.encode(images[:3]), every[:3]) >= 0.99999


def test_descriptors_are_the_callers_own(shipped: Encoder) -> None:
    first, second = pictures(2, shipped.image_size)
    kept = shipped.encode(first[None])
    copy = kept.copy()
    shipped.encode(second[None])
    np.testing.assert_array_equal(kept, copy)


def test_the_same_image_gives_the_same_descriptor(shipped: Encoder) -> None:
    image = pictures(1, shipped.image_size)
    np.testing.assert_array_equal(shipped.encode(image), shipped.encode(image))


def test_another_thread_may_encode(shipped: Encoder) -> None:
    image = pictures(1, shipped.image_size)
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(shipped.encode, image).result()
    np.testing.assert_array_equal(there, shipped.encode(image))


def test_an_explicit_device_is_used() -> None:
    assert Encoder("lite", device="cuda:0").device == "cuda:0"
