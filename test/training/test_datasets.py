from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from lkpan_model.errors import ModelError
from test.training.make import scene, write, write_pairs, write_sues, write_university, write_view
from training import datasets, offset1652
from training.config import SourceConfig
from training.datasets import DataError, OverheadSource, PairSource, is_held_out, load_source, read_image
from training.offsets import CENTRE, crop_box, mix_variant, parse_variants

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.offsets import Variant


def _pairs(root: Path, *, held_out: bool = False, **settings: object) -> PairSource:
    config = SourceConfig("pairs", "pairs", **settings)  # type: ignore[arg-type]
    source = load_source(config, root, 32, held_out=held_out)
    assert isinstance(source, PairSource)
    return source


def test_pairs_give_both_views_of_the_place_asked_for(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 5)
    source = _pairs(tmp_path)
    drone, satellite = source.draw(np.array([3, 1]), np.random.default_rng(0))
    assert drone.shape == satellite.shape == (2, 3, 32, 32)
    for row, place in enumerate((3, 1)):
        errors = [
            np.abs(satellite[row].numpy().astype(float) - source_image).mean()
            for source_image in _shrunk(range(5))
        ]
        assert int(np.argmin(errors)) == place
        assert (drone[row].float() - satellite[row].float()).abs().mean() < 15


def _shrunk(seeds: range) -> list[NDArray[np.uint8]]:
    return [
        scene(s, 48).reshape(48, 48, 3)[::3, ::3].repeat(2, 0).repeat(2, 1).transpose(2, 0, 1) for s in seeds
    ]


def test_all_images_of_a_place_come_up(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 1)
    write(tmp_path / "pairs/drone/0000/1.png", scene(77))
    source, rng = _pairs(tmp_path), np.random.default_rng(0)
    seen = {source.draw(np.array([0]), rng)[0].numpy().tobytes() for _ in range(20)}
    assert len(seen) == 2


def test_training_and_holdout_share_no_place(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 10)
    holdout = ("0002-0004", "0009")
    training, held_out = (_pairs(tmp_path, held_out=part, holdout=holdout).ids for part in (False, True))
    assert held_out == ("0002", "0003", "0004", "0009")
    assert set(training) | set(held_out) == {f"{i:04d}" for i in range(10)}
    assert not set(training) & set(held_out)


@pytest.mark.parametrize(
    ("name", "expected"), [("0150", True), ("0100", True), ("0200", False), ("150", False), ("sat-map", True)]
)
def test_holdout_ranges(name: str, expected: bool) -> None:  # noqa: FBT001
    assert is_held_out(name, ("0100-0199", "sat-map")) is expected


def test_missing_view_is_named(tmp_path: Path) -> None:
    (tmp_path / "pairs/drone/0000").mkdir(parents=True)
    with pytest.raises(DataError, match=r"pairs/satellite is missing"):
        _pairs(tmp_path)


def test_id_without_partner_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 3)
    write(tmp_path / "pairs/satellite/0042/0.png", scene(0))
    with pytest.raises(DataError, match=r"satellite/0042 has no partner"):
        _pairs(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a picture", None], ids=["empty", "text", "cut off"])
def test_unreadable_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    write_pairs(tmp_path / "pairs", 2)
    path = tmp_path / "pairs/drone/0001/0.png"
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    with pytest.raises(DataError, match=r"drone/0001/0.png"):
        _pairs(tmp_path)


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 2)
    (tmp_path / "pairs/drone/0001/0.png").unlink()
    with pytest.raises(DataError, match=r"drone/0001 holds no image"):
        _pairs(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_image_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 1)
    (tmp_path / "pairs/drone/0000/0.png").chmod(0)
    with pytest.raises(DataError, match=r"drone/0000/0.png"):
        _pairs(tmp_path)


