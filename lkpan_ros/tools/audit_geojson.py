"""An audit as GeoJSON (RFC 7946): tiles as polygons, simulated places as points, WGS-84 longitude and latitude."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_model.whole_file import write_whole
from lkpan_ros.tools.audit_summary import CAVEAT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.tools.audit_flights import PlaceFigures
    from lkpan_ros.tools.audit_summary import Audit

MOST_TILES = 20_000  # some 9 MB; desktop GIS and web maps still open that at once
_DECIMALS = 7  # of a degree: a centimetre
_RING = np.array([(-1, 1), (-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2.0  # north-west first, anticlockwise


def write_geojson(path: Path, audit: Audit, summary: Mapping[str, Any]) -> None:
    """Write a FeatureCollection; its members beside the features are the summary, the caveat and what was left out.

    All tiles are listed where there are at most `MOST_TILES`; else those that are ambiguous or without texture, and
    of these the most alike.

    Raises:
        OSError: It cannot be written.
    """
    listed = _listed(audit)
    collection = {
        "type": "FeatureCollection",
        "gallery": audit.gallery.info.source_name,
        "summary": dict(summary),
        "caveat": CAVEAT,
        "tiles_left_out": len(audit.gallery) - len(listed),
        "features": [*_tiles(audit, listed), *(_place(audit, place) for place in audit.places)],
    }
    text = json.dumps(collection, allow_nan=False, separators=(",", ":"))
    write_whole(path, f"{text}\n".encode())


def _listed(audit: Audit) -> NDArray[np.int64]:
    """Rows of the tiles that become features."""
    if len(audit.gallery) <= MOST_TILES:
        return np.arange(len(audit.gallery))
    marked = np.flatnonzero(audit.ambiguous | audit.textureless)
    worst = np.argsort(-audit.look_alikes.similarity[marked], kind="stable")[:MOST_TILES]
    return np.sort(marked[worst])


def _tiles(audit: Audit, listed: NDArray[np.int64]) -> list[dict[str, Any]]:
    gallery, alike = audit.gallery, audit.look_alikes
    corners_m = gallery.positions_m[listed, None] + _RING * gallery.tile_size_m  # T x 5 x 2
    rings = _degrees(audit, corners_m)
    ambiguous = audit.ambiguous
    return [
        {
            "type": "Feature",
            "id": f"tile-{tile}",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "tile": tile,
                "look_alike_similarity": _rounded(alike.similarity[tile], 4),
                "look_alike_tile": int(alike.tile[tile]) if alike.tile[tile] >= 0 else None,
                "look_alike_distance_m": _rounded(alike.distance_m[tile], 1),
                "ambiguous": bool(ambiguous[tile]),
                "contrast": _rounded(audit.texture.contrast[tile], 2),
                "gradient": _rounded(audit.texture.gradient[tile], 2),
                "textureless": bool(audit.textureless[tile]),
            },
        }
        for tile, ring in zip(listed.tolist(), rings, strict=True)
    ]


def _place(audit: Audit, place: PlaceFigures) -> dict[str, Any]:
    errors = np.array(place.view_errors_m)
    return {
        "type": "Feature",
        "id": f"place-{place.tile}",
        "geometry": {
            "type": "Point",
            "coordinates": _degrees(audit, audit.gallery.positions_m[[[place.tile]]])[0][0],
        },
        "properties": {
            "tile": place.tile,
            "heading_deg": round(place.heading_deg, 1),
            "frames": place.frames,
            "fixes": place.fixes,
            "availability": _rounded(place.availability, 4) if place.frames else None,
            "view_error_median_m": _rounded(np.median(errors), 2) if errors.size else None,
            "view_error_p90_m": _rounded(np.percentile(errors, 90), 2) if errors.size else None,
            "false_fixes": place.false_fixes,
            "first_fix_s": place.first_fix_s,
            "reason": place.main_reason,
        },
    }


def _degrees(audit: Audit, points_m: NDArray[np.float64]) -> list[list[list[float]]]:
    """(T, K, 2) east and north to lists of K longitudes and latitudes."""
    lat_lon = audit.gallery.frame.to_geographic(points_m[..., 0], points_m[..., 1])
    lon = lat_lon[..., 1]
    # A tile on the antimeridian stays in one piece: all of its corners are given on the side of the first.
    lon = lon + 360.0 * np.rint((lon[:, :1] - lon) / 360.0)
    rounded: list[list[list[float]]] = np.stack([lon, lat_lon[..., 0]], axis=-1).round(_DECIMALS).tolist()
    return rounded


def _rounded(value: float | np.floating[Any], digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
