"""From a map to a gallery: north-up square tiles on a metric grid, encoded as the localizer's patches are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lkpan_ros.errors import GalleryError, MapError
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_info import GalleryInfo
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.kept_descriptors import are_unit
from lkpan_ros.localization.mosaic import BLOCK_PX, MosaicWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.kept_descriptors import KeptDescriptors
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid

MIN_VALID_SHARE = 0.8  # a tile with less of the map in it is left out


class PatchEncoder(Protocol):
    """What a gallery needs of `lkpan_model.encoder.Encoder`."""

    @property
    def identity(self) -> Any:
        """Config, hash of the weights and preprocessing."""

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """H x W x 3 uint8 RGB images to (B, D) float32 descriptors of unit length."""


@dataclass(frozen=True, eq=False)
class _Tile:
    """A tile before it is encoded: its centre (east, north in metres) and its pixels."""

    center_m: tuple[float, float]
    image: NDArray[np.uint8]


def build(
    source: MapSource,
    encoder: PatchEncoder,
    grid: TileGrid,
    *,
    batch_size: int = 32,
    kept: KeptDescriptors | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Gallery:
    """Cut a map into tiles and encode them.

    The map is read once, in strips; tiles with less than `MIN_VALID_SHARE` of it are left out.

    Args:
        source: The map.
        encoder: The encoder that the localizer will use.
        grid: Made by `tile_grid.plan` for this map.
        batch_size: Tiles encoded at a time.
        kept: Descriptors of an earlier run that was cut off, and where this one keeps its own.
        progress: Called with a number of tiles each time that many have been dealt with, left out ones included.

    Raises:
        MapError: The map is damaged, or no tile has enough of it.
        GalleryError: The encoder returned no descriptors of unit length.
    """
    writer = MosaicWriter(grid.pixels)
    descriptors: list[NDArray[np.float16]] = []
    positions: list[tuple[float, float]] = []
    tiles = _tiles(source, grid, writer)
    while batch := list(islice(tiles, batch_size)):
        whole = [tile for tile in batch if tile is not None]
        if whole:
            descriptors.append(_encode(encoder, [tile.image for tile in whole], kept))
            positions += [tile.center_m for tile in whole]
        progress(len(batch))
    if not positions:
        raise _nothing_left(source, grid)
    return Gallery(
        _info(source, encoder, grid),
        np.concatenate(descriptors),
        np.array(positions, np.float64),
        writer.finish(),
    )


def _nothing_left(source: MapSource, grid: TileGrid) -> MapError:
    return MapError(
        f"{source.name}: none of {len(grid.lefts) * len(grid.tops)} tiles of {grid.tile_size_m:g} m has "
        f"{MIN_VALID_SHARE:.0%} of the map in it; give a map with less nodata or a smaller --tile-size-m"
    )


def _tiles(source: MapSource, grid: TileGrid, writer: MosaicWriter) -> Iterator[_Tile | None]:
    """Every tile of the grid, row by row from the north; None for one with too little of the map in it."""
    for top, rgb, mask in _tile_rows(source, grid, writer):
        for left in grid.lefts:
            inside = np.s_[:, left : left + grid.tile_px]
            enough = mask[inside].mean() >= MIN_VALID_SHARE
            yield _Tile(grid.center_m(left, top), rgb[inside].copy()) if enough else None


def _info(source: MapSource, encoder: PatchEncoder, grid: TileGrid) -> GalleryInfo:
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
        encoder=encoder.identity.to_dict(),
        created_by=software(),
    )


def software() -> str:
    """Name and version of this package."""
    try:
        return f"lkpan_ros {version('lkpan_ros')}"
    except PackageNotFoundError:
        return "lkpan_ros, not installed"


def _tile_rows(
    source: MapSource, grid: TileGrid, writer: MosaicWriter
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
    """The pixels of each row of tiles (top row, tile_px x W x 3, tile_px x W); every block goes to the writer."""
    pixels, frame = grid.pixels, LocalFrame(source.center)
    width = pixels.columns * BLOCK_PX
    rgb: NDArray[np.uint8] = np.zeros((0, width, 3), np.uint8)
    mask: NDArray[np.bool_] = np.zeros((0, width), np.bool_)
    tops = iter(grid.tops)
    top: int | None = next(tops)
    start = 0  # the mosaic's row that `rgb` begins with
    for row in range(pixels.rows):
        north_m = pixels.north_m - row * BLOCK_PX * pixels.gsd_m
        strip = source.read_local(frame, pixels.west_m, north_m, width, BLOCK_PX, pixels.gsd_m)
        writer.add_row(*strip)
        rgb, mask = np.concatenate([rgb, strip[0]]), np.concatenate([mask, strip[1]])
        while top is not None and top + grid.tile_px <= start + len(rgb):
            here = slice(top - start, top - start + grid.tile_px)
            yield top, rgb[here], mask[here]
            top = next(tops, None)
        done = len(rgb) if top is None else min(len(rgb), max(0, top - start))
        rgb, mask, start = rgb[done:], mask[done:], start + done


def _encode(
    encoder: PatchEncoder, images: list[NDArray[np.uint8]], kept: KeptDescriptors | None
) -> NDArray[np.float16]:
    if kept is not None and (earlier := kept.find(images)) is not None:
        return earlier
    descriptors = encoder.encode(images).astype(np.float16)
    if len(descriptors) != len(images) or not are_unit(descriptors):
        raise GalleryError(
            f"the encoder made of {len(images)} tiles descriptors {descriptors.shape} that are not of unit length; "
            "check its weights, or use --precision fp32"
        )
    if kept is not None:
        kept.keep(images, descriptors)
    return descriptors
