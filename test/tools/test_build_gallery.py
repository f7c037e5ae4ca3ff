"""build_gallery as a user runs it: what it writes, what it says, and what it leaves when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from rasterio.transform import from_origin

from lkpan_model.checkpoint import save
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.network import LKPAN
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.geodesy import LatLon, LocalFrame
from lkpan_ros.tools.build_gallery import main
from test.localization import maps

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a map of 300 x 260 m and weights that nobody trained."""
    path = tmp_path_factory.mktemp("build")
    noise = np.random.default_rng(0).integers(0, 255, (260, 300, 3), np.uint8)
    crs = LocalFrame(LatLon(47.0, 8.0)).crs
    maps.write_geotiff(path / "map.tif", noise, from_origin(-150.0, 130.0, 1.0, 1.0), crs)
    # Of several units: what is kept of a run that is stopped are whole ones.
    fine = np.asarray(cv2.resize(noise, None, fx=4.0, fy=12.0))
    maps.write_geotiff(path / "fine.tif", fine, from_origin(-150.0, 130.0, 0.25, 0.25), crs)
    maps.write_geotiff(path / "nowhere.tif", noise, from_origin(-150.0, 130.0, 1.0, 1.0), None)
    torch.manual_seed(0)
    config = variant("lite")
    save(path / "weights.safetensors", LKPAN(config), config)
    return path


def arguments(folder: Path, output: Path, /, **changes: str) -> list[str]:
    options = {
        "--map": str(folder / "map.tif"),
        "--tile-size-m": "90",
        "--stride-m": "30",
        "--output": str(output),
        "--weights": str(folder / "weights.safetensors"),
        "--device": "cpu",
        **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
    }
    return [word for option in options.items() for word in option]


def test_it_writes_a_gallery_and_says_what_it_became(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "a.gallery"
    assert main(arguments(folder, output)) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    for words in (
        str(output),
        "48 tiles of 90 m every 30 m",
        "0 left out",
        "1.000 m a pixel",
        "0.30 x 0.26 km",
    ):
        assert words in out
    assert "48/48" in err
    assert "tile/s" in err
    gallery = Gallery.load(output, Encoder(folder / "weights.safetensors").identity)
    assert len(gallery) == 48
    assert (gallery.tile_size_m, gallery.stride_m, gallery.tile_px) == (90.0, 30.0, 90)
    assert [file.name for file in output.parent.iterdir()] == ["a.gallery"]


def test_the_same_command_makes_the_same_gallery_in_place_of_the_old(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.gallery"
    main(arguments(folder, output, stride_m="60"))
    first = Gallery.load(output)
    main(arguments(folder, output))
    assert len(Gallery.load(output)) > len(first)
    main(arguments(folder, output, stride_m="60"))
    assert Gallery.load(output).content_hash == first.content_hash


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"map": "no.tif"}, "no.tif"),
        ({"map": "{folder}/nowhere.tif"}, "--crs"),
        ({"crs": "EPSG:3857"}, "leave --crs out"),
        ({"tile_size_m": "500"}, "smaller than one tile of 500 m"),
        ({"stride_m": "-3"}, "stride_m = -3.0"),
        ({"gsd_m": "0"}, "gsd_m = 0.0"),
        ({"batch_size": "0"}, "--batch-size 0"),
        ({"index": "IVF4096,SQ8"}, "--index IVF4096,SQ8: FAISS makes no such index of 48"),
        ({"index_memory_mb": "0.001"}, "48 tiles do not fit into 0.001 MB"),
        ({"weights": "nobodys"}, "nobodys"),
        ({"weights": "{folder}/map.tif"}, "map.tif"),
        ({"device": "abacus"}, "abacus"),
        ({"output": "{folder}/map.tif"}, "exists and is no gallery"),
        ({"output": "{folder}"}, "exists and is no gallery"),
        ({"output": "{folder}/map.tif/a.gallery"}, "map.tif"),
    ],
)
def test_an_error_is_one_line_and_status_2(
    folder: Path, tmp_path: Path, changes: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    changes = {name: value.format(folder=folder) for name, value in changes.items()}
    assert main(arguments(folder, tmp_path / "a.gallery", **changes)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert words in err
    assert not list(tmp_path.iterdir())
    assert sorted(folder.rglob("*")) == before


def test_an_index_is_made_and_its_recall_is_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkpan_ros.localization.index_build._QUERIES", 40)
    output = tmp_path / "a.gallery"
    assert main(arguments(folder, output, index="PCA32,IVF4,SQ8")) == 0
    index = Gallery.load(output).info.index
    assert index.recall_at_10 is not None
    assert 0.5 < index.recall_at_10 <= 1.0
    assert (
        f"index PCA32,IVF4,SQ8 (recall@10 {index.recall_at_10:.3f} of exact search, 20 held-out views)"
        in (capsys.readouterr().out)
    )


def start(folder: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lkpan_ros.tools.build_gallery"]
    options = arguments(folder, output, map=str(folder / "fine.tif"), stride_m="30", batch_size="2")
    # One thread: several that wait for one another on a busy machine take minutes.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *options], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_gallery_and_goes_on(
    folder: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    output, kept = tmp_path / "a.gallery", tmp_path / "a.gallery.partial"
    process = start(folder, output)
    wait_for(lambda: len(list(kept.glob("*.piece"))) >= 1, process)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert not output.exists()
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "goes on where this one stopped" in err
    done = {file: file.stat().st_mtime_ns for file in kept.glob("*.piece")}
    process = start(folder, output)
    wait_for(lambda: len(list(kept.glob("*.piece"))) > len(done), process)
    assert all(file.stat().st_mtime_ns == made_ns for file, made_ns in done.items()), "encoded again"
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(Gallery.load(output)) == 7 * 23
    assert not kept.exists()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the shared imagery is not here")
def test_real_tiles(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.gallery"
    options = arguments(folder, output, map=str(SHARED_DATA / "ariel" / "tiles"), stride_m="180")
    assert main(options) == 0
    gallery = Gallery.load(output)
    assert len(gallery) == 8 * 9
    assert gallery.gsd_m == pytest.approx(0.506, abs=0.003)
