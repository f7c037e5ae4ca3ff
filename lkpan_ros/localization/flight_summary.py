"""The figures that sum a flight up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.flight_figures import risk_coverage
from lkpan_ros.localization.outcomes import CHI2_99
from lkpan_ros.localization.types import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.outcomes import FrameOutcome

_NEAR_M = 10.0


@dataclass(frozen=True)
class Summary:
    """The figures of a flight. None: no frame had what it takes to know.

    Attributes:
        frames: All of them.
        fixes: Frames that yielded a fix.
        availability: Fixes over frames.
        view_error_median_m: Of the fixes' views against their truth.
        view_error_p90_m: 90 % of them are at most this far off.
        vehicle_error_median_m: Of the fixes that state the vehicle's position.
        false_fix_rate: Share of the fixes with a truth that are more than 30 m from it, or of ground that is not in
            the gallery.
        nees: Mean over the fixes with a truth, the false ones among them.
        recall_at_1: Frames whose best tile lies within one stride of the true view, over the frames whose true
            view is known and in the gallery.
        recall_at_5: One of the best five.
        recall_at_10: One of the best ten.
        latency_p50_ms: Median time from a frame to its outcome, of the frames that went all the way to the decision.
        vehicle_error_p90_m: As the median.
        view_nees: As `nees`, of the fixes' views.
        view_within_10m: Share of the frames whose true view is known that got a fix whose view is within 10 m of it.
        outside_99_ellipse: Share of the fixes with a truth that lie outside the 99 % ellipse about it (1 % is honest).
        outside_map_fixes: Fixes of ground that is not in the gallery.
        area_under_risk_coverage: Of the share of false fixes over the share of frames, as the threshold falls.
    """

    frames: int
    fixes: int
    availability: float
    view_error_median_m: float | None
    view_error_p90_m: float | None
    vehicle_error_median_m: float | None
    false_fix_rate: float | None
    nees: float | None
    recall_at_1: float | None
    recall_at_5: float | None
    recall_at_10: float | None
    latency_p50_ms: float | None
    vehicle_error_p90_m: float | None
    view_nees: float | None
    view_within_10m: float | None
    outside_99_ellipse: float | None
    outside_map_fixes: int | None
    area_under_risk_coverage: float | None


def summarize(outcomes: Sequence[FrameOutcome]) -> Summary:
    """The figures of a flight of at least one frame."""
    fixes = [outcome for outcome in outcomes if outcome.fix]
    view_errors = _lengths(fix.view_error_m for fix in fixes)
    vehicle = _lengths(fix.error_m for fix in fixes if fix.reference == Reference.VEHICLE.value)
    nees = _known(fix.nees for fix in fixes)
    ranks = _known(outcome.rank for outcome in outcomes)
    recalls = [_mean((ranks >= 1) & (ranks <= k)) for k in (1, 5, 10)]
    curve = risk_coverage(outcomes)
    return Summary(
        frames=len(outcomes),
        fixes=len(fixes),
        availability=len(fixes) / len(outcomes),
        view_error_median_m=percentile(view_errors, 50),
        view_error_p90_m=percentile(view_errors, 90),
        vehicle_error_median_m=percentile(vehicle, 50),
        false_fix_rate=_mean(_known(fix.false_fix for fix in fixes)),
        nees=_mean(nees),
        recall_at_1=recalls[0],
        recall_at_5=recalls[1],
        recall_at_10=recalls[2],
        latency_p50_ms=percentile(_known(o.latency_ms for o in outcomes if o.decide_ms), 50),
        vehicle_error_p90_m=percentile(vehicle, 90),
        view_nees=_mean(_known(fix.view_nees for fix in fixes)),
        view_within_10m=_within(outcomes, _NEAR_M),
        outside_99_ellipse=_mean(2.0 * nees > CHI2_99),
        outside_map_fixes=_outside_map(outcomes),
        area_under_risk_coverage=curve.area if len(curve.coverage) else None,
    )


def _within(outcomes: Sequence[FrameOutcome], radius_m: float) -> float | None:
    judged = [o for o in outcomes if o.true_view_lat is not None]
    errors = _lengths(o.view_error_m for o in judged if o.fix)
    return float((errors <= radius_m).sum()) / len(judged) if judged else None


def _outside_map(outcomes: Sequence[FrameOutcome]) -> int | None:
    known = [o for o in outcomes if o.in_gallery is not None]
    return sum(o.fix and not o.in_gallery for o in known) if known else None


def _lengths(errors: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    return np.array([math.hypot(*error) for error in errors if error is not None], np.float64)


def _known(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([value for value in values if value is not None], np.float64)


def percentile(values: NDArray[np.float64], percent: float) -> float | None:
    """Of (N,) numbers, or None where there is none."""
    return float(np.percentile(values, percent)) if values.size else None


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None
