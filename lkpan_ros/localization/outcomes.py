"""What became of each frame of a flight beside the truth, as rows of a CSV, and the figures that sum them up."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import FlightError
from lkpan_ros.localization.geodesy import LatLon, east_north_m
from lkpan_ros.localization.types import Fix, Reference, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FALSE_FIX_M = 30.0  # a fix further from the truth than this is false


@dataclass(frozen=True)
class FrameOutcome:
    """One frame: what was published for it, and the truth. None: unknown.

    Attributes:
        stamp_s: Capture time, seconds.
        fix: True for a fix, False for a refusal.
        reason: Why there is no fix; empty for a fix.
        detail: The same in words and numbers.
        probability: Stated probability of being right.
        reference: Whose position a fix states: vehicle or view.
        lat: Stated position, degrees.
        lon: Stated position, degrees.
        view_lat: Stated ground point in the middle of the view, degrees.
        view_lon: The same.
        var_east_m2: Covariance of the position that `reference` names, ENU.
        cov_east_north_m2: The same.
        var_north_m2: The same.
        true_lat: The vehicle's true position, degrees.
        true_lon: The same.
        true_view_lat: The true ground point in the middle of the view, degrees.
        true_view_lon: The same.
        rank: Place, from 1, of the first tile within one stride of the true view among the candidates; 0: none of
            them is; None: unknown, or no tile of the gallery lies there.
        view_ms: Time of this stage, milliseconds.
        encode_ms: The same.
        search_ms: The same.
        decide_ms: The same.
        latency_ms: From the frame to its outcome, milliseconds.
    """

    stamp_s: float
    fix: bool
    reason: str = ""
    detail: str = ""
    probability: float | None = None
    reference: str = ""
    lat: float | None = None
    lon: float | None = None
    view_lat: float | None = None
    view_lon: float | None = None
    var_east_m2: float | None = None
    cov_east_north_m2: float | None = None
    var_north_m2: float | None = None
    true_lat: float | None = None
    true_lon: float | None = None
    true_view_lat: float | None = None
    true_view_lon: float | None = None
    rank: int | None = None
    view_ms: float | None = None
    encode_ms: float | None = None
    search_ms: float | None = None
    decide_ms: float | None = None
    latency_ms: float | None = None

    @property
    def error_m(self) -> NDArray[np.float64] | None:
        """East and north of the stated position from its truth, (2,) float64, or None where either is unknown."""
        if self.reference == Reference.VIEW.value:
            return self.view_error_m
        return _difference_m((self.lat, self.lon), (self.true_lat, self.true_lon))

    @property
    def view_error_m(self) -> NDArray[np.float64] | None:
        """The same of the ground point in the middle of the view."""
        return _difference_m((self.view_lat, self.view_lon), (self.true_view_lat, self.true_view_lon))

    @property
    def covariance_m2(self) -> NDArray[np.float64] | None:
        """2 x 2 float64, of the position that `reference` names."""
        if self.var_east_m2 is None or self.cov_east_north_m2 is None or self.var_north_m2 is None:
            return None
        return np.array(
            [[self.var_east_m2, self.cov_east_north_m2], [self.cov_east_north_m2, self.var_north_m2]]
        )

    @property
    def nees(self) -> float | None:
        """Squared Mahalanobis distance of the error over 2: 1 on average where the covariance is honest."""
        error, covariance = self.error_m, self.covariance_m2
        if error is None or covariance is None:
            return None
        return float(error @ np.linalg.solve(covariance, error)) / 2.0


def outcome_of(
    result: Fix | Rejection, vehicle: LatLon | None, view: LatLon | None, rank: int | None = None
) -> FrameOutcome:
    """The row of a localizer's result beside the truth."""
    t = result.timings
    true_lat, true_lon = _degrees(vehicle)
    true_view_lat, true_view_lon = _degrees(view)
    return replace(
        _refused(result) if isinstance(result, Rejection) else _stated(result),
        true_lat=true_lat,
        true_lon=true_lon,
        true_view_lat=true_view_lat,
        true_view_lon=true_view_lon,
        rank=rank,
        view_ms=t.view_s * 1e3,
        encode_ms=t.encode_s * 1e3,
        search_ms=t.search_s * 1e3,
        decide_ms=t.decide_s * 1e3,
        latency_ms=t.total_s * 1e3,
    )


def _refused(result: Rejection) -> FrameOutcome:
    return FrameOutcome(result.stamp_s, False, result.reason.value, result.detail, result.probability)


