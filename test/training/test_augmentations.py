from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from test.training.make import scene
from training.augmentations import augment_pair
from training.config import SourceConfig
from training.geometry import Randomness, similarity, tilt, warp
from training.sensor import compress

PAIRS = SourceConfig("pairs", "x", quarter_turns=True)
OVERHEAD = SourceConfig("overhead", "x")


def _canvases(count: int = 6, side: int = 48) -> torch.Tensor:
    return torch.from_numpy(np.stack([scene(i, side) for i in range(count)])).permute(0, 3, 1, 2)


def _augment(
    source: SourceConfig, seed: int, count: int = 6, *, north_up: bool = False
) -> list[torch.Tensor]:
    canvases = _canvases(count)
    same = source.kind == "overhead"
    return list(
        augment_pair(
            canvases, canvases, source, 32, torch.Generator().manual_seed(seed),
            same_canvas=same, north_up=north_up,
        )
    )  # fmt: skip


@pytest.mark.parametrize("source", [PAIRS, OVERHEAD], ids=["pairs", "overhead"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_views_stay_images(source: SourceConfig, seed: int) -> None:
    for view in _augment(source, seed):
        assert view.shape == (6, 3, 32, 32)
        assert view.dtype == torch.float32
        assert torch.isfinite(view).all()
        assert view.min() >= 0
        assert view.max() <= 255


@pytest.mark.parametrize("source", [PAIRS, OVERHEAD], ids=["pairs", "overhead"])
def test_a_seed_gives_the_same_views_and_another_seed_others(source: SourceConfig) -> None:
    one, two, other = (_augment(source, seed) for seed in (3, 3, 4))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_row_i_of_both_views_shows_the_same_canvas() -> None:
    drone, satellite = (view.flatten(1) for view in _augment(OVERHEAD, 0, count=12, north_up=True))
    drone, satellite = (v - v.mean(1, keepdim=True) for v in (drone, satellite))
    alike = torch.nn.functional.normalize(drone) @ torch.nn.functional.normalize(satellite).T
    assert alike.diagonal().mean() > alike.mean() + 0.15


def test_warp_by_the_identity_changes_nothing() -> None:
    images = _canvases()
    warped = warp(images, torch.eye(3).repeat(6, 1, 1), 48)
    assert torch.allclose(warped[:, :3], images.float(), atol=1e-2)
    assert (warped[:, 3] == 1).all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_exact(quarters: int) -> None:
    images = _canvases()
    angle = torch.full((6,), quarters * math.pi / 2)
    warped = warp(images, similarity(angle, torch.ones(6)), 48)
    assert torch.allclose(warped[:, :3], torch.rot90(images.float(), quarters, (2, 3)), atol=0.05)


def test_what_lies_outside_is_marked_as_not_seen() -> None:
    shift = torch.tensor([[1.0, 0.0]] * 6)  # half a side to the right
    seen = warp(_canvases(), similarity(torch.zeros(6), torch.ones(6), shift), 48)[:, 3]
    assert (seen[:, :, :24] == 1).all()
    assert (seen[:, :, 24:] == 0).all()


def test_a_tilt_and_its_inverse_give_the_ground_back() -> None:
    random = Randomness(torch.Generator().manual_seed(0), 6)
    camera_tilt = tilt(torch.full((6,), 0.2), random)
    images = torch.nn.functional.avg_pool2d(
        _canvases().float(), 7, 1, 3
    )  # smooth, so that resampling loses little
    camera = warp(images, camera_tilt, 96)
    back = warp(camera[:, :3], torch.linalg.inv(camera_tilt), 48, mask=camera[:, 3:])
    error = ((back[:, :3] - images).abs() * back[:, 3:]).sum() / (3 * back[:, 3:].sum())
    assert back[:, 3].mean() > 0.5
    assert error < 4


def test_quarter_turns_can_be_switched_off() -> None:
    still = SourceConfig("pairs", "x", quarter_turns=False)
    images = torch.zeros(40, 3, 48, 48, dtype=torch.uint8)
    images[:, :, :16] = 255  # a bright top
    tops = []
    for source in (still, PAIRS):
        generator = torch.Generator().manual_seed(0)
        _, satellite = augment_pair(images, images, source, 32, generator, same_canvas=False)
        tops.append(
            (satellite[:, :, :8].mean((1, 2, 3)) > satellite[:, :, 24:].mean((1, 2, 3))).float().mean()
        )
    assert tops[0] > 0.95
    assert tops[1] < 0.8


def test_compression_touches_only_the_chosen() -> None:
    random = Randomness(torch.Generator().manual_seed(0), 2)
    images = torch.rand(2, 3, 32, 32, generator=random.generator) * 255
    output = compress(images, torch.tensor([True, False]), random)
    assert not torch.equal(output[0], images[0])
    assert torch.equal(output[1], images[1])
