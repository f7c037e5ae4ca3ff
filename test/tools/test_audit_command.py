"""The audit of a gallery from the command line: its files, going on after a stop, wrong options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lkpan_model.encoder import Encoder
from lkpan_ros.localization.gallery_build import build
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from lkpan_ros.simulation.appearance import MAP_APPEARANCE
from lkpan_ros.simulation.geotiff import write_geotiff
from lkpan_ros.simulation.world import make_world
from lkpan_ros.tools import audit_gallery
from lkpan_ros.tools.audit_flights import Passes, PlaceFigures

if TYPE_CHECKING:
    from pathlib import Path

    from lkpan_ros.localization.localizer import Localizer


@pytest.fixture(scope="module")
def gallery_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small world; made with the shipped weights."""
    folder, world = tmp_path_factory.mktemp("audit"), make_world(seed=3, size_m=300.0, gsd_m=0.6)
    write_geotiff(
        folder / "map.tif",
        world.texture(MAP_APPEARANCE),
        world.frame,
        world.west_m,
        world.north_m,
        world.gsd_m,
    )
    source = open_map(folder / "map.tif")
    build(source, Encoder("lite", threads=1), plan(source, 90.0, 30.0)).save(folder / "city.gallery")
    return folder / "city.gallery"


def audit(gallery_file: Path, output: Path, *options: object) -> int:
    words = ["--gallery", gallery_file, "--output", output, "--width", 160, "--height", 120, *options]
    return audit_gallery.main([str(word) for word in words])


@pytest.mark.slow
class TestCommand:
    def test_the_files_of_an_audit(
        self, gallery_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert audit(gallery_file, tmp_path / "out", "--samples", 3, "--pass-seconds", 1) == 0
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {"audit.png", "audit.geojson", "audit.txt", "audit.json"}
        figures = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert figures == json.loads((tmp_path / "out" / "audit.json").read_text())
        assert figures["places"] == 3
        assert figures["frames"] == 9
        assert 0.1 < figures["retention"] < 0.9
        assert figures["textureless_tiles"] == 0
        collection = json.loads((tmp_path / "out" / "audit.geojson").read_text())
        assert collection["summary"] == figures

    def test_a_stopped_run_goes_on(
        self,
        gallery_file: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        flown: list[int] = []
        stop_after = 2
        fly = Passes.fly

        def counted(passes: Passes, tile: int, localizer: Localizer) -> PlaceFigures:
            if len(flown) == stop_after:
                raise KeyboardInterrupt
            flown.append(tile)
            return fly(passes, tile, localizer)

        monkeypatch.setattr(Passes, "fly", counted)
        options = ("--samples", 4, "--pass-seconds", 0.4)
        assert audit(gallery_file, tmp_path, *options) == 130
        assert "goes on" in capsys.readouterr().err
        stop_after = 99
        assert audit(gallery_file, tmp_path, *options) == 0
        assert len(flown) == len(set(flown)) == 4
        assert json.loads((tmp_path / "audit.json").read_text())["places"] == 4

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--samples", -1), "--samples -1"),
            (("--change", "nan"), "--change nan"),
            (("--width", 0), "0x120"),
            (("--pass-seconds", "nan"), "seconds = nan"),
            (("--set", "gate.radius=3"), "gate.radius"),
        ],
    )
    def test_wrong_options_end_in_a_line(
        self, options: tuple[object, ...], words: str, gallery_file: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        assert audit(gallery_file, tmp_path / "out", *options) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith("error:")
        assert words in told
        assert not (tmp_path / "out").exists()
