"""Simulate a flight and write it as a recorded one: flight.csv, frames/, camera.json, and the world's map.tif.

python -m lkpan_ros.tools.simulate_flight --output DIR [--seed N] [--seconds S] [--rate-hz F] [--map PATH]
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from tqdm import tqdm

from lkpan_ros.errors import ConfigError, FlightError
from lkpan_ros.localization.raster import open_map
from lkpan_ros.simulation.appearance import Season
from lkpan_ros.simulation.flight import Flight, FlightSettings
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.scenario import CAMERA_FAULTS, FLIGHT_APPEARANCE, WORLD_SEED, Scenario, camera
from lkpan_ros.tools.cli import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.simulation.flight import SimulatedFrame

COLUMNS = (
    "file", "stamp_s", "lat", "lon", "height_above_takeoff_m", "heading_deg", "view_lat", "view_lon", "view_checked",
)  # fmt: skip
_HELP = {
    "seconds": "duration",
    "rate_hz": "pictures per second",
    "speed_mps": "over ground, m/s",
    "height_m": "above ground on average, metres",
    "tilt_deg": "of the camera from straight down, degrees",
    "wind": "strength of the gusts: 0 none, 1 a breeze",
    "sensor_error": "0: sensors say the truth, 1: those of an ordinary drone",
}
_JPEG_QUALITY = 92


def write_flight(folder: Path, flight: Flight) -> None:
    """Write the pictures, flight.csv and camera.json of a flight into a folder, with a progress bar.

    Raises:
        FlightError: A picture cannot be written.
    """
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    with (folder / "flight.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for index, frame in enumerate(tqdm(flight, unit="frame", desc="flight", file=sys.stderr)):
            name = f"frames/{index:06d}.jpg"
            _write_picture(folder / name, frame)
            table.writerow(flight_row(name, frame))
    (folder / "camera.json").write_text(camera_json(flight), encoding="utf-8")


def camera_json(flight: Flight) -> str:
    """What camera.json says of the camera of a flight."""
    intrinsics = flight.camera.intrinsics
    facts = {
        "width": intrinsics.width_px,
        "height": intrinsics.height_px,
        "focal_px": intrinsics.fx_px,
        "tilt_deg": flight.settings.tilt_deg,
    }
    return json.dumps(facts, indent=2) + "\n"


def flight_row(name: str, frame: SimulatedFrame) -> list[str]:
    """A line of flight.csv: positions are the truth, height and heading are what the sensors say."""
    view = (
        ("", "", "0")
        if frame.view is None
        else (f"{frame.view.lat_deg:.9f}", f"{frame.view.lon_deg:.9f}", "1")
    )
    return [
        name,
        f"{frame.stamp_s:.6f}",
        f"{frame.vehicle.lat_deg:.9f}",
        f"{frame.vehicle.lon_deg:.9f}",
        f"{frame.height_m:.3f}",
        f"{frame.heading_deg:.3f}",
        *view,
    ]


def _write_picture(path: Path, frame: SimulatedFrame) -> None:
    if not cv2.imwrite(str(path), frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise FlightError(f"{path}: cannot be written; is the disk full?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    options = _parser().parse_args(arguments)
    return run(lambda: _simulate(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulate_flight", description=__doc__.split("\n", maxsplit=1)[0])
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder to make")
    add("--seed", type=int, default=WORLD_SEED, help=f"of the world and of the flight (default {WORLD_SEED})")
    for entry in fields(FlightSettings):
        option = "--" + entry.name.replace("_", "-")
        add(
            option, type=float, default=entry.default, help=f"{_HELP[entry.name]} (default {entry.default:g})"
        )
    add("--size-m", type=float, default=Scenario.size_m, help="side of the world (default 1500)")
    add("--season", choices=[s.name.lower() for s in Season], default=FLIGHT_APPEARANCE.season.name.lower(),
        help="of the flight; the map's is summer (default autumn)")  # fmt: skip
    add("--hfov-deg", type=float, default=70.0, help="horizontal field of view (default 70)")
    add("--width", type=int, default=640, help="of the pictures (default 640)")
    add("--height", type=int, default=480, help="of the pictures (default 480)")
    add("--map", type=Path, metavar="PATH", help="fly over this map (GeoTIFF, z/x/y folder, .mbtiles, image with "
        "world file, CSV) in place of a world made from the seed")  # fmt: skip
    add("--crs", help="of a map that does not name its own, e.g. EPSG:3857")
    return parser


def _simulate(options: argparse.Namespace) -> None:
    """Into a folder beside the final one, which it becomes when it is complete."""
    output: Path = options.output
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ConfigError(f"--output {output} exists: give another one or remove it")
    scenario = _scenario(options)
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if options.map is None:
            print(f"making a world of {scenario.size_m:g} m from seed {scenario.seed}", file=sys.stderr)
            scenario.write_map(partial / "map.tif")
            flight = scenario.flight
        else:
            ground = Ground.from_map(open_map(options.map, options.crs), scenario.flight_appearance)
            flight = Flight(ground, scenario.camera, scenario.settings, scenario.seed)
        write_flight(partial, flight)
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(
        f"{output}: {len(flight)} frames, --focal-px {flight.camera.intrinsics.fx_px:.2f} "
        f"--tilt-deg {flight.settings.tilt_deg:g}, map {options.map or output / 'map.tif'}"
    )


def _scenario(options: argparse.Namespace) -> Scenario:
    try:
        return Scenario(
            seed=options.seed,
            size_m=options.size_m,
            settings=FlightSettings(**{e.name: getattr(options, e.name) for e in fields(FlightSettings)}),
            camera=camera(options.width, options.height, options.hfov_deg, CAMERA_FAULTS),
            flight_appearance=replace(FLIGHT_APPEARANCE, season=Season[options.season.upper()]),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
