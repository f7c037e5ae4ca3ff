"""Time of one frame of the Bayes filter over galleries of 1,000 to 1,000,000 tiles, beside a dense grid filter.

What is timed, per frame, one thread each (its processor time, so that a busy machine disturbs little):

- ours: `BayesFilter.predict` and `update` with a full set of hypotheses and 36 alternatives (12 windows of the map, 3
  peaks each), and the look-up which of the hypotheses lie on the map, as `Gallery.covers` makes it.
- grid: the histogram filter of the textbook (Thrun, Burgard, Fox, "Probabilistic Robotics", 4.1, 8.2), a probability
  for each tile: convolution with the motion (separable Gaussian, scipy), a share for a loss, multiplication with the
  likelihood (a constant for none of these, a Gaussian at each alternative, written where it counts), normalisation.
  It knows neither velocity, heading nor errors of the sensors, nor where in its tile the vehicle is; each would
  multiply its cells.

Both are given the same evidence of the same simulated flight, and take turns; ratios are formed within a frame. Cases:

- placed: one place is right in every frame. After the flight both must place the vehicle within a stride of the truth,
  else nothing is reported.
- wood: nothing is right; every frame offers 36 places within 60 m of the vehicle, so that each upholds many hypotheses
  and none can be dropped: the most there is to do.

    python -m benchmarks.filter [--frames 60] [--tiles 1000 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.measuring import Row, publish, ratios
from lkpan_ros.localization.bayes_filter import BayesFilter
from lkpan_ros.localization.belief import PLACE, Evidence, SensorErrors
from lkpan_ros.localization.config import FilterSettings
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.tile_places import TilePlaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BAR_MS = 20.0
STRIDE_M = 30.0
FRAME_S, SPEED_MPS = 0.5, 12.0
WINDOWS, PEAKS = 12, 3
SIGMA_M = 3.0  # of an alternative
WOOD_M = 60.0  # the same all around, as far as this
# A camera straight down from 100 m, of a vehicle that is level: the view lies below it, but for the errors of the tilt.
LEVER = Lever(np.zeros(2), np.eye(2) * 100.0 * math.radians(1.0), np.zeros(2))
ERRORS = SensorErrors(heading_deg=5.0, height_ratio=0.05, tilt_deg=0.5)
WARM_UP = 30  # frames until the hypotheses are as many as they get


@dataclass(frozen=True)
class Step:
    """A frame of the flight.

    Attributes:
        truth_m: (2,) float64, east and north.
        evidence: What it says.
    """

    truth_m: Array
    evidence: Evidence


class Tiles:
    """The centres of a square gallery's tiles, looked up as `Gallery.covers` does."""

    def __init__(self, count: int) -> None:
        self.side = math.isqrt(count)
        along = np.arange(self.side) * STRIDE_M
        self.extent_m = self.side * STRIDE_M
        self._places = TilePlaces(np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2), STRIDE_M)

    def covers(self, view_m: Array) -> NDArray[np.bool_]:
        """Which of (K, 2) views lie within a stride of a tile's centre."""
        return self._places.any_within(view_m, STRIDE_M)


class GridFilter:
    """A probability for each tile."""

    def __init__(self, tiles: Tiles, settings: FilterSettings) -> None:
        self._settings = settings
        self._extent_m = tiles.extent_m
        self.belief = np.full((tiles.side, tiles.side), 1.0 / tiles.side**2)

    def predict(self, elapsed_s: float) -> None:
        """Spread it as far as the speed allows, and a little all over the map."""
        sigma_tiles = self._settings.max_speed_mps / 2.0 * elapsed_s / STRIDE_M
        lost = -math.expm1(-elapsed_s * self._settings.loss_rate_per_s)
        self.belief = gaussian_filter(self.belief, sigma_tiles, mode="constant", truncate=4.0)
        self.belief *= 1.0 - lost
        self.belief += lost / self.belief.size

    def update(self, evidence: Evidence) -> None:
        """Multiply with the likelihood and normalise."""
        likelihood = np.ones_like(self.belief)
        reach = math.ceil(4.0 * SIGMA_M / STRIDE_M) + 1
        for odds, (east_m, north_m) in zip(evidence.odds, evidence.view_m, strict=True):
            row, column = round(north_m / STRIDE_M), round(east_m / STRIDE_M)
            rows = np.arange(max(0, row - reach), min(len(likelihood), row + reach + 1))
            columns = np.arange(max(0, column - reach), min(len(likelihood), column + reach + 1))
            apart2 = (rows[:, None] * STRIDE_M - north_m) ** 2 + (columns * STRIDE_M - east_m) ** 2
            variance = SIGMA_M**2 + STRIDE_M**2 / 12.0  # a tile stands for all places within it
            density = np.exp(-0.5 * apart2 / variance) / (2 * math.pi * variance)
            likelihood[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
                odds * self._extent_m**2 * density
            )
        self.belief *= likelihood
        self.belief /= self.belief.sum()

    def most_probable_m(self) -> Array:
        """East and north of the best tile."""
        row, column = np.unravel_index(int(self.belief.argmax()), self.belief.shape)
        return np.array([column, row]) * STRIDE_M


