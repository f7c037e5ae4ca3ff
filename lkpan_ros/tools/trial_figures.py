"""The figures of simulated trials: of each seed, of all their frames, and how they spread over the seeds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.localization.flight_summary import percentile, summarize
from lkpan_ros.localization.outcomes import FALSE_FIX_M
from lkpan_ros.tools.excursion import outside_m

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.geodesy import LocalFrame
    from lkpan_ros.localization.outcomes import FrameOutcome
    from lkpan_ros.localization.raster import Bounds

_COUNTS = frozenset({"frames", "fixes", "frames_outside", "fixes_outside", "reasons"})
_HIGH_IS_GOOD = frozenset({"availability", "recall_at_1", "recall_at_10"})


@dataclass(frozen=True)
class JudgedFrame:
    """A frame's outcome and where its true view lies.

    Attributes:
        outcome: Of the frame.
        outside_m: How far the true view lies outside of the map, negative within it; infinite beyond the world.
        far_outside: By more than a tile: there any fix is false.
    """

    outcome: FrameOutcome
    outside_m: float
    far_outside: bool

    @property
    def false(self) -> bool:
        """A fix more than 30 m off, or of a view that shows nothing of the map."""
        error = self.outcome.error_m
        return self.outcome.fix and (self.far_outside or error is None or math.hypot(*error) > FALSE_FIX_M)


@dataclass(frozen=True)
class TrialFigures:
    """The figures of some frames. None: no frame had what it takes to know.

    Attributes:
        frames: All of them.
        fixes: Those that yielded a fix.
        availability: Share of the frames whose true view lies on a tile of the gallery that yielded a fix.
        error_median_m: Of the position that each fix states, the vehicle's or the view's.
        error_p90_m: 90 % of them are at most this far off.
        view_error_median_m: Of the view's position.
        view_error_p90_m: The same.
        false_fix_rate: Share of the fixes that are more than 30 m off or of a view more than a tile outside the map.
        outside_99_ellipse: Share of the fixes outside of the 99 % ellipse about them; 0.01 is honest.
        nees: Mean of the stated positions; 1 is honest.
        view_nees: Of the views.
        recall_at_1: Share of the frames over the gallery whose best tile is right.
        recall_at_10: One of the best ten.
        latency_p50_ms: From a frame to its outcome, of the frames that went all the way; one thread.
        latency_p99_ms: The same.
        frames_outside: Frames whose true view lies more than a tile outside the map.
        fixes_outside: Fixes among them.
        fix_rate_outside: The latter over the former.
        regain_s: From when the view is back within the map by half a tile to the first right fix; infinite: none.
        reasons: How often each reason was given for a refusal.
    """

    frames: int
    fixes: int
    availability: float | None
    error_median_m: float | None
    error_p90_m: float | None
    view_error_median_m: float | None
    view_error_p90_m: float | None
    false_fix_rate: float | None
    outside_99_ellipse: float | None
    nees: float | None
    view_nees: float | None
    recall_at_1: float | None
    recall_at_10: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    frames_outside: int
    fixes_outside: int
    fix_rate_outside: float | None
    regain_s: float | None
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class VariantFigures:
    """Of one variant over all seeds.

    Attributes:
        pooled: Over all frames; `regain_s` is the seeds' mean.
        by_seed: In the order of the seeds.
        errors_m: (N,) float64, rising, of all fixes.
    """

    pooled: TrialFigures
    by_seed: Mapping[int, TrialFigures]
    errors_m: NDArray[np.float64]

    def values(self, name: str) -> NDArray[np.float64]:
        """One figure of each seed, (S,) float64, NaN where unknown."""
        return np.array([_number(getattr(figures, name)) for figures in self.by_seed.values()])

    def worst(self, name: str) -> tuple[int, float] | None:
        """The seed whose figure is worst, and the figure; None: it is unknown for all."""
        values = self.values(name)
        badness = -values if name in _HIGH_IS_GOOD else values
        if name in {"nees", "view_nees"}:  # as far from 1 as can be, to either side
            badness = np.abs(np.log(np.maximum(values, 1e-9)))
        if np.isnan(badness).all():
            return None
        index = int(np.nanargmax(badness))
        return list(self.by_seed)[index], float(values[index])

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON values; what is infinite or unknown is null."""
        spread: dict[str, dict[str, Any]] = {"mean": {}, "standard_deviation": {}, "worst": {}}
        for entry in fields(TrialFigures):
            if entry.name in _COUNTS:
                continue
            values = self.values(entry.name)
            known = values[np.isfinite(values)]
            worst = self.worst(entry.name)
            spread["mean"][entry.name] = float(known.mean()) if known.size else None
            spread["standard_deviation"][entry.name] = float(known.std()) if known.size else None
            spread["worst"][entry.name] = worst and {"seed": worst[0], "value": _plain(worst[1])}
        by_seed = {str(seed): _plain_dict(figures) for seed, figures in self.by_seed.items()}
        return {"all_frames": _plain_dict(self.pooled), **spread, "seeds": by_seed}


