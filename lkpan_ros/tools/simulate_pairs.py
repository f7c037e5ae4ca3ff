"""Write simulated pairs of views in the plain layout that training reads.

`satellite/<place>/<place>.png` is the north-up map tile of a place; `drone/<place>/<n>.png` is what a drone makes of
it on another day: a perspective picture, rectified to a north-up patch of the same footprint with the errors of the
drone's sensors, black where the picture showed nothing.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from lkpan_ros.errors import LkpanError
from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.view import Pose as AssumedPose
from lkpan_ros.localization.view import rectify
from lkpan_ros.simulation.appearance import MAP_APPEARANCE, Appearance
from lkpan_ros.simulation.camera import CameraPose, Faults, SimulatedCamera
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.world import make_world
from lkpan_ros.tools.cli import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MARGIN_M = 75.0  # places keep this far from the world's edge
_TILE_M = (60.0, 140.0)
_MAX_TILT_DEG = 50.0
_MAX_SHIFT_M = 15.0
_MIN_COVERAGE = 0.6


@dataclass(frozen=True)
class Place:
    """A square of ground: its name, centre (local metres) and side."""

    name: str
    east_m: float
    north_m: float
    size_m: float


def scatter(rng: np.random.Generator, count: int, size_m: float, first: int) -> list[Place]:
    """Places spread over a world, no two at the same spot."""
    side = math.ceil(math.sqrt(count))
    cell = (size_m - 2 * _MARGIN_M) / side
    chosen = rng.permutation(side * side)[:count]
    spots = (np.stack([chosen % side, chosen // side], axis=1) + rng.uniform(0.25, 0.75, (count, 2))) * cell
    spots -= size_m / 2 - _MARGIN_M
    sizes = rng.uniform(*_TILE_M, count)
    return [
        Place(f"{first + i:05d}", float(e), float(n), float(s))
        for i, ((e, n), s) in enumerate(zip(spots, sizes, strict=True))
    ]


def map_tile(ground: Ground, place: Place, size_px: int) -> NDArray[np.uint8]:
    """The north-up tile of a place, size_px x size_px x 3 uint8."""
    column, row = ground.pixel(place.east_m, place.north_m)
    scale = place.size_m / size_px / ground.gsd_m
    level = min(max(0, round(math.log2(scale))), len(ground.levels) - 1)
    steps = (np.arange(size_px, dtype=np.float32) + 0.5 - size_px / 2) * scale
    x, y = ((np.float32(c) + steps + 0.5) / 2**level - 0.5 for c in (column, row))
    columns, rows = np.meshgrid(x, y)
    return np.asarray(cv2.remap(ground.levels[level], columns, rows, cv2.INTER_LINEAR), np.uint8)


def drone_view(ground: Ground, place: Place, size_px: int, seed: int) -> NDArray[np.uint8]:
    """What a drone makes of a place, size_px x size_px x 3 uint8, north up but for its sensors' errors."""
    rng = np.random.default_rng([seed, 0xD0])
    intrinsics = Intrinsics.from_focal_length(480, 360, float(rng.uniform(330.0, 480.0)))
    camera = SimulatedCamera(intrinsics, Faults.random(seed))
    while True:
        true, assumed = _poses(rng, intrinsics, place)
        picture = camera.render(ground, true, seed)
        patch, mask = rectify(picture, assumed, place.size_m, size_px)
        if mask.mean() >= _MIN_COVERAGE:
            return patch


def _poses(rng: np.random.Generator, intrinsics: Intrinsics, place: Place) -> tuple[CameraPose, AssumedPose]:
    """Where the drone is when it looks at about the place's centre, and what its sensors say of it."""
    tilt = float(rng.uniform(0.0, _MAX_TILT_DEG)) if rng.random() < 0.7 else float(abs(rng.normal(0.0, 4.0)))
    heading, roll = float(rng.uniform(0.0, 360.0)), float(rng.normal(0.0, 3.0))
    slant = place.size_m * intrinsics.fy_px / intrinsics.height_px * float(rng.uniform(0.85, 1.5))
    height = slant * math.cos(math.radians(tilt))
    shift, direction = _MAX_SHIFT_M * math.sqrt(rng.random()), float(rng.uniform(0.0, 2 * math.pi))
    east, north = place.east_m + shift * math.cos(direction), place.north_m + shift * math.sin(direction)
    away = height * math.tan(math.radians(tilt))
    east, north = (
        east - away * math.sin(math.radians(heading)),
        north - away * math.cos(math.radians(heading)),
    )
    errors = rng.normal(0.0, (1.5, 4.0, 1.5, 0.04))
    assumed = Attitude(abs(tilt + errors[0]), heading + errors[1], roll + errors[2])
    return (
        CameraPose(east, north, height, Attitude(tilt, heading, roll)),
        AssumedPose(intrinsics, assumed, height * (1.0 + float(errors[3])), placed=True),
    )


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB picture, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[..., ::-1]):
        raise LkpanError(f"{path}: cannot be written; is the disk full?")


def simulate_pairs(
    output: Path,
    places: int,
    seed: int,
    worlds: int,
    views: int = 3,
    tile_px: int = 192,
    size_m: float = 1500.0,
) -> None:
    """Write `places` places of `worlds` worlds under `output`, which must not exist yet.

    The folder appears under its name when it is complete.

    Raises:
        LkpanError: The folder exists or cannot be written.
    """
    if output.exists():
        raise LkpanError(f"{output} exists: give another --output or remove it")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tqdm(total=places * (views + 1), unit="image", desc="pairs") as progress:
        for index in range(worlds):
            first, end = places * index // worlds, places * (index + 1) // worlds
            _write_world(partial, seed + index, (first, end), views, tile_px, size_m, progress)
    partial.rename(output)


def _write_world(
    folder: Path,
    seed: int,
    span: tuple[int, int],
    views: int,
    tile_px: int,
    size_m: float,
    progress: tqdm[None],
) -> None:
    rng = np.random.default_rng([seed, 0x9A125])
    world = make_world(seed, size_m)
    spots = scatter(rng, span[1] - span[0], world.size_m, span[0])
    ground = Ground.from_world(world, MAP_APPEARANCE)
    for place in spots:
        write_image(folder / "satellite" / place.name / f"{place.name}.png", map_tile(ground, place, tile_px))
        progress.update()
    days = 2 * views  # each place is seen on half of the days
    turns = [set(rng.permutation(days)[:views].tolist()) for _ in spots]
    for day in range(days):
        ground = Ground.from_world(world, Appearance.random(1000 * seed + day))
        for number, (place, shown) in enumerate(zip(spots, turns, strict=True)):
            if day in shown:
                patch = drone_view(ground, place, tile_px, (seed * 100_000 + span[0] + number) * days + day)
                write_image(folder / "drone" / place.name / f"{day}.png", patch)
                progress.update()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="simulate_pairs", description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument("--places", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--views", type=int, default=3, help="drone views of each place")
    parser.add_argument("--tile-px", type=int, default=192, help="side of the pictures")
    options = parser.parse_args(arguments)
    if min(options.places, options.worlds, options.views) < 1 or options.seed < 0 or options.tile_px < 16:
        parser.error("places, worlds and views must be 1 or more, seed 0 or more, tile-px 16 or more")
    return run(
        lambda: simulate_pairs(
            options.output,
            options.places,
            options.seed,
            min(options.worlds, options.places),
            options.views,
            options.tile_px,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
