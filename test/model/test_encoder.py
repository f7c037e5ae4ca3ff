"""Images to descriptors: sizes, batches, precision, devices, identity."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.config import EncoderConfig, variant
from lkpan_model.encoder import Encoder
from lkpan_model.errors import CheckpointError, ConfigError, DeviceError, InputError, ModelError
from lkpan_model.identity import EncoderIdentity
from lkpan_model.network import LKPAN
from lkpan_model.preprocess import normalise, to_batch
from test.model.conftest import SMALL_CONVNEXT, SMALL_LITE, calibrated
from test.model.pictures import pictures

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def network() -> LKPAN:
    return calibrated(SMALL_LITE)


@pytest.fixture(scope="module")
def encoder(network: LKPAN) -> Encoder:
    return Encoder.from_network(network, SMALL_LITE, device="cpu", precision="fp32", batch_size=4)


def some_images(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Smooth colour fields of different sizes."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        height, width = (int(n) for n in rng.integers(3, 200, 2))
        rows, columns = np.mgrid[0:height, 0:width]
        waves = [
            np.sin(rows * a + b) * np.cos(columns * c + d) for a, b, c, d in rng.uniform(0.02, 0.5, (3, 4))
        ]
        images.append((127.5 + 127 * np.stack(waves, axis=-1)).astype(np.uint8))
    return images


@pytest.mark.parametrize("side", [32, 96, 160])
@pytest.mark.parametrize("name", ["lite", "tiny"])
@torch.inference_mode()
def test_encoder_is_the_network(name: str, side: int) -> None:
    """What is done for speed (layers merged, cropped, laid out for the processor) does not change a descriptor."""
    config = variant(name, image_size=side)
    network = calibrated(config)
    images = pictures(5, side)
    expected = network(normalise(to_batch(images, side))).numpy()
    described = Encoder.from_network(network, config, device="cpu", precision="fp32").encode(images)
    np.testing.assert_allclose(described, expected, atol=1e-5)


@pytest.mark.parametrize("parts", [{"heads": 0}, {"kernel_size": 0}, {"heads": 0, "kernel_size": 0}])
@torch.inference_mode()
def test_encoder_without_a_part_is_the_network_without_it(parts: dict[str, int]) -> None:
    config = variant("lite", image_size=64, **parts)
    network = calibrated(config)
    images = pictures(5, 64)
    expected = network(normalise(to_batch(images, 64))).numpy()
    described = Encoder.from_network(network, config, device="cpu").encode(images)
    np.testing.assert_allclose(described, expected, atol=1e-5)


def test_arrays_in_any_order_of_memory_describe_as_their_copies(encoder: Encoder) -> None:
    """Backwards, with gaps, not to be written to; batches of four leave one over, which NumPy calls contiguous."""
    images = pictures(9, encoder.image_size)
    fixed = images.copy()
    fixed.flags.writeable = False
    for given in (images[::-1], images[::2], images[:, ::-1], images[..., ::-1], images[:1][::-1], fixed):
        np.testing.assert_array_equal(encoder.encode(given), encoder.encode(given.copy()))


@torch.inference_mode()
def test_shipped_weights_describe_as_the_plain_network() -> None:
    network = checkpoint.load(checkpoint.resolve_weights("lite")).network()
    images = pictures(5, network.config.image_size)
    expected = network(normalise(to_batch(images, network.config.image_size))).numpy()
    described = Encoder("lite", device="cpu").encode(images)
    assert (described * expected).sum(axis=1).min() >= 0.9999


@torch.inference_mode()
def test_bfloat16_leaves_convnext_as_it_is() -> None:
    config = variant("tiny", image_size=96)
    network = calibrated(config)
    images = pictures(5, 96)
    expected = network(normalise(to_batch(images, 96))).numpy()
    described = Encoder.from_network(network, config, device="cpu", precision="bf16").encode(images)
    assert (described * expected).sum(axis=1).min() >= 0.9999


@torch.inference_mode()
def test_a_backbone_whose_layers_run_in_another_order_is_left_alone() -> None:
    """In a residual block of ResNet the activation that is listed after a norm comes after the sum."""
    config = EncoderConfig("other", "resnet18", feature_channels=512, image_size=64)
    network = calibrated(config)
    images = pictures(3, 64)
    expected = network(normalise(to_batch(images, 64))).numpy()
    described = Encoder.from_network(network, config, device="cpu", precision="fp32").encode(images)
    np.testing.assert_allclose(described, expected, atol=1e-5)


def test_descriptors_are_float32_of_unit_length(encoder: Encoder) -> None:
    descriptors = encoder.encode(some_images(6))
    assert descriptors.shape == (6, encoder.descriptor_dim) == (6, 512)
    assert descriptors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (540, 960, 3)])
def test_any_image_size_is_taken(encoder: Encoder, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.isfinite(encoder.encode([image])).all()


def test_descriptor_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    images = some_images(9)
    together = encoder.encode(images)
    alone = np.concatenate([encoder.encode([image]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    others = together @ together.T - np.eye(len(images))
    assert others.max() < 0.9999  # the images do differ


def test_array_of_images_is_a_sequence_of_them(encoder: Encoder) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), np.uint8)
    np.testing.assert_array_equal(encoder.encode(images), encoder.encode(list(images)))


def test_no_images_give_no_descriptors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 512)


def test_network_in_memory_is_neither_changed_nor_shared(network: LKPAN) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    encoder = Encoder.from_network(network, SMALL_LITE, device="cpu", precision="bf16")
    images = some_images(2)
    first = encoder.encode(images)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    np.testing.assert_array_equal(encoder.encode(images), first)
    network.eval()


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_reduced_precision_agrees(network: LKPAN, encoder: Encoder, precision: str) -> None:
    reduced = Encoder.from_network(network, SMALL_LITE, device="cpu", precision=precision)
    images = some_images(8)
    descriptors = reduced.encode(images)
    assert descriptors.dtype == np.float32
    assert (descriptors * encoder.encode(images)).sum(1).min() >= 0.999
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1.0, atol=1e-5)


def test_auto_on_a_cpu_is_full_precision_for_efficientnet(network: LKPAN) -> None:
    """bfloat16 costs `lite` accuracy and gains it little."""
    assert Encoder.from_network(network, SMALL_LITE, device="cpu").precision == "fp32"


def test_auto_agrees_for_convnext() -> None:
    network = calibrated(SMALL_CONVNEXT)
    images = some_images(8)
    auto, full = (
        Encoder.from_network(network, SMALL_CONVNEXT, device="cpu", precision=name)
        for name in ("auto", "fp32")
    )
    assert auto.precision in ("fp32", "bf16")
    assert (auto.encode(images) * full.encode(images)).sum(1).min() >= 0.999


@pytest.mark.parametrize(
    ("device", "precision", "named"),
    [
        ("cuda:99", "auto", "'cuda:99' is not available"),
        ("cuda:", "auto", "unknown device 'cuda:'"),
        ("cuda:-1", "auto", "unknown device"),
        ("tpu", "auto", "unknown device 'tpu'"),
        ("cpu:0", "auto", "unknown device"),
        ("", "auto", "unknown device"),
        ("cpu", "fp16", "fp16 needs a CUDA device"),
        ("cpu", "int8", "unknown precision 'int8'"),
    ],
)
def test_unavailable_device_or_precision_is_named(
    network: LKPAN, device: str, precision: str, named: str
) -> None:
    with pytest.raises(DeviceError, match=named):
        Encoder.from_network(network, SMALL_LITE, device=device, precision=precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_gpu_is_an_error_and_not_a_fallback(network: LKPAN) -> None:
    with pytest.raises(DeviceError, match="0 CUDA devices"):
        Encoder.from_network(network, SMALL_LITE, device="cuda")


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), "image.png"],
)
def test_bad_image_is_named(encoder: Encoder, bad: Any) -> None:
    with pytest.raises(InputError, match="image 0"):
        encoder.encode([bad])


def test_index_of_a_bad_image_counts_from_the_first(encoder: Encoder) -> None:
    images = some_images(7)
    images[5] = np.zeros((4, 4, 1), np.uint8)
    with pytest.raises(InputError, match="image 5"):
        encoder.encode(images)


def test_single_image_in_place_of_a_batch_is_refused(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="B x H x W x 3"):
        encoder.encode(some_images(1)[0])


def test_descriptor_that_is_not_finite_is_an_error(network: LKPAN) -> None:
    broken = LKPAN(SMALL_LITE)
    broken.load_state_dict(network.state_dict())
    with torch.no_grad():
        broken.aggregation.get_parameter("heads.0.1.bias").fill_(float("inf"))
    with pytest.raises(ModelError, match="not finite"):
        Encoder.from_network(broken, SMALL_LITE, device="cpu").encode(some_images(1))


def test_weights_file_gives_the_same_descriptors(network: LKPAN, encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path, network, SMALL_LITE, half=False)
    loaded = Encoder(path, device="cpu", precision="fp32")
    assert loaded.identity == encoder.identity
    images = some_images(3)
    np.testing.assert_allclose(loaded.encode(images), encoder.encode(images), atol=1e-6)


def test_identity_survives_json_and_tells_encoders_apart(network: LKPAN, encoder: Encoder) -> None:
    identity = EncoderIdentity.from_dict(json.loads(json.dumps(encoder.identity.to_dict())))
    assert identity == encoder.identity
    assert str(identity).startswith("small-lite 64px 512-d weights ")
    other = LKPAN(SMALL_LITE)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.aggregation.get_parameter("heads.0.0.bias").add_(1e-3)
    assert Encoder.from_network(other, SMALL_LITE, device="cpu").identity != identity


@pytest.mark.parametrize("change", [{"colour": "red"}, {"weights_hash": 3}, {"config": None}])
def test_senseless_identity_is_refused(encoder: Encoder, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        EncoderIdentity.from_dict({**encoder.identity.to_dict(), **change})


def test_network_of_another_config_is_refused(network: LKPAN) -> None:
    with pytest.raises(ConfigError, match="built for"):
        Encoder.from_network(network, SMALL_CONVNEXT)


def test_unknown_weights_are_named() -> None:
    with pytest.raises(CheckpointError, match="no-such-weights"):
        Encoder("no-such-weights")


@pytest.mark.parametrize("field", ["batch_size", "threads"])
def test_senseless_batch_size_or_threads_is_named(network: LKPAN, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be at least 1, got 0"):
        Encoder.from_network(network, SMALL_LITE, **{field: 0})  # type: ignore[arg-type]