def flight(rng: np.random.Generator, case: str, extent_m: float, frames: int) -> Iterator[Step]:
    """A circle about the middle of the map, and what each frame says.

    Args:
        rng: Of the noise.
        case: "placed" or "wood".
        extent_m: Side of the map.
        frames: How many.
    """
    radius_m, count = extent_m / 4.0, WINDOWS * PEAKS
    for frame in range(frames):
        angle = frame * FRAME_S * SPEED_MPS / radius_m
        truth_m = extent_m / 2.0 + radius_m * np.array([math.cos(angle), math.sin(angle)])
        odds = np.exp(rng.normal(-1.0, 1.0, count))
        position_m = truth_m + rng.uniform(-WOOD_M, WOOD_M, (count, 2))
        if case == "placed":
            position_m[12:] = rng.uniform(0.0, extent_m, (count - 12, 2))  # the others are peaks nearby
            position_m[0] = truth_m
            odds[0] = math.exp(2.0)
        evidence = Evidence(
            odds=odds,
            sought=np.zeros(count, np.bool_),
            prior=np.ones(count),
            view_m=np.clip(position_m + rng.normal(0.0, SIGMA_M, (count, 2)), 0.0, extent_m),
            covariance_m2=np.tile(np.eye(2) * SIGMA_M**2, (count, 1, 1)),
            turn_deg=rng.normal(0.0, 5.0, count),
            turn_sigma_deg=np.full(count, 3.0),
            stretch=rng.normal(0.0, 0.03, count),
            stretch_sigma=np.full(count, 0.03),
            lever=LEVER,
            errors=ERRORS,
        )
        yield Step(truth_m, evidence)


def milliseconds(task: Callable[[Evidence], None], evidence: Evidence) -> float:
    """Processor time of this thread."""
    began = time.thread_time()
    task(evidence)
    return (time.thread_time() - began) * 1e3


def measure(case: str, count: int, frames: int) -> tuple[list[Row], dict[str, Any]]:
    """Times at one size, and what they belong to."""
    tiles, settings = Tiles(count), FilterSettings()
    ours, grid = BayesFilter(settings), GridFilter(tiles, settings)
    times: dict[str, list[float]] = {"grid": [], "ours": []}
    hypotheses = []

    def step_ours(evidence: Evidence) -> None:
        ours.predict(FRAME_S, ERRORS)
        ours.update(evidence, tiles.covers)

    def step_grid(evidence: Evidence) -> None:
        grid.predict(FRAME_S)
        grid.update(evidence)

    for number, step in enumerate(flight(np.random.default_rng(0), case, tiles.extent_m, WARM_UP + frames)):
        turn = {
            "ours": milliseconds(step_ours, step.evidence),
            "grid": milliseconds(step_grid, step.evidence),
        }
        if number >= WARM_UP:
            hypotheses.append(len(ours.belief))
            for name, value in turn.items():
                times[name].append(value)
    errors_m = {
        "ours": math.dist(ours.belief.mean[0, PLACE], step.truth_m),
        "grid": math.dist(grid.most_probable_m(), step.truth_m),
    }
    if case == "placed" and max(errors_m.values()) > STRIDE_M:
        raise SystemExit(f"{count:,} tiles: the vehicle was lost, errors of {errors_m} m")
    name = f"{case}, {tiles.side**2:,} tiles"
    rows = [
        Row(name, "grid filter", times["grid"], "ms"),
        Row(name, "ours", times["ours"], "ms", ratios(times["grid"], times["ours"]), at_most=BAR_MS),
    ]
    return rows, {"case": name, "hypotheses": float(np.median(hypotheses)), "error_m": errors_m}


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--tiles", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    results = [measure(case, count, options.frames) for case in ("placed", "wood") for count in options.tiles]
    rows = [row for found, _ in results for row in found]
    return publish("filter", rows, vars(options), {"filters": [details for _, details in results]})


if __name__ == "__main__":
    sys.exit(main())
