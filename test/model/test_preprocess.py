"""Images of any size to the network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_model import preprocess
from lkpan_model.errors import InputError


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_any_size_keeps_a_plain_colour(height: int, width: int, colour: tuple[int, int, int]) -> None:
    image = np.full((height, width, 3), colour, np.uint8)
    batch = preprocess.to_batch([image], 64)
    assert batch.shape == (1, 3, 64, 64)
    assert batch.dtype == torch.uint8
    assert (batch == torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)).all()


def test_image_of_the_right_size_is_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(preprocess.to_batch([image], 64)[0].permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize("shape", [(640, 640), (640, 32), (32, 640), (200, 200)])
def test_shrinking_averages_instead_of_aliasing(shape: tuple[int, int]) -> None:
    """A fine chequered pattern turns grey; sampling single pixels would give black and white or moire."""
    rows, columns = np.indices(shape)
    image = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    batch = preprocess.to_batch([image], 64).float()
    assert abs(batch.mean() - 127.5) < 3
    assert batch.std() < 35


def test_enlarging_interpolates() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 255
    row = preprocess.to_batch([image], 64)[0, 0, 32].int()
    assert (row.diff() >= 0).all()
    assert len(set(row.tolist())) > 16


def test_views_with_negative_strides_are_read_right() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    flipped = image[::-1, :, ::-1]
    assert torch.equal(preprocess.to_batch([flipped], 64), preprocess.to_batch([flipped.copy()], 64))


def test_normalise_takes_off_imagenets_mean_and_std() -> None:
    pixels = torch.tensor([255, 0, 128], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, (128 / 255 - 0.406) / 0.225])
    torch.testing.assert_close(preprocess.normalise(pixels).flatten(), expected)
    torch.testing.assert_close(preprocess.normalise(pixels.float()).flatten(), expected)


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8), np.uint8), r"\(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        ([[1, 2], [3, 4]], "list"),
        (None, "NoneType"),
    ],
)
def test_bad_image_is_named(image: Any, named: str) -> None:
    good = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=f"image 1 .*{named}"):
        preprocess.to_batch([good, image], 64)


def test_single_image_in_place_of_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match=r"B x H x W x 3, got shape \(8, 8, 3\)"):
        preprocess.to_batch(np.zeros((8, 8, 3), np.uint8), 64)
