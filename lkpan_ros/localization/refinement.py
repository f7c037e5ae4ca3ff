"""Sub-tile registration: where on the map a ground patch lies, tried around each of the best candidates.

Neighbouring candidates share a window of the map. The patch is laid on every window under some turns and scales (headings
err, ground rises and falls, and a focal length may be wrong), which gives a position and a quality each; the best few
are then fitted to fractions of a pixel in position, turn and scale. The cost is bounded by the number of windows,
whatever the size of the map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from lkpan_ros.localization.config import PATCH_PX
from lkpan_ros.localization.correlation import Correlator, KeptWindows, gradient_field, peaks
from lkpan_ros.localization.feature_refinement import SCALE_BOUNDS, FeatureRefiner
from lkpan_ros.localization.pyramid import Pyramid
from lkpan_ros.localization.types import Registrations
from lkpan_ros.localization.windows import windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import RefinementSettings
    from lkpan_ros.localization.correlation import Peak, Templates, Window
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import GroundView, Matches

_FINE_REACH_PX = 4
_SAME_PX = 2.0  # peaks nearer than this are one
_FINE_TURN_DEG, _FINE_SCALE = 4.0, 0.06  # first steps of the fit; each round takes steps a third as long
_FINE_ROUNDS = 3
SCALE_STEP = 1.17  # a patch that is off by half of that is still found
_OFF_SCALE = 0.06  # in quality: the sensors are believed unless another scale fits so much better


@dataclass(frozen=True, eq=False)
class Fit:
    """How a patch may lie on the map.

    Attributes:
        match: The match whose window it was found in.
        quality: Normalised correlation, at most 1.
        position_m: (east, north) of the patch's centre in the gallery's frame.
        spread_m2: 2 x 2 float64, of the likelihood about it.
        turn_deg: By which the patch is turned clockwise.
        scale: Metres on the map for a metre of the patch.
        sought: Looked for where the view was expected, though its window fits better elsewhere.
    """

    match: int
    quality: float
    position_m: tuple[float, float]
    spread_m2: NDArray[np.float64]
    turn_deg: float
    scale: float
    sought: bool = False


@dataclass(frozen=True)
class Expected:
    """Where a track puts the view: a circle about a point, metres in the gallery's frame.

    Attributes:
        east_m: Of the point.
        north_m: Of the point.
        radius_m: Of the circle.
        turn_deg: What the track takes the heading's error to be, or the heading where none is sensed.
    """

    east_m: float
    north_m: float
    radius_m: float
    turn_deg: float = 0.0


class Refiner(Protocol):
    """Registers the patches of a frame to the map around candidates."""

    def refine(
        self,
        views: Sequence[GroundView],
        matches: Matches,
        turns_deg: Sequence[float],
        windows: int,
        expected: Sequence[Expected] = (),
    ) -> Registrations:
        """The best few registrations of each window, and the best one where a view is expected.

        Args:
            views: The patches of one frame, one for each heading it may have.
            matches: Tiles to look around, the most important first; `rotation` names the view.
            turns_deg: Clockwise turns of the patches to be tried.
            windows: How many at most.
            expected: Where the track puts the view.
        """
        ...


def make_refiner(gallery: Gallery, settings: RefinementSettings) -> Refiner:
    """The refiner that the settings name."""
    if settings.method == "features":
        return FeatureRefiner(gallery, settings)
    return GradientRefiner(gallery, settings)


class GradientRefiner:
    """Registers by normalised correlation of gradients.

    Args:
        gallery: Its mosaic is the map.
        settings: Number and reach of the windows.
    """

    def __init__(self, gallery: Gallery, settings: RefinementSettings) -> None:
        self._gallery = gallery
        self._settings = settings
        self._gsd_m = gallery.tile_size_m / PATCH_PX
        self._coarse = Correlator(PATCH_PX, math.ceil(settings.reach_m / self._gsd_m))
        self._fine = Correlator(PATCH_PX, _FINE_REACH_PX)
        self._window = partial(_window, gallery, self._gsd_m)
        self._windows = KeptWindows(partial(self._window, self._coarse))

    def refine(
        self,
        views: Sequence[GroundView],
        matches: Matches,
        turns_deg: Sequence[float],
        windows: int,
        expected: Sequence[Expected] = (),
    ) -> Registrations:
        """See `Refiner`."""
        settings = self._settings
        chosen = windows_of(matches, settings.apart_m, windows)
        looks = _Looks(views, self._coarse, _looks(turns_deg, settings.scale_reach))
        nearest = [_nearest(matches, chosen, place) for place in expected]
        fits = []
        for match in chosen:
            here = [place for place, window in zip(expected, nearest, strict=True) if window == match]
            fits += self._coarse_fits(looks, matches, int(match), here)
        best = sorted(range(len(fits)), key=lambda i: -fits[i].quality)[: settings.fitted]
        placed = list(fits)
        for i in best:
            placed[i] = self._fitted(looks.pyramids[int(matches.rotation[fits[i].match])], fits[i])
        rows = np.array([fit.match for fit in fits], np.int64)
        return Registrations(
            match=rows,
            view=matches.rotation[rows],
            position_m=np.array([fit.position_m for fit in placed], np.float64).reshape(-1, 2),
            spread_m2=np.array([fit.spread_m2 for fit in fits], np.float64).reshape(-1, 2, 2),
            turn_deg=np.array([fit.turn_deg for fit in placed], np.float64),
            scale=np.array([fit.scale for fit in placed], np.float64),
            quality=np.array([fit.quality for fit in fits], np.float64),
            similarity=matches.similarity[rows],
            fitted=np.isin(np.arange(len(fits)), best),
            sought=np.array([fit.sought for fit in fits], np.bool_),
        )

    def _coarse_fits(
        self, looks: _Looks, matches: Matches, match: int, expected: Sequence[Expected]
    ) -> list[Fit]:
        """The best shifts, each under its best turn and scale."""
        east_m, north_m = (float(value) for value in matches.position_m[match])
        window, view = self._windows.about(east_m, north_m), int(matches.rotation[match])
        scores, look_of = self._best_look(looks, view, window)
        best = peaks(scores, self._settings.peaks)
        found = list(best)
        for place in expected:
            there = self._peak_at(scores, place, east_m, north_m)
            found += [peak for peak in there if all(_apart(peak, other) for other in found)]
        fits = []
        for number, peak in enumerate(found):
            row, column = round(peak.y_px) + self._coarse.reach_px, round(peak.x_px) + self._coarse.reach_px
            turn, scale = looks.looks[int(look_of[row, column])]
            position = (east_m + peak.x_px * self._gsd_m, north_m - peak.y_px * self._gsd_m)
            spread_m2 = peak.spread_px2 * self._gsd_m**2
            sought = number >= len(best)
            fits.append(Fit(match, peak.quality, position, spread_m2, turn, scale, sought))
        return fits

    def _best_look(
        self, looks: _Looks, view: int, window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """At each shift of a window the score of the look that fits best there, and which one that is."""
        scales = np.array([scale for _, scale in looks.looks], np.float32)[:, None, None]
        scores = self._coarse.scores(looks.templates(view), window)
        scores *= np.minimum(scales, 1.0)  # what is shrunk has less to say, and fits so much better by chance
        best = (scores - np.where(scales == 1.0, 0.0, _OFF_SCALE)).argmax(axis=0)
        return np.take_along_axis(scores, best[None], axis=0)[0], best

    def _peak_at(
        self, scores: NDArray[np.float32], place: Expected, east_m: float, north_m: float
    ) -> list[Peak]:
        """The best of a window about a point where the view is expected; none if that lies outside."""
        x, y = (place.east_m - east_m) / self._gsd_m, (north_m - place.north_m) / self._gsd_m
        if max(abs(x), abs(y)) > self._coarse.reach_px:
            return []
        return peaks(scores, 1, (x, y, place.radius_m / self._gsd_m))

    def _fitted(self, pyramid: Pyramid, start: Fit) -> Fit:
        """Climb from a coarse fit in turn and scale; each try finds its own best shift."""
        east_m, north_m = start.position_m
        window = self._window(self._fine, east_m, north_m)
        turn, log_scale = start.turn_deg, math.log(start.scale)
        turn_step, scale_step = _FINE_TURN_DEG, _FINE_SCALE
        for _ in range(_FINE_ROUNDS):
            around = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
            looks = [(turn + t * turn_step, log_scale + s * scale_step) for t, s in around]
            tries = self._tries(pyramid, window, looks)
            values = np.array([score for score, _, _ in tries], np.float32)
            turn += turn_step * _top(values[[1, 0, 2]])
            log_scale += scale_step * _top(values[[3, 0, 4]])
            turn_step, scale_step = turn_step / 3, scale_step / 3
        log_scale = float(np.clip(log_scale, *np.log(SCALE_BOUNDS)))
        [(quality, x_px, y_px)] = self._tries(pyramid, window, [(turn, log_scale)])
        position = (east_m + x_px * self._gsd_m, north_m - y_px * self._gsd_m)
        return Fit(start.match, quality, position, start.spread_m2, turn, math.exp(log_scale))

    def _tries(
        self, pyramid: Pyramid, window: Window, looks: Sequence[tuple[float, float]]
    ) -> list[tuple[float, float, float]]:
        """The best shift under each turn and logarithm of a scale."""
        fields = [
            gradient_field(*pyramid.turned(PATCH_PX, turn, math.exp(log_scale))) for turn, log_scale in looks
        ]
        return self._fine.best(self._fine.templates(fields), window)


def _window(gallery: Gallery, gsd_m: float, correlator: Correlator, east_m: float, north_m: float) -> Window:
    """The map about a point, ready for a correlator."""
    side_px = correlator.window_px
    rgb, mask = gallery.window(east_m, north_m, side_px * gsd_m, side_px)
    return correlator.window(gradient_field(grey_of(rgb), mask))


class _Looks:
    """The templates of a frame's views under the turns and scales to be tried, made when first asked for."""

    def __init__(
        self, views: Sequence[GroundView], correlator: Correlator, looks: Sequence[tuple[float, float]]
    ) -> None:
        self.looks = looks
        self.pyramids = [Pyramid(grey_of(view.patch), view.mask) for view in views]
        self._correlator = correlator
        self._made: dict[int, Templates] = {}

    def templates(self, view: int) -> Templates:
        """Of one of the views, under each look."""
        if view not in self._made:
            pyramid = self.pyramids[view]
            fields = [gradient_field(*pyramid.turned(PATCH_PX, *look)) for look in self.looks]
            self._made[view] = self._correlator.templates(fields)
        return self._made[view]


