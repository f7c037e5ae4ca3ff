from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_model.errors import InputError
from test.training.make import scene
from training import paper_augmentations
from training.offsets import VARIANTS, cut
from training.paper_augmentations import (
    Draws,
    augment_pair,
    blur,
    drop_grid,
    drop_holes,
    jitter,
    sharpen,
    tilt,
)

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture
def _geometry_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No change of pixel values, so that geometry can be told from the pixels."""
    for name in ("JPEG", "JITTER", "SHARPNESS", "DROPOUT"):
        monkeypatch.setattr(paper_augmentations, name, 0.0)


def views(count: int, side: int = 64, seed: int = 0) -> Tensor:
    """uint8 B x 3 x S x S."""
    images = np.stack([scene(seed + index, side) for index in range(count)])
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def run(drone: Tensor, satellite: Tensor, size: int, seed: int = 0, **options: Any) -> tuple[Tensor, Tensor]:
    return augment_pair(drone, satellite, size, torch.Generator().manual_seed(seed), **options)


@settings(max_examples=25, deadline=None)
@given(
    side=st.integers(16, 96),
    size=st.sampled_from([24, 48, 64]),
    seed=st.integers(0, 2**62),
    offset=st.floats(0, 1),
    perspective=st.floats(0, 1),
    quarter_turns=st.booleans(),
)
def test_shape_range_repeatability_and_the_global_generator(
    *, side: int, size: int, seed: int, offset: float, perspective: float, quarter_turns: bool
) -> None:
    drone, satellite = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (2, 3, 3, side, side), np.uint8)
    )
    before, kept = torch.get_rng_state(), (drone.clone(), satellite.clone())
    options = {"offset": offset, "perspective": perspective, "quarter_turns": quarter_turns}
    first = run(drone, satellite, size, seed, **options)
    second = run(drone, satellite, size, seed, **options)
    for view, again, given_view, before_view in zip(first, second, (drone, satellite), kept, strict=True):
        assert view.dtype == torch.float32
        assert view.shape == (3, 3, size, size)
        assert view.min() >= 0
        assert view.max() <= 255
        assert torch.equal(view, again)
        assert torch.equal(given_view, before_view)
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_draw_for_themselves() -> None:
    same = views(1).expand(6, -1, -1, -1)
    drone, satellite = run(same, same, 64)
    for view in (drone, satellite):
        assert len({image.numpy().tobytes() for image in view}) > 3
    assert any(not torch.equal(a, b) for a, b in zip(drone, satellite, strict=True))


@pytest.mark.usefixtures("_geometry_only")
def test_both_views_are_mirrored_together_half_the_time() -> None:
    drone, satellite = views(400, 8), views(400, 8, seed=1000)
    outputs = run(drone, satellite, 8, quarter_turns=False)
    mirrored = [
        [torch.equal(new, old.flip(-1).float()) for new, old in zip(output, view, strict=True)]
        for output, view in zip(outputs, (drone, satellite), strict=True)
    ]
    assert mirrored[0] == mirrored[1]
    assert 160 < sum(mirrored[0]) < 240
    unchanged = [torch.equal(new, old.float()) for new, old in zip(outputs[0], drone, strict=True)]
    assert sum(unchanged) == 400 - sum(mirrored[0])


@pytest.mark.usefixtures("_geometry_only")
def test_only_the_satellite_view_is_turned_by_all_quarters_alike() -> None:
    image = views(400, 8)
    drone, satellite = run(image, image, 8)
    counts = np.zeros(4, int)
    for above, beside in zip(satellite, drone, strict=True):
        turned = [torch.equal(above, beside.rot90(quarters, (1, 2))) for quarters in range(4)]
        assert sum(turned) == 1
        counts += turned
    assert counts.min() > 70


@pytest.mark.usefixtures("_geometry_only")
def test_offset_shows_the_windows_of_the_table() -> None:
    drone = views(150, 128)
    outputs = run(drone, views(150, 8), 96, offset=0.5, quarter_turns=False)[0].byte()
    found = []
    for output, image in zip(outputs, drone, strict=True):
        for whole in (image, image.flip(-1)):
            pixels = whole.permute(1, 2, 0).numpy()
            found += [
                v.name for v in VARIANTS if np.array_equal(output.permute(1, 2, 0).numpy(), cut(pixels, v))
            ]
    assert 50 < len(found) < 100
    assert len(set(found)) > 25
    plain = run(drone[:20], views(20, 8), 128, quarter_turns=False)[0]
    assert all(
        torch.equal(new, old.float()) or torch.equal(new, old.flip(-1).float())
        for new, old in zip(plain, drone, strict=False)
    )


def test_documented_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {}

    def count(name: str) -> None:
        whole = getattr(paper_augmentations, name)

        def counted(*arguments: Any) -> Tensor:
            calls[name] = calls.get(name, 0) + 1
            result: Tensor = whole(*arguments)
            return result

        monkeypatch.setattr(paper_augmentations, name, counted)

    for name in ("jitter", "blur", "sharpen", "drop_grid", "drop_holes", "tilt", "shift"):
        count(name)
    run(views(500, 16), views(500, 16), 16, perspective=0.2, offset=0.3)
    share = {name: number / 1000 for name, number in calls.items()}
    assert share["jitter"] == pytest.approx(0.5, abs=0.06)
    assert share["blur"] == pytest.approx(0.15, abs=0.05)
    assert share["sharpen"] == pytest.approx(0.15, abs=0.05)
    assert share["drop_grid"] == pytest.approx(0.15, abs=0.05)
    assert share["drop_holes"] == pytest.approx(0.15, abs=0.05)
    assert share["tilt"] == pytest.approx(0.1, abs=0.04)  # drone views only
    assert share["shift"] == pytest.approx(0.15, abs=0.04)


def test_jpeg_of_high_quality_for_half_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JITTER", "SHARPNESS", "DROPOUT"):
        monkeypatch.setattr(paper_augmentations, name, 0.0)
    drone = torch.nn.functional.interpolate(views(200, 8).float(), 32, mode="bilinear").to(torch.uint8)
    output = run(drone, drone, 32, quarter_turns=False)[0]
    error = torch.stack([
        torch.minimum((new - old).abs().mean(), (new - old.flip(-1)).abs().mean())
        for new, old in zip(output, drone.float(), strict=True)
    ])  # fmt: skip
    assert 75 < (error > 0).sum() < 125
    assert error.max() < 12


def test_blur_smooths_and_sharpen_steepens() -> None:
    image = torch.nn.functional.interpolate(views(1, 16).float(), 48, mode="bilinear")[0].to(torch.uint8)

    def roughness(view: Tensor) -> float:
        return view.float().diff(dim=-1).abs().mean().item()

    for seed in range(10):
        assert roughness(blur(image, draws(seed))) <= roughness(image)
        assert roughness(sharpen(image, draws(seed))) > roughness(image)


def test_jitter_stays_within_its_strength() -> None:
    grey = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    values = [jitter(grey, draws(seed)).float() for seed in range(60)]  # of grey only the brightness changes
    levels = torch.stack([value.mean() for value in values])
    assert 82 <= levels.min() < 90  # 85 but for rounding
    assert 110 < levels.max() <= 118
    assert all(value.std() < 1.1 for value in values)


def test_dropout_blackens_the_documented_part() -> None:
    white = torch.full((3, 100, 100), 255, dtype=torch.uint8)
    grids = [drop_grid(white, draws(seed)) for seed in range(20)]
    for grid in grids:
        assert grid.dtype == torch.uint8
        assert (grid == 0).float().mean() == pytest.approx(0.16, abs=0.02)
    assert len({grid.numpy().tobytes() for grid in grids}) > 10
    covered = [(drop_holes(white, draws(seed)) == 0).float().mean().item() for seed in range(50)]
    assert min(covered) > 0.05
    assert max(covered) < 0.5
    assert (white == 255).all()


def test_perspective_stays_inside_the_image() -> None:
    image = views(1, 64)[0].clamp(min=50)
    for seed in range(20):
        view = tilt(image, draws(seed))
        assert view.min() >= 45  # nothing black from outside
        assert not torch.equal(view, image)


@pytest.mark.parametrize(
    ("drone", "satellite"),
    [
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 3, 8, 8, dtype=torch.uint8)),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)),
    ],
)
def test_wrong_images_are_an_error(drone: Tensor, satellite: Tensor) -> None:
    with pytest.raises(InputError, match="uint8 B x 3 x P x P"):
        run(drone, satellite, 8)