def test_views_that_do_not_fit_are_decoded_when_drawn_with_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path / "pairs", 6)
    write_view(tmp_path / "pairs/drone", [f"{place:04d}" for place in range(6)], 4)
    places = np.array([5, 0, 3])
    view_bytes = 6 * 32 * 32 * 3
    sources = []
    for budget in (100 * view_bytes, view_bytes, view_bytes - 1):
        monkeypatch.setattr(datasets, "MEMORY_BYTES", budget)
        sources.append(_pairs(tmp_path, through="Offset-MIX"))
    assert [[view for view in ("drone", "satellite") if s.views[view].kept is not None] for s in sources] == [
        ["drone", "satellite"], ["satellite"], [],
    ]  # fmt: skip
    for seed in range(5):
        drawn = [source.draw(places, np.random.default_rng(seed)) for source in sources]
        for view in (0, 1):
            assert all(torch.equal(drawn[0][view], other[view]) for other in drawn[1:])
    for name in ("drone", "satellite"):
        assert all(torch.equal(sources[0].first_images(name), s.first_images(name)) for s in sources[1:])


def test_an_image_damaged_after_loading_is_named_when_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "MEMORY_BYTES", 0)
    write_pairs(tmp_path / "pairs", 2)
    source = _pairs(tmp_path)
    (tmp_path / "pairs/drone/0001/0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"drone/0001/0.png"):
        source.draw(np.array([0, 1]), np.random.default_rng(0))


@pytest.mark.parametrize("text", ["Offset-LU-4", "Centre", "Offset-MIX"])
def test_the_drone_view_alone_is_read_through_a_variant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    for place in range(3):
        write(tmp_path / f"pairs/drone/{place:04d}/a.png", _noise(place, 128))
        write(tmp_path / f"pairs/satellite/{place:04d}/a.png", _noise(9 + place, 128))
    source = load_source(SourceConfig("pairs", "pairs", through=text), tmp_path, 96)  # the window of 128 px
    assert isinstance(source, PairSource)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "128 px are not the 512 px" in said
    for place in range(3):
        variant = mix_variant(0, f"{place:04d}/a.png") if text == "Offset-MIX" else _named(text)
        box = crop_box(variant, 128)
        window = _noise(place, 128)[box.top : box.top + 96, box.left : box.left + 96]
        assert np.array_equal(source.first_images("drone")[place].permute(1, 2, 0), window)
    whole = load_source(SourceConfig("pairs", "pairs"), tmp_path, 96)
    assert isinstance(whole, PairSource)
    assert torch.equal(source.first_images("satellite"), whole.first_images("satellite"))


def _named(text: str) -> Variant:
    return CENTRE if text == "Centre" else parse_variants(text)[0]


def _noise(seed: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@pytest.mark.parametrize("folder", ["Offset-D-3", "Offset-MIX"])
def test_written_offsets_equal_those_read_on_the_fly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    for place in range(2):
        write(tmp_path / f"pairs/drone/{place:04d}/a.png", _noise(place, 512))
        write(tmp_path / f"pairs/satellite/{place:04d}/a.png", scene(place))
    choice = ["--mix"] if folder == "Offset-MIX" else ["--variants", folder]
    arguments = [str(tmp_path / "pairs/drone"), str(tmp_path / "pairs/offsets"), *choice, "--workers", "1"]
    assert offset1652.main(arguments) == 0
    capsys.readouterr()
    written = load_source(SourceConfig("pairs", f"pairs/offsets/{folder}"), tmp_path, 384)
    read = load_source(SourceConfig("pairs", "pairs", through=folder), tmp_path, 384)
    assert capsys.readouterr().out == ""  # nothing is scaled
    for seed in range(3):
        one, other = (s.draw(np.array([0, 1]), np.random.default_rng(seed)) for s in (written, read))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_bad_variants_and_shapes_are_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", 1)
    with pytest.raises(ModelError, match=r"unknown variant 'Offset-X-1'"):
        _pairs(tmp_path, through="Offset-X-1")
    with pytest.raises(ModelError, match=r"'all' names 40 variants: give one, or Offset-MIX"):
        _pairs(tmp_path, through="all")
    write(tmp_path / "pairs/drone/0000/0.png", scene(0)[:40])
    with pytest.raises(DataError, match=r"drone/0000/0.png: .*must be square"):
        _pairs(tmp_path, through="Offset-L-1")
    with pytest.raises(ModelError, match=r"maps/\*.png: through 'Offset-L-1' needs a source of pairs"):
        SourceConfig("overhead", "maps/*.png", through="Offset-L-1")


def test_university_and_sues_are_sources(tmp_path: Path) -> None:
    write_university(tmp_path / "university")
    write_sues(tmp_path / "sues")
    university = load_source(SourceConfig("pairs", "university"), tmp_path, 16)
    sues = load_source(SourceConfig("pairs", "sues/Training/250", holdout=("0002",)), tmp_path, 16)
    assert isinstance(university, PairSource)
    assert isinstance(sues, PairSource)
    assert university.ids == ("0839", "0842")
    assert sues.ids == ("0001",)
    assert university.draw(np.array([1, 0]), np.random.default_rng(0))[0].shape == (2, 3, 16, 16)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_an_image_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"image{suffix}"
    write(path, _noise(0, 64))
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"image{suffix} cannot be decoded as an image"):
        read_image(path)


def test_images_of_other_kinds_become_rgb(tmp_path: Path) -> None:
    grey = scene(0)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=2))
    Image.fromarray(np.dstack([scene(1), grey])).save(tmp_path / "alpha.png")
    assert np.array_equal(read_image(tmp_path / "alpha.png"), scene(1))


