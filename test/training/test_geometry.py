from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from test.training.make import scene
from training import augmentations, geometry
from training.config import CameraConfig, SourceConfig
from training.geometry import Randomness, camera_view, flips, offset_window, reflected, warp
from training.offsets import VARIANTS, cut

EAST = CameraConfig(heading_deg=90, tilt_deg=45, fov_deg=40, reach=0.7)
IDENTITY = torch.eye(3)[None]


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras without errors, views without jitter."""
    for module, name in (
        (geometry, "HEADING_ERROR"), (geometry, "TILT_ERROR"), (geometry, "REACH_ERROR"),
        (augmentations, "SHIFT"), (augmentations, "SCALE"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0.0)


def _random(batch: int, seed: int = 0) -> Randomness:
    return Randomness(torch.Generator().manual_seed(seed), batch)


def _to(homography: Tensor, x: float, y: float) -> tuple[float, float]:
    u, v, w = (homography[0] @ torch.tensor([x, y, 1.0])).tolist()
    return u / w, v / w


def test_offset_windows_are_those_of_the_table_and_all_come_up() -> None:
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(400, 1, 1, 1)
    windows = warp(pixels, offset_window(_random(400)), 96)[:, :3].round().to(torch.uint8)
    expected = {cut(image, variant).tobytes(): variant for variant in VARIANTS}
    seen = {expected[window.permute(1, 2, 0).contiguous().numpy().tobytes()] for window in windows}
    assert len(seen) == len(VARIANTS)


@pytest.mark.usefixtures("_exact")
@settings(max_examples=30, deadline=None)
@given(
    heading=st.floats(0, 360), tilt=st.floats(0, 60), fov=st.floats(20, 60), reach=st.floats(0.3, 2),
)  # fmt: skip
def test_a_camera_sees_what_it_is_aimed_at(heading: float, tilt: float, fov: float, reach: float) -> None:
    view = camera_view(CameraConfig(heading, tilt, fov, reach), _random(1))
    assert _to(view, 0, 0) == pytest.approx((0, 0), abs=1e-5)
    east, north = math.sin(math.radians(heading)), math.cos(math.radians(heading))
    right = _to(view, 1, 0)  # the right edge at middle height, level with the aim
    assert right == pytest.approx((north / reach, east / reach), abs=1e-4)
    x, y = _to(view, 0, -0.5)  # above the middle: further ahead
    ahead = x * east - y * north
    assert ahead > 0
    assert (x, y) == pytest.approx((ahead * east, -ahead * north), abs=1e-4)
    below = _to(view, 0, 0.5)
    assert math.hypot(*below) <= ahead + 1e-6  # the far half of the picture shows more ground


@pytest.mark.parametrize(("heading", "kept"), [(0, (0.0, 1.0)), (90, (1.0, 0.0)), (45, (1.0, -1.0))])
def test_a_mirrored_picture_keeps_the_direction_it_was_taken_in(
    heading: float, kept: tuple[float, float]
) -> None:
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None]
    ground = reflected(mirror, heading)
    assert _to(ground, *kept) == pytest.approx(kept, abs=1e-6)
    across = (kept[1], -kept[0])
    assert _to(ground, *across) == pytest.approx((-across[0], -across[1]), abs=1e-6)


@pytest.mark.usefixtures("_exact")
def test_rectified_pictures_lie_on_the_satellite_view_mirrored_or_not() -> None:
    ground = functional.avg_pool2d(torch.from_numpy(scene(5, 256)).permute(2, 0, 1)[None].float(), 9, 1, 4)
    ground = ground.repeat(8, 1, 1, 1).to(torch.uint8)
    whole = geometry.similarity(
        torch.zeros(8), torch.full((8,), 0.25)
    )  # the satellite view is a quarter of it
    satellite = warp(ground, whole, 96)[:, :3].round().to(torch.uint8)
    drone = warp(ground, whole @ camera_view(EAST, _random(8)), 128)[:, :3].round().to(torch.uint8)
    source = SourceConfig(
        "pairs", "x", camera=EAST, rectified=1.0, heading_deg=0, turned=0, strength=0
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    mirrored = flips(Randomness(torch.Generator().manual_seed(1), 8))[:, 0, 0]
    assert set(mirrored.tolist()) == {-1.0, 1.0}
    one, two = augmentations.augment_pair(drone, satellite, source, 64, generator, same_canvas=False)
    for a, b in zip(one, two, strict=True):
        inner = [
            view[:, 16:48, 16:48].flatten() for view in (a, b)
        ]  # the satellite view is up to 12 % closer
        assert torch.corrcoef(torch.stack(inner))[0, 1] > 0.7


@pytest.mark.parametrize("kind", ["pairs", "overhead"])
def test_offset_and_perspective_change_the_drone_view(kind: str) -> None:
    source = SourceConfig(kind, "x", camera=EAST)
    canvas = torch.from_numpy(np.stack([scene(i, 96) for i in range(4)])).permute(0, 3, 1, 2)
    same = kind == "overhead"

    def drone_view(offset: float, perspective: float) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        drone, _ = augmentations.augment_pair(
            canvas, canvas, source, 32, generator, same_canvas=same, offset=offset, perspective=perspective
        )
        return drone

    plain = drone_view(0.0, 0.0)
    assert not torch.equal(plain, drone_view(1.0, 0.0))
    assert not torch.equal(plain, drone_view(0.0, 1.0))
