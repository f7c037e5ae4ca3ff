from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from test.training.make import scene, write, write_pairs
from training.config import SourceConfig
from training.datasets import DataError, OverheadSource, PairSource, is_held_out, load_source

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


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
