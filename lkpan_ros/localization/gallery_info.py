"""How a gallery was made: what its file says besides its arrays."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.mosaic import TILE_PX_RANGE, PixelGrid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lkpan_model.identity import EncoderIdentity


FARTHEST_M = 5_000_000.0  # from the datum: there the local frame still means something


@dataclass(frozen=True)
class IndexInfo:
    """How tiles are looked up by their descriptors.

    Attributes:
        spec: `exact`, or a FAISS factory string.
        probes: How many lists of an inverted file (or nodes of a graph) a search looks at; 0: it has neither.
        refined: How many candidates are ranked by finer codes in memory before that; 0: there are none.
        shortlist: How many candidates of the index are ranked by their full descriptors; 0: exact.
        recall_at_1: Share of held-out views whose best tile by exact search is the best by this one; None: exact.
        recall_at_10: Share of the best ten by exact search that are among the best ten by this one; None: exact.
        queries: How many views these shares were measured with.
        bytes_per_tile: Memory that it takes.
    """

    spec: str = "exact"
    probes: int = 0
    refined: int = 0
    shortlist: int = 0
    recall_at_1: float | None = None
    recall_at_10: float | None = None
    queries: int = 0
    bytes_per_tile: float = 0.0

    def __post_init__(self) -> None:
        _require(self.spec, str)
        for count in (self.probes, self.refined, self.shortlist, self.queries):
            _require(count, int)
        for share in (self.recall_at_1, self.recall_at_10, self.bytes_per_tile):
            _require(share, int, float, NoneType)
        if min(self.probes, self.refined, self.shortlist, self.queries) < 0:
            raise ValueError(f"{self} is no index of a gallery")

    def __str__(self) -> str:
        if self.recall_at_10 is None:
            return self.spec
        return (
            f"{self.spec} (recall@10 {self.recall_at_10:.3f} of exact search, {self.queries} held-out views)"
        )


@dataclass(frozen=True)
class GalleryInfo:
    """How a gallery was made.

    Attributes:
        datum: Origin of its local frame.
        tile_size_m: Side of a tile's footprint.
        stride_m: Distance between neighbouring tiles.
        tile_px: Side of a tile, pixels; tile_px * grid.gsd_m = tile_size_m.
        grid: The pixels of the mosaic, of which the tiles are cut.
        source_name: The map, for people.
        source_crs: Its coordinate reference system.
        source_bounds: West, south, east, north of the map in the units of its CRS.
        encoder: Identity of the encoder that made the descriptors: config, hash of the weights, preprocessing.
        created_by: Name and version of the software.
        index: How its tiles are looked up.
    """

    datum: LatLon
    tile_size_m: float
    stride_m: float
    tile_px: int
    grid: PixelGrid
    source_name: str
    source_crs: str
    source_bounds: tuple[float, float, float, float]
    encoder: Mapping[str, Any]
    created_by: str
    index: IndexInfo = field(default_factory=IndexInfo)

    def to_json(self) -> str:
        """Canonical: the same information gives the same text."""
        values = asdict(self)
        if not self.index.refined:
            del values["index"][
                "refined"
            ]  # so that files from before there were finer codes keep their hashes
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GalleryInfo:
        """The inverse of `to_json`, parsed.

        Raises:
            TypeError, ValueError, KeyError: The values are not as `to_json` writes them.
        """
        info = cls(
            **{
                **values,
                "datum": LatLon(**values["datum"]),
                "grid": PixelGrid(**values["grid"]),
                "index": IndexInfo(**values["index"]),
                "source_bounds": tuple(float(v) for v in values["source_bounds"]),
            }
        )
        grid = info.grid
        _check_kinds(info)
        sizes = (info.tile_size_m, info.stride_m, grid.gsd_m, grid.columns, grid.rows)
        if not all(0 < size < math.inf for size in sizes):
            raise ValueError(f"tile size, stride, GSD, columns and rows {sizes} are not positive")
        if not TILE_PX_RANGE[0] <= info.tile_px <= TILE_PX_RANGE[1]:
            raise ValueError(f"tiles of {info.tile_px} pixels a side")
        if abs(info.tile_px * grid.gsd_m / info.tile_size_m - 1) > 1e-9:
            raise ValueError(f"{info.tile_px} pixels of {grid.gsd_m} m are not {info.tile_size_m} m")
        return info


def _check_kinds(info: GalleryInfo) -> None:
    """JSON may hold a text where a number is meant, and a list where a text."""
    grid = info.grid
    for value in (info.tile_size_m, info.stride_m, info.datum.lat_deg, info.datum.lon_deg, grid.gsd_m):
        _require(value, int, float)
    for value in (grid.west_m, grid.north_m):
        _require(value, int, float)
        if not abs(value) < FARTHEST_M:
            raise ValueError(f"pixels that begin {value} m from the datum")
    for value in (info.tile_px, grid.columns, grid.rows):
        _require(value, int)
    for text in (info.source_name, info.source_crs, info.created_by):
        _require(text, str)
    _require(info.encoder, dict)


def _require(value: object, *kinds: type) -> None:
    if type(value) not in kinds:
        raise TypeError(f"{value!r:.40} is no {' or '.join(kind.__name__ for kind in kinds)}")


def check_encoder(path: Path, made_with: Mapping[str, Any], used: EncoderIdentity) -> None:
    """Refuse a gallery whose descriptors cannot be compared with those of the encoder in use.

    Raises:
        GalleryError: It was made with another config, other weights or another preprocessing.
    """
    made, wanted = _flat(made_with), _flat(json.loads(json.dumps(used.to_dict())))
    names = [name for name in {**made, **wanted} if made.get(name) != wanted.get(name)]
    if names:
        details = "; ".join(f"{name}: gallery {made.get(name)}, encoder {wanted.get(name)}" for name in names)
        raise GalleryError(
            f"{path}: was made with another encoder ({details}); rebuild it with build_gallery --weights of this "
            "encoder, or use the weights that it was made with"
        )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"config": {"heads": 8}} to {"config.heads": 8}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in _flat(value).items()}
        else:
            flat[name] = value
    return flat
