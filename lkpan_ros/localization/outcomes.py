"""What became of each frame of a flight beside the truth, and the CSV of it."""

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
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

FALSE_FIX_M = 30.0  # a fix further from the truth than this is false
CHI2_95, CHI2_99 = (
    5.991,
    9.210,
)  # so much of a Gaussian in the plane lies within this squared Mahalanobis distance

# Columns that earlier versions did not write; a table without them has None there.
_ADDED = frozenset(
    {
        "in_gallery",
        "refine_ms",
        "filter_ms",
        "view_var_east_m2",
        "view_cov_east_north_m2",
        "view_var_north_m2",
    }
)


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
        view_var_east_m2: Covariance of the view's position.
        view_cov_east_north_m2: The same.
        view_var_north_m2: The same.
        true_lat: The vehicle's true position, degrees.
        true_lon: The same.
        true_view_lat: The true ground point in the middle of the view, degrees.
        true_view_lon: The same.
        rank: Place, from 1, of the first tile within one stride of the true view among the candidates; 0: none of
            them is; None: unknown, or no tile of the gallery lies there.
        in_gallery: Whether the true view lies on a tile of the gallery: where it does not, a fix is false.
        view_ms: Time of this stage, milliseconds.
        encode_ms: The same.
        search_ms: The same.
        refine_ms: The same.
        filter_ms: The same.
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
    view_var_east_m2: float | None = None
    view_cov_east_north_m2: float | None = None
    view_var_north_m2: float | None = None
    true_lat: float | None = None
    true_lon: float | None = None
    true_view_lat: float | None = None
    true_view_lon: float | None = None
    rank: int | None = None
    in_gallery: bool | None = None
    view_ms: float | None = None
    encode_ms: float | None = None
    search_ms: float | None = None
    refine_ms: float | None = None
    filter_ms: float | None = None
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
        return _matrix(self.var_east_m2, self.cov_east_north_m2, self.var_north_m2)

    @property
    def view_covariance_m2(self) -> NDArray[np.float64] | None:
        """2 x 2 float64, of the view's position."""
        return _matrix(self.view_var_east_m2, self.view_cov_east_north_m2, self.view_var_north_m2)

    @property
    def nees(self) -> float | None:
        """Squared Mahalanobis distance of the error over 2: 1 on average where the covariance is honest."""
        return _nees(self.error_m, self.covariance_m2)

    @property
    def view_nees(self) -> float | None:
        """The same of the view's position."""
        return _nees(self.view_error_m, self.view_covariance_m2)

    @property
    def false_fix(self) -> bool | None:
        """A fix more than 30 m from its truth, or of ground that is not in the gallery. None: no fix, or no truth."""
        if not self.fix:
            return None
        if self.in_gallery is False:
            return True
        error = self.error_m
        return None if error is None else math.hypot(*error) > FALSE_FIX_M


def outcome_of(
    result: Fix | Rejection, vehicle: LatLon | None, view: LatLon | None, gallery: Gallery | None = None
) -> FrameOutcome:
    """The row of a localizer's result beside the truth.

    Args:
        result: What the localizer said.
        vehicle: True position of the vehicle, or None where unknown.
        view: The true ground point in the middle of the view, or None where unknown.
        gallery: The one searched; without it `rank` and `in_gallery` are unknown.
    """
    t = result.timings
    true_lat, true_lon = _degrees(vehicle)
    true_view_lat, true_view_lon = _degrees(view)
    local = gallery.frame.to_local(view.lat_deg, view.lon_deg) if gallery and view else None
    return replace(
        _stated(result) if isinstance(result, Fix) else _refused(result),
        true_lat=true_lat,
        true_lon=true_lon,
        true_view_lat=true_view_lat,
        true_view_lon=true_view_lon,
        rank=None if local is None or gallery is None else _rank(gallery, result, local),
        in_gallery=None if local is None or gallery is None else _on_a_tile(gallery, local),
        view_ms=t.view_s * 1e3,
        encode_ms=t.encode_s * 1e3,
        search_ms=t.search_s * 1e3,
        refine_ms=t.refine_s * 1e3,
        filter_ms=t.filter_s * 1e3,
        decide_ms=t.decide_s * 1e3,
        latency_ms=t.total_s * 1e3,
    )


def _refused(result: Rejection) -> FrameOutcome:
    return FrameOutcome(result.stamp_s, False, result.reason.value, result.detail, result.probability)


def _stated(result: Fix) -> FrameOutcome:
    seen = result.view_covariance_m2
    covariance = seen if result.reference is Reference.VIEW else result.covariance_m2
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
        view_var_east_m2=float(seen[0, 0]),
        view_cov_east_north_m2=float(seen[0, 1]),
        view_var_north_m2=float(seen[1, 1]),
    )


def _rank(gallery: Gallery, result: Fix | Rejection, truth_m: NDArray[np.float64]) -> int | None:
    """Place, from 1, of the first tile within one stride of the true view; 0 if none, None if unknowable."""
    if np.linalg.norm(gallery.positions_m - truth_m, axis=1).min() > gallery.stride_m:
        return None
    if result.matches is None:
        return 0
    right = np.linalg.norm(result.matches.position_m - truth_m, axis=1) <= gallery.stride_m
    return int(right.argmax()) + 1 if right.any() else 0


def _on_a_tile(gallery: Gallery, truth_m: NDArray[np.float64]) -> bool:
    apart_m = np.abs(gallery.positions_m - truth_m).max(1)
    return bool(apart_m.min() <= gallery.tile_size_m / 2)


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
    values = asdict(outcome).items()
    return {
        name: "" if value is None else int(value) if type(value) is bool else value for name, value in values
    }


def _outcome(row: dict[str, str]) -> FrameOutcome:
    row = dict.fromkeys(_ADDED, "") | row
    texts = {name: row[name] for name in ("reason", "detail", "reference")}
    numbers = {
        entry.name: float(row[entry.name]) if row[entry.name] else None
        for entry in fields(FrameOutcome)
        if entry.name not in {"stamp_s", "fix", "rank", "in_gallery", *texts}
    }
    return FrameOutcome(
        float(row["stamp_s"]),
        row["fix"] == "1",
        rank=int(row["rank"]) if row["rank"] else None,
        in_gallery=row["in_gallery"] == "1" if row["in_gallery"] else None,
        **texts,  # type: ignore[arg-type]
        **numbers,  # type: ignore[arg-type]
    )


def _matrix(ee: float | None, en: float | None, nn: float | None) -> NDArray[np.float64] | None:
    return None if ee is None or en is None or nn is None else np.array([[ee, en], [en, nn]])


def _nees(error_m: NDArray[np.float64] | None, covariance_m2: NDArray[np.float64] | None) -> float | None:
    if error_m is None or covariance_m2 is None:
        return None
    return float(error_m @ np.linalg.solve(covariance_m2, error_m)) / 2.0


def _difference_m(
    stated: tuple[float | None, float | None], truth: tuple[float | None, float | None]
) -> NDArray[np.float64] | None:
    if stated[0] is None or stated[1] is None or truth[0] is None or truth[1] is None:
        return None
    return east_north_m(LatLon(truth[0], truth[1]), LatLon(stated[0], stated[1]))


def _degrees(point: LatLon | None) -> tuple[float, float] | tuple[None, None]:
    return (point.lat_deg, point.lon_deg) if point else (None, None)
