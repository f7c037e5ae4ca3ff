"""The command lines that write simulated flights and pairs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.geodesy import LocalFrame, distance_m
from lkpan_ros.localization.image_file import read_image
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.view import Pose
from lkpan_ros.tools import simulate_flight, simulate_pairs

SMALL = ("--seed", "1", "--size-m", "160", "--seconds", "2", "--rate-hz", "2", "--height-m", "50", "--width", "160",
         "--height", "120", "--tilt-deg", "15")  # fmt: skip
ARIEL = Path(__file__).parents[3] / "shared" / "data" / "ariel" / "flight_0017" / "flight.csv"


@pytest.fixture(scope="module")
def flight_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out") / "flight"
    assert simulate_flight.main(["--output", str(output), *SMALL]) == 0
    return output


def test_a_simulated_flight_is_written_as_a_recorded_one(flight_dir: Path) -> None:
    assert {p.name for p in flight_dir.iterdir()} == {"flight.csv", "frames", "camera.json", "map.tif"}
    with (flight_dir / "flight.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert ",".join(rows[0]) == (
        "file,stamp_s,lat,lon,height_above_takeoff_m,heading_deg,view_lat,view_lon,view_checked"
    )
    records = read_flight(flight_dir)
    assert [r.stamp_s for r in records] == [0.0, 0.5, 1.0, 1.5]
    lens = json.loads((flight_dir / "camera.json").read_text())
    assert (lens["width"], lens["height"], lens["tilt_deg"]) == (160, 120, 15.0)
    area = open_map(flight_dir / "map.tif")
    assert distance_m(area.center, records[0].vehicle) < 120.0  # type: ignore[arg-type]
    for record in records:
        assert read_image(record.file).shape == (120, 160, 3)
        assert None not in (record.vehicle, record.height_m, record.heading_deg, record.view_truth)


def test_what_the_csv_says_places_the_view_as_far_as_wind_and_sensors_allow(flight_dir: Path) -> None:
    lens = json.loads((flight_dir / "camera.json").read_text())
    camera = Intrinsics.from_focal_length(lens["width"], lens["height"], lens["focal_px"])
    for record in read_flight(flight_dir):
        assert record.height_m is not None
        assert record.vehicle is not None
        assert record.view is not None
        attitude = Attitude(lens["tilt_deg"], record.heading_deg)
        east, north = Pose(camera, attitude, record.height_m, placed=True).offset_m()
        local = LocalFrame(record.vehicle)
        assert distance_m(local.point(float(east), float(north)), record.view) < 8.0


@pytest.mark.skipif(not ARIEL.exists(), reason="needs ../shared/data/ariel")
def test_the_columns_are_those_of_a_real_flight(flight_dir: Path) -> None:
    with ARIEL.open() as real, (flight_dir / "flight.csv").open() as simulated:
        assert simulated.readline() == real.readline()


def test_a_flight_over_a_users_map(flight_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "over_map"
    options = ["--map", str(flight_dir / "map.tif"), *SMALL]
    assert simulate_flight.main(["--output", str(output), *options]) == 0
    assert {p.name for p in output.iterdir()} == {"flight.csv", "frames", "camera.json"}
    records, over_world = read_flight(output), read_flight(flight_dir)
    assert len(records) == 4
    # The same way over the same ground, from above and below it: the same colours on average, no buildings.
    one, other = (read_image(r[0].file).astype(float) for r in (records, over_world))
    assert np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 60.0
    assert distance_m(records[0].vehicle, over_world[0].vehicle) < 60.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "missing.tif"), "missing.tif"),
        (("--rate-hz", "0"), "rate_hz = 0"),
        (("--tilt-deg", "95"), "tilt_deg = 95"),
        (("--hfov-deg", "180"), "field of view 180"),
        (("--seed", "-1"), "seed = -1"),
        (("--size-m", "10"), "a world of 10"),
    ],
)
def test_what_cannot_be_flown_is_one_line_and_leaves_nothing(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate_flight.main(["--output", str(tmp_path / "out"), *SMALL, *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert error.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_kept(flight_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (flight_dir / "flight.csv").read_bytes()
    assert simulate_flight.main(["--output", str(flight_dir), *SMALL]) == 2
    assert "exists: give another one" in capsys.readouterr().err
    assert (flight_dir / "flight.csv").read_bytes() == before


def test_pairs_come_in_the_layout_that_training_reads(tmp_path: Path) -> None:
    output = tmp_path / "pairs"
    simulate_pairs.simulate_pairs(output, places=3, seed=1, worlds=1, views=1, tile_px=96, size_m=240.0)
    names = ["00000", "00001", "00002"]
    assert sorted(p.name for p in (output / "satellite").iterdir()) == names
    assert sorted(p.name for p in (output / "drone").iterdir()) == names
    for name in names:
        (tile,) = (output / "satellite" / name).iterdir()
        (view,) = (output / "drone" / name).iterdir()
        assert tile.name == f"{name}.png"
        assert read_image(tile).shape == read_image(view).shape == (96, 96, 3)
        assert (read_image(view).max(axis=2) > 0).mean() > 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["pairs"]


def test_pairs_do_not_replace_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_pairs.main(["--output", str(tmp_path), "--places", "1"]) != 0
    assert "exists" in capsys.readouterr().err
