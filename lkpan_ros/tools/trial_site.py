"""Where a simulated trial takes place: the world of a seed, the galleries of its map, and the flights over it.

A folder keeps the galleries, and the pictures too where that is wished, so that another run with other settings
need not make the world again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import ConfigError, GalleryError
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_build import build
from lkpan_ros.localization.raster import open_map
from lkpan_ros.localization.tile_grid import plan
from lkpan_ros.simulation.appearance import Season
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.simulation.ground import Ground
from lkpan_ros.simulation.scenario import FLIGHT_APPEARANCE, Scenario
from lkpan_ros.tools.excursion import ExcursionPlan, part_of, plan_excursion
from lkpan_ros.tools.source_hash import source_hash
from lkpan_ros.tools.trial_pictures import keeping, kept, rendered, trial_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lkpan_model.encoder import Encoder
    from lkpan_ros.simulation.flight import Flight, SimulatedFrame
    from lkpan_ros.tools.trial_pictures import TrialFrame

TILE_SIZE_M, STRIDE_M = 90.0, 30.0
# The ways of a trial: over the map; out of it and back; over it in winter; over it, but in the middle third the pictures
# are those of a camera that looks at the horizon, or of one over another world.
LOOP, EXCURSION, WINTER, HORIZON, ELSEWHERE = "loop", "excursion", "winter", "horizon", "elsewhere"
_WINTER = replace(FLIGHT_APPEARANCE, season=Season.WINTER, sun_elevation_deg=16.0, overcast=0.1, variant=2)
_HORIZON_TILT_DEG = 75.0
_OTHER_WORLD = 1_000_003  # added to the seed


@dataclass(frozen=True)
class TrialSettings:
    """How long and how far each seed is flown; the rest is the scenario's.

    Attributes:
        seconds: Duration of the loop. The excursion takes as long as it takes.
        rate_hz: Pictures per second.
        size_m: Side of the world.
        excursion_m: How far out of the map the excursion goes.
    """

    seconds: float = 180.0
    rate_hz: float = 3.0
    size_m: float = 1500.0
    excursion_m: float = 500.0


@dataclass(frozen=True)
class TrialSite:
    """The world of one seed and what is kept of it.

    Attributes:
        folder: Of this seed.
        seed: Of world and flights.
        settings: How it is flown.
    """

    folder: Path
    seed: int
    settings: TrialSettings

    @cached_property
    def scenario(self) -> Scenario:
        """World, camera and days.

        Raises:
            ConfigError: A setting makes no world or no flight.
        """
        settings = self.settings
        try:
            flight = FlightSettings(seconds=settings.seconds, rate_hz=settings.rate_hz)
            return Scenario(self.seed, settings.size_m, settings=flight)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @cached_property
    def excursion(self) -> ExcursionPlan:
        """Out of which part of the world, and how.

        Raises:
            ConfigError: The world is too small for it.
        """
        return plan_excursion(self.seed, self.settings.size_m, self.settings.excursion_m)

    def flight_settings(self, way: str) -> FlightSettings:
        """Of the flight on a way."""
        settings = self.scenario.settings
        if way != EXCURSION:
            return settings
        return replace(settings, seconds=self.excursion.way.length_m / settings.speed_mps)

    def flight_facts(self, way: str) -> dict[str, object]:
        """All that the pictures of a way depend on, as plain JSON values."""
        settings = asdict(self.settings)
        settings.pop("seconds" if way == EXCURSION else "excursion_m")
        return {"seed": self.seed, "way": way, **settings, "code": _world_code()}

    def gallery_path(self, way: str) -> Path:
        """Where the gallery that a way is flown with is kept."""
        return self.folder / f"{EXCURSION if way == EXCURSION else LOOP}.gallery"

    def discard_stale(self) -> None:
        """Make the folder; delete what it holds of another world, as an older version of this code made it.

        What a run that was ended in the middle of writing left goes too: such files begin with a dot.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        facts = {"seed": self.seed, "size_m": self.settings.size_m, "excursion_m": self.settings.excursion_m}
        mark = self.folder / "world.json"
        text = json.dumps(facts | {"code": _world_code()}, indent=2)
        if not mark.exists() or mark.read_text(encoding="utf-8") != text:
            for path in (self._map_path, self.gallery_path(LOOP), self.gallery_path(EXCURSION)):
                path.unlink(missing_ok=True)
            write_whole(mark, text.encode())

    def gallery(self, way: str, encoder: Encoder, *, keep_map: bool) -> Gallery:
        """The kept gallery, or a new one where there is none of this encoder. The excursion's is a part of the loop's."""
        path = self.gallery_path(way)
        with contextlib.suppress(GalleryError):  # not there yet, or made with other weights
            return Gallery.load(path, encoder.identity)
        if way == EXCURSION:
            gallery = part_of(self.gallery(LOOP, encoder, keep_map=keep_map), self.excursion.bounds)
        else:
            gallery = self._built(encoder, keep_map=keep_map)
        gallery.save(path)
        return gallery

    def frames(self, way: str, *, keep: bool) -> Iterator[TrialFrame]:
        """The frames of a flight: those kept in the folder, or else rendered, and then kept if that is wished.

        Raises:
            FlightError: A kept flight is damaged.
        """
        folder, facts = self.folder / f"flight_{way}", self.flight_facts(way)
        pictures = kept(folder, facts)
        if pictures is None:
            pictures = rendered(self._flight(way))
            if keep:
                pictures = keeping(pictures, folder, facts, self.scenario.flight)
        camera = self.scenario.camera.intrinsics
        for picture in pictures:
            yield trial_frame(picture, camera)

    @property
    def _map_path(self) -> Path:
        return self.folder / "map.tif"

    def _built(self, encoder: Encoder, *, keep_map: bool) -> Gallery:
        kept_before = self._map_path.exists()
        if not kept_before:
            self.scenario.write_map(self._map_path)
        source = open_map(self._map_path)
        gallery = build(source, encoder, plan(source, TILE_SIZE_M, STRIDE_M))
        if not (keep_map or kept_before):
            self._map_path.unlink()
        return gallery

    def _flight(self, way: str) -> Iterable[SimulatedFrame]:
        loop = self.scenario.flight
        if way == EXCURSION:
            return replace(loop, settings=self.flight_settings(way), way=self.excursion.way)
        if way == WINTER:
            return replace(loop, ground=Ground.from_world(self.scenario.world, _WINTER))
        if way == HORIZON:
            tilted = replace(loop.settings, tilt_deg=_HORIZON_TILT_DEG)
            return SplicedFlight(loop, replace(loop, settings=tilted))
        if way == ELSEWHERE:
            world = replace(self.scenario, seed=self.seed + _OTHER_WORLD).world
            return SplicedFlight(loop, replace(loop, ground=Ground.from_world(world, FLIGHT_APPEARANCE)))
        return loop


def middle_third(seconds: float) -> tuple[float, float]:
    """When what is done to a part of a flight begins and ends, seconds."""
    return seconds / 3.0, seconds * 2.0 / 3.0


@dataclass(frozen=True, eq=False)
class SplicedFlight:
    """A flight whose pictures in its middle third are another one's; all that is said of them is its own.

    Attributes:
        own: The flight.
        other: Of as many frames.
    """

    own: Flight
    other: Flight

    def __iter__(self) -> Iterator[SimulatedFrame]:
        start_s, end_s = middle_third(self.own.settings.seconds)
        for index, frame in enumerate(self.own):
            spliced = start_s <= frame.stamp_s < end_s
            yield replace(frame, image=self.other[index].image) if spliced else frame


def _world_code() -> str:
    """Changes with the code that worlds and pictures depend on."""
    return source_hash("lkpan_ros.simulation")
