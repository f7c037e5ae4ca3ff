"""Simulated passes over a gallery's own map: what a flight there may expect, place by place."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.outcomes import outcome_of
from lkpan_ros.localization.types import Frame
from lkpan_ros.simulation.flight import Flight
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.scenario import FLIGHT_APPEARANCE
from lkpan_ros.simulation.trajectory import Straight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.localizer import Localizer
    from lkpan_ros.simulation.camera import SimulatedCamera
    from lkpan_ros.simulation.flight import FlightSettings, SimulatedFrame

# Roberts, The unreasonable effectiveness of quasirandom sequences: powers of the plastic number's inverse.
_R2 = np.array([0.7548776662466927, 0.5698402909980532])
# So that frames keep as much of a tile's lead over its look-alike as those of the simulator's autumn flights do over
# its maps of summer (0.46; see `look_alikes.retention`).
TYPICAL_CHANGE = 0.15
_HEADINGS = 8  # tried, to stay over the gallery
_VIEW_TILES = 2.0  # a pass is given this many tiles of ground about its line


@dataclass(frozen=True)
class PlaceFigures:
    """What became of the frames of one pass.

    Attributes:
        tile: Row of the gallery whose centre the view passes over.
        heading_deg: Of the pass, clockwise from north.
        frames: Those whose view lay in the gallery.
        fixes: Of these.
        false_fixes: Of these.
        first_fix_s: From the start of the pass; None: no fix.
        view_errors_m: Of the fixes' views against the truth.
        reasons: How many frames were refused, by reason.
    """

    tile: int
    heading_deg: float
    frames: int
    fixes: int
    false_fixes: int
    first_fix_s: float | None
    view_errors_m: tuple[float, ...]
    reasons: Mapping[str, int]

    @property
    def availability(self) -> float:
        """Fixes over frames; 0 where there is no frame."""
        return self.fixes / max(1, self.frames)

    @property
    def main_reason(self) -> str | None:
        """Why most of the refused frames were refused."""
        return max(self.reasons, key=lambda name: self.reasons[name]) if self.reasons else None


@dataclass(frozen=True, eq=False)
class Passes:
    """Short straight passes over a gallery's own map, changed, in other light, with errors of camera and sensors.

    Attributes:
        gallery: Its map is the flat ground.
        camera: What takes the pictures.
        settings: How each pass is flown.
        seed: Of change, headings, wind, errors and noise.
        change: How much the ground differs from the map, see `Ground.changed`.
        heading_known: False: the localizer is not told the heading.
        height_known: False: nor the height.
    """

    gallery: Gallery
    camera: SimulatedCamera
    settings: FlightSettings
    seed: int = 0
    change: float = TYPICAL_CHANGE
    heading_known: bool = True
    height_known: bool = True

    def flight(self, tile: int) -> Flight:
        """The pass whose view crosses the centre of a tile halfway."""
        settings, centre_m = self.settings, self.gallery.positions_m[tile]
        heading_deg = self._heading_deg(tile)
        length_m = settings.speed_mps * settings.seconds
        ahead_m = settings.height_m * math.tan(math.radians(settings.tilt_deg))
        start = Straight(float(centre_m[0]), float(centre_m[1]), heading_deg).at(-length_m / 2 - ahead_m)
        ground = Ground.from_mosaic(
            self.gallery.mosaic, self.gallery.frame, (float(centre_m[0]), float(centre_m[1])),
            length_m + 2.0 * _VIEW_TILES * self.gallery.tile_size_m, FLIGHT_APPEARANCE,
        )  # fmt: skip
        seed = int(np.random.default_rng([self.seed, tile]).integers(2**40))
        return Flight(ground.changed(self.change, seed), self.camera, settings, seed, Straight(*start))

    def frame(self, simulated: SimulatedFrame) -> Frame:
        """What the localizer is told of a simulated frame."""
        sensed = simulated.attitude
        heading_deg = sensed.heading_deg if self.heading_known else None
        return Frame(
            simulated.stamp_s,
            simulated.image,
            self.camera.intrinsics,
            Attitude(sensed.tilt_deg, heading_deg, sensed.roll_deg),
            simulated.height_m if self.height_known else None,
        )

    def fly(self, tile: int, localizer: Localizer) -> PlaceFigures:
        """Fly over a tile with a localizer that knows nothing of the flight before."""
        localizer.reset()
        flight, outcomes = self.flight(tile), []
        for simulated in flight:
            outcome = outcome_of(localizer.localize(self.frame(simulated)), simulated.vehicle, simulated.view)
            if simulated.view is not None and self._in_gallery(simulated.pose.view_centre_m()):
                outcomes.append(outcome)
        fixes = [outcome for outcome in outcomes if outcome.fix]
        errors = [math.hypot(*fix.view_error_m) for fix in fixes if fix.view_error_m is not None]
        return PlaceFigures(
            tile=tile,
            heading_deg=self._heading_deg(tile),
            frames=len(outcomes),
            fixes=len(fixes),
            false_fixes=sum(bool(fix.false_fix) for fix in fixes),
            first_fix_s=fixes[0].stamp_s if fixes else None,
            view_errors_m=tuple(errors),
            reasons=dict(Counter(outcome.reason for outcome in outcomes if not outcome.fix)),
        )

    def _heading_deg(self, tile: int) -> float:
        """Any, of some that keep as much of the pass as possible over the gallery."""
        east, north = self.gallery.positions_m[tile]
        half_m = self.settings.speed_mps * self.settings.seconds / 2
        first = np.random.default_rng([self.seed, tile, 0x4D]).uniform(0.0, 360.0)
        headings = (first + np.arange(_HEADINGS) * 360.0 / _HEADINGS) % 360.0
        ends = [
            [Straight(float(east), float(north), heading).at(sign * half_m)[:2] for sign in (-1.0, 1.0)]
            for heading in headings.tolist()
        ]
        outside_m, _ = self._tree.query(np.array(ends))
        return float(headings[np.maximum(outside_m, self.gallery.stride_m).sum(axis=1).argmin()])

    def _in_gallery(self, centre_m: tuple[float, float] | None) -> bool:
        return centre_m is not None and bool(self.gallery.covers(np.array([centre_m]))[0])

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.gallery.positions_m)


def spread_places(gallery: Gallery, count: int, seed: int) -> list[int]:
    """Some tiles, evenly spread over the map; the first of many are the same as few.

    Args:
        gallery: Of N tiles.
        count: How many, at most N.
        seed: Of the sequence's start.
    """
    positions_m = gallery.positions_m
    low, high = positions_m.min(axis=0), positions_m.max(axis=0)
    tree, start = cKDTree(positions_m), np.random.default_rng([seed, 0x52]).random(2)
    count, chosen, drawn = min(count, len(gallery)), dict[int, None](), 0
    while len(chosen) < count:
        index = np.arange(drawn, drawn + 4 * count)
        places = low + (high - low) * ((start + index[:, None] * _R2) % 1.0)
        away_m, tile = tree.query(places)
        chosen |= dict.fromkeys(tile[away_m <= gallery.stride_m].tolist())
        drawn += len(index)
        if drawn > 40 * len(gallery):  # nearly all of them are asked for: the rest in their order
            chosen |= dict.fromkeys(range(len(gallery)))
    return list(chosen)[:count]