def variant_figures(frames: Mapping[int, Sequence[JudgedFrame]], tile_size_m: float) -> VariantFigures:
    """The figures of a variant from the frames of every seed, of which there is at least one with a frame."""
    pooled = [frame for judged in frames.values() for frame in judged]
    by_seed = {seed: _figures(judged, regain_s(judged, tile_size_m / 2)) for seed, judged in frames.items()}
    regained = [f.regain_s for f in by_seed.values() if f.regain_s is not None]
    return VariantFigures(
        _figures(pooled, float(np.mean(regained)) if regained else None), by_seed, np.sort(_errors_m(pooled))
    )


def judge(
    outcomes: Sequence[FrameOutcome], frame: LocalFrame, bounds: Bounds, tile_size_m: float
) -> list[JudgedFrame]:
    """Say of each frame how far outside of the map its true view lies.

    Args:
        outcomes: Of a flight.
        frame: Of the bounds.
        bounds: Of the map.
        tile_size_m: Side of the gallery's tiles.
    """
    views = [(o.true_view_lat, o.true_view_lon) for o in outcomes]
    degrees = np.array([(np.nan, np.nan) if None in view else view for view in views], np.float64)
    known = ~np.isnan(degrees).any(axis=1)
    distance = np.full(len(outcomes), np.inf)
    distance[known] = outside_m(frame.to_local(degrees[known, 0], degrees[known, 1]), bounds)
    return [
        JudgedFrame(outcome, float(d), bool(d > tile_size_m))
        for outcome, d in zip(outcomes, distance, strict=True)
    ]


def regain_s(frames: Sequence[JudgedFrame], depth_m: float) -> float | None:
    """Seconds from the view's return into the map to the first right fix.

    Args:
        frames: Of a flight, in their order.
        depth_m: It has returned when it lies so far within.

    Returns:
        None: it never was far outside, or never returned; infinite: it returned and no right fix followed.
    """
    far = [index for index, frame in enumerate(frames) if frame.far_outside]
    back = [f for f in frames[far[0] :] if f.outside_m <= -depth_m] if far else []
    if not back:
        return None
    right = [f.outcome.stamp_s for f in back if f.outcome.fix and not f.false]
    return right[0] - back[0].outcome.stamp_s if right else math.inf


def _figures(frames: Sequence[JudgedFrame], regained_s: float | None) -> TrialFigures:
    outcomes = [frame.outcome for frame in frames]
    summary = summarize(outcomes)
    over_map = [o.fix for o in outcomes if o.in_gallery]
    outside = [frame.outcome.fix for frame in frames if frame.far_outside]
    errors = _errors_m(frames)
    latencies = np.array(
        [o.latency_ms for o in outcomes if o.decide_ms and o.latency_ms is not None], np.float64
    )
    return TrialFigures(
        frames=summary.frames,
        fixes=summary.fixes,
        availability=_share(over_map),
        error_median_m=percentile(errors, 50),
        error_p90_m=percentile(errors, 90),
        view_error_median_m=summary.view_error_median_m,
        view_error_p90_m=summary.view_error_p90_m,
        false_fix_rate=_share(frame.false for frame in frames if frame.outcome.fix),
        outside_99_ellipse=summary.outside_99_ellipse,
        nees=summary.nees,
        view_nees=summary.view_nees,
        recall_at_1=summary.recall_at_1,
        recall_at_10=summary.recall_at_10,
        latency_p50_ms=percentile(latencies, 50),
        latency_p99_ms=percentile(latencies, 99),
        frames_outside=len(outside),
        fixes_outside=sum(outside),
        fix_rate_outside=_share(outside),
        regain_s=regained_s,
        reasons=dict(Counter(o.reason for o in outcomes if not o.fix).most_common()),
    )


def _errors_m(frames: Sequence[JudgedFrame]) -> NDArray[np.float64]:
    errors = [frame.outcome.error_m for frame in frames if frame.outcome.fix]
    return np.array([math.hypot(*error) for error in errors if error is not None], np.float64)


def _share(flags: Iterable[bool]) -> float | None:
    values = list(flags)
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain_dict(figures: TrialFigures) -> dict[str, Any]:
    values = asdict(figures).items()
    return {name: _plain(value) if isinstance(value, float) else value for name, value in values}
