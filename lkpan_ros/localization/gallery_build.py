"""From a map to a gallery: north-up square tiles on a metric grid, encoded as the localizer's patches are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.errors import MapError
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_info import GalleryInfo
from lkpan_ros.localization.gallery_pieces import describe, joined_mosaic
from lkpan_ros.localization.map_units import MIN_VALID_SHARE, read_unit, units
from lkpan_ros.localization.stored_array import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from lkpan_ros.localization.gallery_pieces import KeptPieces, PatchEncoder, Piece
    from lkpan_ros.localization.map_units import UnitPixels
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid

_AHEAD = 2  # units that are read while one is encoded


def build(
    source: MapSource,
    encoder: PatchEncoder,
    grid: TileGrid,
    *,
    batch_size: int = 32,
    kept: KeptPieces | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Gallery:
    """Cut a map into tiles and encode them; tiles with less than `MIN_VALID_SHARE` of it are left out.

    The map is read, warped and compressed by another thread, ahead of the encoder.

    Args:
        source: The map.
        encoder: The encoder that the localizer will use.
        grid: Made by `tile_grid.plan` for this map.
        batch_size: Tiles encoded at a time.
        kept: Pieces of an earlier run that was cut off, and where this one keeps its own; the gallery reads them until it
            is saved. None: all is kept in memory.
        progress: Called with a number of tiles each time that many have been dealt with, left out ones included.

    Raises:
        MapError: The map is damaged, or no tile has enough of it.
        GalleryError: The encoder returned no descriptors of unit length.
    """
    return assembled(
        source, encoder.identity, grid, _pieces(source, encoder, grid, batch_size, kept, progress)
    )


def _pieces(
    source: MapSource,
    encoder: PatchEncoder,
    grid: TileGrid,
    batch_size: int,
    kept: KeptPieces | None,
    progress: Callable[[int], object],
) -> Iterator[Piece]:
    """Of all units, in their order."""
    for pixels in _read_ahead(source, grid):
        progress(pixels.left_out)
        key = "" if kept is None else kept.key(pixels)
        piece = None if kept is None else kept.find(key)
        if piece is not None:
            progress(len(piece.positions_m))
        else:
            piece = describe(encoder, pixels, batch_size, progress)
            if kept is not None:
                piece = kept.keep(key, piece)
        yield piece


def _read_ahead(source: MapSource, grid: TileGrid) -> Iterator[UnitPixels]:
    """The pixels of all units, in their order."""
    waiting = units(grid)[::-1]
    with ThreadPoolExecutor(1, "map reader") as reader:  # one: a map is not to be read by several

        def read_next() -> UnitPixels:
            pixels = read_unit(source, grid, waiting.pop())
            pixels.digest  # noqa: B018 - hashed here, not while the encoder waits
            return pixels

        futures = [reader.submit(read_next) for _ in range(min(_AHEAD, len(waiting)))]
        submitted, total = len(futures), len(units(grid))
        try:
            while futures:
                pixels = futures.pop(0).result()
                if submitted < total:
                    futures.append(reader.submit(read_next))
                    submitted += 1
                yield pixels
        finally:
            reader.shutdown(cancel_futures=True)


def assembled(source: MapSource, encoder: Any, grid: TileGrid, pieces: Iterable[Piece]) -> Gallery:
    """The gallery of the pieces of all units.

    Args:
        source: The map.
        encoder: Identity of the encoder.
        grid: Where its tiles lie.
        pieces: In the order of `units`.

    Raises:
        MapError: No tile has enough of the map.
    """
    made = list(pieces)
    whole = [piece for piece in made if len(piece.positions_m)]
    if not whole:
        raise MapError(
            f"{source.name}: none of {len(grid.lefts) * len(grid.tops)} tiles of {grid.tile_size_m:g} m has "
            f"{MIN_VALID_SHARE:.0%} of the map in it; give a map with less nodata or a smaller --tile-size-m"
        )
    return Gallery(
        _info(source, encoder, grid),
        joined([piece.descriptors for piece in whole]),
        np.concatenate([piece.positions_m for piece in whole]),
        joined_mosaic(grid.pixels, list(zip(units(grid), made, strict=True))),
    )


def _info(source: MapSource, encoder: Any, grid: TileGrid) -> GalleryInfo:
    bounds = source.bounds
    return GalleryInfo(
        datum=source.center,
        tile_size_m=grid.tile_size_m,
        stride_m=grid.stride_m,
        tile_px=grid.tile_px,
        grid=grid.pixels,
        source_name=source.name,
        source_crs=source.crs,
        source_bounds=(bounds.west, bounds.south, bounds.east, bounds.north),
        encoder=encoder.to_dict(),
        created_by=software(),
    )


def software() -> str:
    """Name and version of this package."""
    try:
        return f"lkpan_ros {version('lkpan_ros')}"
    except PackageNotFoundError:
        return "lkpan_ros, not installed"