def _stated(result: Fix) -> FrameOutcome:
    covariance = result.view_covariance_m2 if result.reference is Reference.VIEW else result.covariance_m2
    return FrameOutcome(
        result.stamp_s,
        True,
        probability=result.probability,
        reference=result.reference.value,
        lat=result.position.lat_deg,
        lon=result.position.lon_deg,
        view_lat=result.view.lat_deg,
        view_lon=result.view.lon_deg,
        var_east_m2=float(covariance[0, 0]),
        cov_east_north_m2=float(covariance[0, 1]),
        var_north_m2=float(covariance[1, 1]),
    )


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
        false_fix_rate: Share of the fixes with a truth that are more than 30 m from it.
        nees: Mean over the fixes with a truth, the false ones among them.
        recall_at_1: Frames whose best tile lies within one stride of the true view, over the frames whose true
            view is known and in the gallery.
        recall_at_5: One of the best five.
        recall_at_10: One of the best ten.
        latency_p50_ms: Median time from a frame to its outcome, of the frames that went all the way to the decision.
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


def summarize(outcomes: Sequence[FrameOutcome]) -> Summary:
    """The figures of a flight of at least one frame."""
    fixes = [outcome for outcome in outcomes if outcome.fix]
    errors = _lengths(fix.error_m for fix in fixes)
    view_errors = _lengths(fix.view_error_m for fix in fixes)
    vehicle = _lengths(fix.error_m for fix in fixes if fix.reference == Reference.VEHICLE.value)
    ranks = np.array([outcome.rank for outcome in outcomes if outcome.rank is not None], int)
    recalls = [_mean((ranks >= 1) & (ranks <= k)) for k in (1, 5, 10)]
    return Summary(
        frames=len(outcomes),
        fixes=len(fixes),
        availability=len(fixes) / len(outcomes),
        view_error_median_m=_percentile(view_errors, 50),
        view_error_p90_m=_percentile(view_errors, 90),
        vehicle_error_median_m=_percentile(vehicle, 50),
        false_fix_rate=_mean(errors > FALSE_FIX_M),
        nees=_mean(np.array([fix.nees for fix in fixes if fix.nees is not None])),
        recall_at_1=recalls[0],
        recall_at_5=recalls[1],
        recall_at_10=recalls[2],
        latency_p50_ms=_percentile(
            np.array(
                [o.latency_ms for o in outcomes if o.decide_ms and o.latency_ms is not None], np.float64
            ),
            50,
        ),
    )


def write_outcomes(path: Path, outcomes: Sequence[FrameOutcome]) -> None:
    """Write a CSV, one row a frame; unknown values are empty. The file appears whole or not at all."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [entry.name for entry in fields(FrameOutcome)])
    writer.writeheader()
    writer.writerows(_cells(outcome) for outcome in outcomes)
    write_whole(path, stream.getvalue().encode())


def read_outcomes(path: Path) -> list[FrameOutcome]:
    """Read what `write_outcomes` wrote.

    Raises:
        FlightError: The file is missing or another kind of CSV.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [_outcome(row) for row in csv.DictReader(stream)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FlightError(
            f"{path}: is no table of outcomes ({error}); give one written by this package"
        ) from error


def _cells(outcome: FrameOutcome) -> dict[str, object]:
    cells = {name: "" if value is None else value for name, value in asdict(outcome).items()}
    return cells | {"fix": int(outcome.fix)}


def _outcome(row: dict[str, str]) -> FrameOutcome:
    texts = {name: row[name] for name in ("reason", "detail", "reference")}
    numbers = {
        entry.name: float(row[entry.name]) if row[entry.name] else None
        for entry in fields(FrameOutcome)
        if entry.name not in {"stamp_s", "fix", "rank", *texts}
    }
    rank = int(row["rank"]) if row["rank"] else None
    return FrameOutcome(float(row["stamp_s"]), row["fix"] == "1", rank=rank, **texts, **numbers)  # type: ignore[arg-type]


def _difference_m(
    stated: tuple[float | None, float | None], truth: tuple[float | None, float | None]
) -> NDArray[np.float64] | None:
    if stated[0] is None or stated[1] is None or truth[0] is None or truth[1] is None:
        return None
    return east_north_m(LatLon(truth[0], truth[1]), LatLon(stated[0], stated[1]))


def _degrees(point: LatLon | None) -> tuple[float, float] | tuple[None, None]:
    return (point.lat_deg, point.lon_deg) if point else (None, None)


def _lengths(errors: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    return np.array([math.hypot(*error) for error in errors if error is not None], np.float64)


def _percentile(values: NDArray[np.float64], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values.size else None


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None
