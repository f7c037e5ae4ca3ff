"""Building a gallery: how busy the encoder is kept, and what reading, warping and compressing beside it saves.

A map of a simulated world is cut and encoded by `lite` as `build_gallery` does it. Contenders:

- one after the other: each unit of the map is read, warped and compressed, then encoded.
- ours: `gallery_build.build`, which does the former in another thread, ahead of the encoder.

Both are timed by the wall, and so is the encoder within them; the idle share is what is left of the whole. On a CPU both
threads want the same cores: there the time that is saved is less than the idle time that is.

    python -m benchmarks.building [--size-m 1500] [--turns 3] [--weights lite]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Row, in_turns, publish, ratios
from lkpan_model.encoder import Encoder
from lkpan_ros.localization.gallery_build import assembled, build
from lkpan_ros.localization.gallery_pieces import describe
from lkpan_ros.localization.map_units import read_unit, units
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from lkpan_ros.simulation.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid

PEER = "one after the other"
SEED = 2027
BATCH = 32
BAR_IDLE = 0.1


class Watched:
    """An encoder and the seconds that it has worked."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.busy_s = 0.0

    @property
    def identity(self) -> Any:
        """Of the encoder."""
        return self._encoder.identity

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """As the encoder does it."""
        began = time.perf_counter()
        try:
            return self._encoder.encode(images)
        finally:
            self.busy_s += time.perf_counter() - began


def one_after_the_other(source: MapSource, encoder: Watched, grid: TileGrid) -> Gallery:
    """What `build` does, in one thread."""
    pieces = [describe(encoder, read_unit(source, grid, unit), BATCH, lambda _: None) for unit in units(grid)]
    return assembled(source, encoder.identity, grid, pieces)


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size-m", type=float, default=1500.0, help="side of the map")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--weights", default="lite")
    options = parser.parse_args()
    encoder = Watched(Encoder(options.weights, batch_size=BATCH))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.tif"
        print(f"making a world of {options.size_m:g} m", file=sys.stderr)
        Scenario(SEED, options.size_m).write_map(path)
        source = open_map(path)
        grid = plan(source, 90.0, 30.0)
        ways = {
            PEER: partial(one_after_the_other, source, encoder, grid),
            "ours": partial(build, source, encoder, grid, batch_size=BATCH),
        }
        busy: dict[str, list[float]] = {name: [] for name in ways}

        def watched(name: str) -> None:
            before = encoder.busy_s
            ways[name]()
            busy[name].append(encoder.busy_s - before)

        seconds = in_turns({name: partial(watched, name) for name in ways}, options.turns)
    rows = rows_of(options.weights, len(grid.lefts) * len(grid.tops), seconds, busy)
    return publish("building", rows, vars(options))


def rows_of(
    weights: str, tiles: int, seconds: dict[str, list[float]], busy: dict[str, list[float]]
) -> list[Row]:
    """For each way its time a tile, and the share of it in which the encoder waited; its first turn was the warm-up."""
    case, rows = f"{weights}, {tiles:,} tiles", []
    for name, values in seconds.items():
        ours = name != PEER
        ms = [value / tiles * 1e3 for value in values]
        idle = [1.0 - share / whole for share, whole in zip(busy[name][1:], values, strict=True)]
        bar = BAR_IDLE if ours else None
        rows.append(Row(case, name, ms, "ms a tile", ratios(seconds[PEER], values) if ours else None))
        rows.append(Row(case, f"{name}: encoder idle", idle, "of the time", at_most=bar))
    return rows


if __name__ == "__main__":
    sys.exit(main())