def test_the_thumbnails_are_a_source(shared_data: Path) -> None:
    config = SourceConfig("pairs", "university1652_thumbs", holdout=("0110-0169", "0330-0369"))
    source = load_source(config, shared_data, 128, held_out=True)
    assert isinstance(source, PairSource)
    assert (source.places, source.ids[0], source.ids[-1]) == (99, "0110", "0369")
    first = read_image(shared_data / "university1652_thumbs/drone/0110/0110.png")
    assert np.array_equal(source.first_images("drone")[0].permute(1, 2, 0), first)


def _overhead(root: Path, **settings: object) -> OverheadSource:
    source = load_source(SourceConfig("overhead", "maps/*.png", **settings), root, 32)  # type: ignore[arg-type]
    assert isinstance(source, OverheadSource)
    return source


def test_overhead_places_lie_apart_and_inside(tmp_path: Path) -> None:
    side = 480
    y, x = np.mgrid[:side, :side]
    ramp = np.stack([x / 2, y / 2, np.zeros((side, side))], axis=2).astype(np.uint8)  # colour tells the place
    write(tmp_path / "maps/a.png", ramp)
    source = _overhead(tmp_path, gsd_m=1.0, footprint_m=(40.0, 80.0))
    assert source.places == 25
    canvases, same = source.draw(np.arange(25), np.random.default_rng(0))
    assert canvases is same
    centres = canvases[:, :2, 20:30, 20:30].float().mean((2, 3)).numpy() * 2  # pixels
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e3 * np.eye(25)
    assert apart.min() > 40


def test_crops_stay_inside_at_the_edge(tmp_path: Path) -> None:
    write(tmp_path / "maps/a.png", scene(0, 200))
    source = _overhead(tmp_path, gsd_m=1.0, footprint_m=(32.0, 60.0))
    assert source.crop(0, -50, 1e4, 64).shape == (64, 64, 3)
    assert source.crop(0, 100, 100, 1e4).shape == (200, 200, 3)


def test_map_smaller_than_a_view_is_named(tmp_path: Path) -> None:
    write(tmp_path / "maps/tiny.png", scene(0))
    with pytest.raises(DataError, match=r"tiny.png is too small for a footprint of 60"):
        _overhead(tmp_path, gsd_m=1.0)


def test_no_map_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"maps/\*.png"):
        _overhead(tmp_path)
