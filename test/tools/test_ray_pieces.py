"""A gallery built by a Ray cluster is the one that this machine builds alone."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from rasterio.transform import from_origin

from lkpan_model.encoder import Encoder
from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_pieces import KeptPieces, encoder_words
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.localization.map_units import units
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from lkpan_ros.tools.build_gallery import main
from lkpan_ros.tools.ray_pieces import Work, describe_unit
from test.localization import maps


@pytest.fixture(scope="module")
def map_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three units, 5 x 9 tiles."""
    path = tmp_path_factory.mktemp("ray") / "map.tif"
    noise = np.random.default_rng(0).integers(0, 255, (65, 45, 3), np.uint8)
    place = from_origin(-120.0, 170.0, 0.25, 0.25)
    picture = np.asarray(cv2.resize(noise, (960, 1360), interpolation=cv2.INTER_CUBIC))
    maps.write_geotiff(path, picture, place, LocalFrame(LatLon(47.0, 8.0)).crs)
    return path


def arguments(map_file: Path, output: Path, *more: str) -> list[str]:
    return [
        "--map", str(map_file), "--tile-size-m", "90", "--stride-m", "30", "--device", "cpu", "--batch-size", "8",
        "--output", str(output), *more,
    ]  # fmt: skip


def work_of(map_file: Path, encoder: Encoder) -> Work:
    grid = plan(open_map(map_file), 90.0, 30.0)
    return Work(str(map_file), None, grid, "lite", encoder_words(encoder.identity), "cpu", "auto", 8)


class TestTask:
    """What a machine of the cluster does, without one."""

    def test_what_is_known_is_not_described_again(self, map_file: Path, tmp_path: Path) -> None:
        encoder = Encoder("lite", threads=1)
        work = work_of(map_file, encoder)
        unit = units(work.grid)[0]
        key, piece, tiles = describe_unit(work, unit, frozenset())
        assert piece is not None
        assert len(piece.descriptors) == tiles > 0
        kept = KeptPieces(tmp_path / "kept", encoder.identity)
        kept.keep(key, piece)
        assert kept.keys() == {key}
        assert describe_unit(work, unit, kept.keys()) == (key, None, tiles)

    def test_other_weights_are_refused(self, map_file: Path) -> None:
        work = work_of(map_file, Encoder("lite", threads=1))
        words = json.loads(work.encoder) | {"weights_hash": "f" * 64}
        other = Work(**{**vars(work), "encoder": json.dumps(words, sort_keys=True)})
        with pytest.raises(GalleryError, match=r"lite: holds other weights on .*copy them there"):
            describe_unit(other, units(work.grid)[0], frozenset())


def test_without_ray_it_is_said_how_to_get_it(
    map_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(arguments(map_file, tmp_path / "a.gallery", "--engine", "ray")) == 2
    assert "pip install -r requirements/extras.txt" in capsys.readouterr().err
    assert main(arguments(map_file, tmp_path / "a.gallery", "--address", "auto")) == 2
    assert "give --engine ray, too" in capsys.readouterr().err


def kill_a_task(stop: threading.Event, killed: list[int]) -> None:
    """The first process that works at a unit, as soon as there is one."""
    while not (killed or stop.wait(0.01)):
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().startswith(b"ray::describe_unit"):
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed.append(int(folder.name))
                    break


@pytest.mark.slow
def test_tile_for_tile_the_same_gallery_though_a_worker_dies(
    map_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a cluster of this machine alone, of a worker a core."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    alone, spread = tmp_path / "alone.gallery", tmp_path / "spread.gallery"
    Encoder("lite", threads=1)  # as many threads as a task has
    assert main(arguments(map_file, alone)) == 0
    stop, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=kill_a_task, args=(stop, killed))
    killer.start()
    assert main(arguments(map_file, spread, "--engine", "ray")) == 0
    stop.set()
    killer.join()
    assert killed
    assert "45/45" in capsys.readouterr().err
    one, other = Gallery.load(alone), Gallery.load(spread)
    assert len(one) == 45
    assert (one.descriptors(np.arange(45)) == other.descriptors(np.arange(45))).all()
    assert one.content_hash == other.content_hash
    assert {file.name for file in tmp_path.iterdir()} == {"alone.gallery", "spread.gallery"}