def _looks(turns_deg: Sequence[float], scale_reach: float) -> list[tuple[float, float]]:
    """Turns and scales to be tried: all turns as the sensors say, other scales under the middle turn."""
    steps = math.floor(math.log(scale_reach) / math.log(SCALE_STEP) + 0.5)
    scales = [SCALE_STEP**step for step in range(-steps, steps + 1) if step]
    middle = turns_deg[len(turns_deg) // 2]
    return [(turn, 1.0) for turn in turns_deg] + [(middle, scale) for scale in scales]


def turns_within(reach_deg: float, step_deg: float, centre_deg: float = 0.0) -> tuple[float, ...]:
    """Turns about a centre, a step apart, that leave nothing within reach further than half a step from one."""
    steps = math.ceil(max(0.0, reach_deg / step_deg - 0.5))
    return tuple(centre_deg + step * step_deg for step in range(-steps, steps + 1))


def _nearest(matches: Matches, windows: NDArray[np.int64], place: Expected) -> int:
    """The window whose middle lies nearest to where a view is expected: it is sought once."""
    apart_m = np.hypot(*(matches.position_m[windows] - (place.east_m, place.north_m)).T)
    return int(windows[apart_m.argmin()]) if len(windows) else -1


def _apart(peak: Peak, other: Peak) -> bool:
    return math.hypot(peak.x_px - other.x_px, peak.y_px - other.y_px) > _SAME_PX


def grey_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H x W x 3 uint8 RGB as H x W uint8."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _top(values: NDArray[np.float32]) -> float:
    """Where a parabola through values at -1, 0, 1 has its top, at most one step away; the better side where it has none."""
    before, middle, after = (float(v) for v in values)
    bend = before - 2 * middle + after
    if bend >= -1e-9:
        return 1.0 if after > before else -1.0
    return float(np.clip(0.5 * (before - after) / bend, -1.0, 1.0))
