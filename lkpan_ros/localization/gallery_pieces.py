"""The pieces of a gallery, one a unit of its map: described, kept for a run that goes on, and put together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.mosaic import EMPTY, Mosaic, PixelGrid
from lkpan_ros.localization.stored_array import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.map_units import Unit, UnitPixels
    from lkpan_ros.localization.stored_array import AnyArray

_ARRAYS = ("descriptors", "positions_m", "data", "offsets", "mask_row", "masks")


class PatchEncoder(Protocol):
    """What a gallery needs of `lkpan_model.encoder.Encoder`."""

    @property
    def identity(self) -> Any:
        """Config, hash of the weights and preprocessing."""

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """H x W x 3 uint8 RGB images to (B, D) float32 descriptors of unit length."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What a unit gives to the gallery: T tiles and B blocks.

    Attributes:
        descriptors: (T, D) float16; (0, 0) without tiles.
        positions_m: (T, 2) float64.
        data: As `Mosaic`, of the unit's blocks.
        offsets: The same.
        mask_row: The same.
        masks: The same.
    """

    descriptors: AnyArray
    positions_m: NDArray[np.float64]
    data: AnyArray
    offsets: NDArray[np.int64]
    mask_row: NDArray[np.int32]
    masks: NDArray[np.uint8]


def describe(
    encoder: PatchEncoder, pixels: UnitPixels, batch_size: int, progress: Callable[[int], object]
) -> Piece:
    """Encode the tiles of a unit.

    Raises:
        GalleryError: The encoder returned no descriptors of unit length.
    """
    found: list[NDArray[np.float16]] = [np.empty((0, 0), np.float16)] if not len(pixels.corners) else []
    for start in range(0, len(pixels.corners), batch_size):
        images = pixels.images(start, start + batch_size)
        descriptors = encoder.encode(images).astype(np.float16)
        if len(descriptors) != len(images) or not are_unit(descriptors):
            raise GalleryError(
                f"the encoder made of {len(images)} tiles descriptors {descriptors.shape} that are not of unit length; "
                "check its weights, or use --precision fp32"
            )
        found.append(descriptors)
        progress(len(images))
    mosaic = pixels.mosaic
    return Piece(
        np.concatenate(found), pixels.positions_m, mosaic.data, mosaic.offsets, mosaic.mask_row, mosaic.masks
    )


def are_unit(descriptors: NDArray[np.float16]) -> bool:
    """Whether all of (B, D) descriptors have length 1, as far as 16 bits can say."""
    norms = np.linalg.norm(descriptors.astype(np.float32), axis=1)
    return bool((np.abs(norms - 1) < 0.01).all())


def encoder_words(identity: Any) -> str:
    """An encoder's identity as a line of text."""
    return json.dumps(identity.to_dict(), sort_keys=True)


def piece_key(encoder: str, pixels: UnitPixels) -> str:
    """What tells the piece of these pixels, described by this encoder (`encoder_words`), from all others."""
    return hashlib.sha256(f"{encoder}\n{pixels.digest}".encode()).hexdigest()


class KeptPieces:
    """Pieces on disk, found again by the very pixels and encoder that they were made from.

    Args:
        folder: Made when first needed; `remove` deletes it.
        encoder: Identity of the encoder.
    """

    def __init__(self, folder: Path, encoder: Any) -> None:
        self._folder = folder
        self._encoder = encoder_words(encoder)

    def key(self, pixels: UnitPixels) -> str:
        """Under which the piece of these pixels is kept."""
        return piece_key(self._encoder, pixels)

    def keys(self) -> frozenset[str]:
        """Of all that are kept."""
        return frozenset(path.stem for path in self._folder.glob("*.piece"))

    def find(self, key: str) -> Piece | None:
        """What is kept, left on disk; None where there is nothing, or it is damaged."""
        try:
            _, arrays, _ = gallery_file.read(self._path(key), mapped_from_bytes=0)
            arrays["descriptors"][:], arrays["data"][:]  # verified now, while it can still be made again
            return Piece(**{name: arrays[name] for name in _ARRAYS})
        except (GalleryError, KeyError):
            return None

    def keep(self, key: str, piece: Piece) -> Piece:
        """Keep a piece.

        Returns:
            The same, left on disk.

        Raises:
            OSError: The disk is full, the folder is not writable.
        """
        self._folder.mkdir(exist_ok=True)
        gallery_file.write(
            self._path(key), json.dumps({"piece": key}), {name: getattr(piece, name) for name in _ARRAYS}
        )
        kept = self.find(key)
        if kept is None:
            raise GalleryError(f"{self._path(key)}: cannot be read back; is the disk damaged?")
        return kept

    def remove(self) -> None:
        """Delete what was kept; anything else in the folder stays."""
        if self._folder.is_dir():
            for file in [*self._folder.glob("*.piece"), *self._folder.glob(".*.tmp")]:
                file.unlink()
            if not any(self._folder.iterdir()):
                self._folder.rmdir()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.piece"


def joined_mosaic(grid: PixelGrid, pieces: Sequence[tuple[Unit, Piece]]) -> Mosaic:
    """The mosaic of all units."""
    lengths = np.zeros((grid.rows, grid.columns), np.int64)
    mask_row = np.full((grid.rows, grid.columns), EMPTY, np.int32)
    masks, masked = [], 0
    strips: dict[tuple[int, int], AnyArray] = {}  # a row of a unit's blocks, by the place of its first
    for unit, piece in pieces:
        here = np.s_[unit.row : unit.row + unit.rows, unit.column : unit.column + unit.columns]
        lengths[here] = np.diff(piece.offsets).reshape(unit.rows, unit.columns)
        rows = piece.mask_row.reshape(unit.rows, unit.columns)
        mask_row[here] = np.where(rows >= 0, rows + masked, rows)
        masks.append(piece.masks)
        masked += len(piece.masks)
        for row, start in enumerate(range(0, unit.rows * unit.columns, unit.columns)):
            first, end = piece.offsets[[start, start + unit.columns]].tolist()
            strips[unit.row + row, unit.column] = piece.data[first:end]
    return Mosaic(
        grid=grid,
        data=joined([strips[place] for place in sorted(strips)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        mask_row=mask_row.ravel(),
        masks=np.concatenate(masks),
    )
