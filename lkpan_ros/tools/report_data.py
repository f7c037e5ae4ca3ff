"""What the page of a flight draws, as values that JSON can carry. Places are metres east and north of the datum."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.tools.flight_exhibits import webp
from lkpan_ros.tools.summary_table import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.outcomes import FrameOutcome
    from lkpan_ros.tools.flight_exhibits import Exhibit, Exhibits

_MAP_PX = 3072
_MAP_QUALITY = 72
_MARGIN_M, _MARGIN_SHARE = 120.0, 0.3  # about the flight: at least, and of its size
_COARSEST = (
    8  # as many times coarser than the gallery the map may be; a larger one would take minutes to read
)
_NO_MAP = (58, 65, 73)  # where the gallery has no pixels; the page's own ground


def page_data(
    gallery: Gallery, outcomes: Sequence[FrameOutcome], exhibits: Exhibits, radius_m: float
) -> dict[str, Any]:
    """Map, tiles and frames. Unknown values are None.

    Args:
        gallery: That was searched.
        outcomes: Of the frames, in their order.
        exhibits: Of the same frames.
        radius_m: `gate.radius_m`.
    """
    frames = [
        _frame(gallery, outcome, exhibit)
        for outcome, exhibit in zip(outcomes, exhibits.of_frames, strict=True)
    ]
    return {
        "map": _map(gallery, frames),
        "tileSize": gallery.tile_size_m,
        "radius": radius_m,
        "tiles": {
            tile: {"at": _rounded(gallery.positions_m[tile]), "image": _data_uri(image)}
            for tile, image in exhibits.tiles.items()
        },
        "frames": frames,
    }


def _frame(gallery: Gallery, outcome: FrameOutcome, exhibit: Exhibit) -> dict[str, Any]:
    true_view = _local(gallery, outcome.true_view_lat, outcome.true_view_lon)
    return {
        "stamp": outcome.stamp_s,
        "file": exhibit.file,
        "fix": outcome.fix,
        "false": outcome.false_fix,
        "inGallery": outcome.in_gallery,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "reference": outcome.reference,
        "probability": _finite(outcome.probability),
        "latLon": None if outcome.lat is None else [outcome.lat, outcome.lon],
        "position": _local(gallery, outcome.lat, outcome.lon),
        "covariance": _upper(outcome.covariance_m2),
        "view": _local(gallery, outcome.view_lat, outcome.view_lon),
        "viewCovariance": _upper(outcome.view_covariance_m2),
        "truth": _local(gallery, outcome.true_lat, outcome.true_lon),
        "trueView": true_view,
        "error": _length(outcome.error_m),
        "viewError": _length(outcome.view_error_m),
        "nees": _finite(outcome.nees),
        "rank": outcome.rank,
        "total": outcome.latency_ms,
        "stages": [[stage, getattr(outcome, f"{stage}_ms")] for stage in STAGES],
        "patch": _data_uri(exhibit.patch),
        "picture": _data_uri(exhibit.picture),
        "assumedHeading": exhibit.assumed_heading_deg,
        "matches": [[match.tile, match.similarity] for match in exhibit.matches],
        "registration": _registration(exhibit),
    }


def _map(gallery: Gallery, frames: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The picture about the flight; focus: west, south, east and north of the flight itself."""
    low, high = _extent(gallery, frames)
    margin_m = max(_MARGIN_M, _MARGIN_SHARE * float((high - low).max()))
    west, north = low[0] - margin_m, high[1] + margin_m
    east_m, north_m = high - low + 2 * margin_m
    gsd_m = max(gallery.gsd_m, float(max(east_m, north_m)) / _MAP_PX)
    width, height = math.ceil(east_m / gsd_m), math.ceil(north_m / gsd_m)
    picture, mask = gallery.mosaic.read_local(west, north, width, height, gsd_m)
    picture[~mask] = _NO_MAP
    return {
        "west": float(west),
        "north": float(north),
        "gsd": gsd_m,
        "width": width,
        "height": height,
        "focus": [*_rounded(low), *_rounded(high)],
        "image": _data_uri(webp(picture, _MAP_PX, _MAP_QUALITY)),
    }


def _extent(
    gallery: Gallery, frames: Sequence[dict[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """South-west and north-east of all that happened, as far as it can be read; of the gallery, if nothing did."""
    names = ("truth", "trueView", "position", "view")
    places = [frame[name] for frame in frames for name in names if frame[name] is not None]
    points = np.array(places) if places else gallery.positions_m
    middle = np.median(points, axis=0)
    half = np.full(2, _MAP_PX * _COARSEST * gallery.gsd_m / 2)
    # Where a part is too far away (a false fix, a wrong truth), what most frames are about stays.
    return np.maximum(points.min(0), middle - half), np.minimum(points.max(0), middle + half)


def _registration(exhibit: Exhibit) -> dict[str, Any] | None:
    found = exhibit.registration
    if found is None:
        return None
    return {
        "at": _rounded(np.array(found.position_m)),
        "quality": _finite(found.quality),
        "turn": _finite(found.turn_deg),
        "scale": _finite(found.scale),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no word for the others."""
    return value if value is not None and math.isfinite(value) else None


def _local(gallery: Gallery, lat: float | None, lon: float | None) -> list[float] | None:
    if lat is None or lon is None:
        return None
    return _rounded(gallery.frame.to_local(lat, lon))


def _upper(covariance: NDArray[np.float64] | None) -> list[float] | None:
    if covariance is None:
        return None
    return [float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])]


def _length(error: NDArray[np.float64] | None) -> float | None:
    return None if error is None else _finite(float(np.hypot(*error)))


def _rounded(point: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 3) for value in point]


def _data_uri(image: bytes | None) -> str | None:
    return None if image is None else "data:image/webp;base64," + base64.b64encode(image).decode()
