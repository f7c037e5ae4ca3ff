"""The gallery: descriptors of a map's tiles, where the tiles lie, and the map's pixels, in one file."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file, gallery_shards
from lkpan_ros.localization.gallery_index import EXACT, CompressedIndex, ExactIndex
from lkpan_ros.localization.gallery_info import FARTHEST_M, GalleryInfo, IndexInfo, check_encoder
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.mosaic import Mosaic
from lkpan_ros.localization.retrieval import best_of_each_tile
from lkpan_ros.localization.tile_places import TilePlaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_model.identity import EncoderIdentity
    from lkpan_ros.localization.gallery_index import Rows, TileIndex
    from lkpan_ros.localization.geodesy import LatLon
    from lkpan_ros.localization.signature import PublicKey
    from lkpan_ros.localization.stored_array import AnyArray
    from lkpan_ros.localization.types import Matches

_REBUILD = "rebuild it with build_gallery"


class Gallery:
    """Tiles of a map that a view can be looked up in. Safe to be read from several threads.

    Args:
        info: How it was made, and how its tiles are looked up.
        descriptors: (N, D) float16 or float32, unit length.
        positions_m: (N, 2) float64, east and north of the tiles' centres in the local frame.
        mosaic: The map's pixels.
        index: (B,) uint8, the FAISS index that `info.index` describes, serialized; None where that is exact.

    Raises:
        GalleryError: The arrays contradict one another.
    """

    def __init__(
        self,
        info: GalleryInfo,
        descriptors: AnyArray,
        positions_m: NDArray[np.float64],
        mosaic: Mosaic,
        index: NDArray[np.uint8] | None = None,
    ) -> None:
        count = len(descriptors)
        if count == 0 or len(descriptors.shape) != 2 or positions_m.shape != (count, 2):
            raise GalleryError(
                f"descriptors {descriptors.shape} and positions {positions_m.shape} contradict one another; {_REBUILD}"
            )
        if (index is None) != (info.index.spec == EXACT):
            raise GalleryError(f"the index is not the one that its information names; {_REBUILD}")
        # What is read from a file only when it is used was checked when it was written.
        read = [positions_m, descriptors] if isinstance(descriptors, np.ndarray) else [positions_m]
        if not (all(np.isfinite(array).all() for array in read) and np.abs(positions_m).max() < FARTHEST_M):
            raise GalleryError(f"descriptors or positions are not finite, or too far; {_REBUILD}")
        self.info = info
        self.mosaic = mosaic
        self.frame = LocalFrame(info.datum)
        self.positions_m = np.asarray(positions_m, np.float64)
        self.positions_m.flags.writeable = False
        self._rows: Rows = (
            descriptors.astype(np.float16, copy=False) if isinstance(descriptors, np.ndarray) else descriptors
        )
        self._index_blob = index
        self._places = TilePlaces(self.positions_m, info.stride_m)
        self._content_hash: str | None = None

    def __len__(self) -> int:
        return len(self.positions_m)

    @property
    def tile_size_m(self) -> float:
        """Side of a tile's footprint, metres."""
        return self.info.tile_size_m

    @property
    def stride_m(self) -> float:
        """Distance between neighbouring tiles, metres."""
        return self.info.stride_m

    @property
    def gsd_m(self) -> float:
        """Side of a pixel of the tiles and of the mosaic, metres."""
        return self.info.grid.gsd_m

    @property
    def tile_px(self) -> int:
        """Side of a tile, pixels."""
        return self.info.tile_px

    @property
    def rows(self) -> Rows:
        """All descriptors, (N, D) float16; to be read in pieces, since they may lie in a file."""
        return self._rows

    @cached_property
    def _index(self) -> TileIndex:
        """Made when first needed: while a large gallery is built, nobody searches it."""
        if self._index_blob is not None:
            return CompressedIndex(self._index_blob, self.info.index, self._rows)
        exact = ExactIndex(self._rows)
        self._rows = exact.rows  # once in memory
        return exact

    @property
    def descriptor_dim(self) -> int:
        """Length D of a descriptor."""
        return self._rows.shape[1]

    @property
    def encoder_identity(self) -> EncoderIdentity:
        """The encoder that made the descriptors."""
        from lkpan_model.identity import EncoderIdentity  # noqa: PLC0415 - torch takes seconds to import

        return EncoderIdentity.from_dict(self.info.encoder)

    @property
    def content_hash(self) -> str:
        """SHA-256, hexadecimal, over all that the gallery holds."""
        if self._content_hash is None:
            self._content_hash = gallery_file.content_hash(self.info.to_json(), self._arrays())
        return self._content_hash

    def save(self, path: str | Path, shard_bytes: int = gallery_shards.SHARD_BYTES) -> None:
        """Write the gallery; under its final name it is whole or not there at all.

        Args:
            path: The file.
            shard_bytes: Descriptors and pixels of more go to several files beside it, see `gallery_shards`.

        Raises:
            OSError: The disk is full, the folder is not writable.
        """
        self._content_hash = gallery_shards.write(
            Path(path), self.info.to_json(), self._arrays(), shard_bytes
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        encoder_identity: EncoderIdentity | None = None,
        index: str = "",
        public_key: PublicKey | None = None,
    ) -> Gallery:
        """Read and verify a gallery; one of gigabytes is mapped, and what is used of it verified at that moment.

        Args:
            path: The file.
            encoder_identity: Of the encoder that will be used with it; None: not checked.
            index: How its tiles are looked up: empty: as the file says, `exact`: by comparing all of them.
            public_key: Whose signature it must have; None: not asked for.

        Raises:
            GalleryError: The file is missing, truncated, altered, of a future version, no gallery, or was made with
                another encoder or another index than the one asked for; as SignatureError, it is not signed.
        """
        path = Path(path)
        values, arrays, digest = gallery_shards.read(path, public_key)
        try:
            info = GalleryInfo.from_dict(values)
            descriptors, positions_m = arrays.pop("descriptors"), arrays.pop("positions_m")
            if encoder_identity is not None:
                check_encoder(path, info.encoder, encoder_identity)
            if index == EXACT:
                arrays.pop("index", None)
                info = replace(info, index=IndexInfo())
            elif index not in ("", info.index.spec):
                raise GalleryError(
                    f"{path}: has the index {info.index.spec}, not {index}; rebuild it with build_gallery --index "
                    f"'{index}', or leave gallery.index empty"
                )
            # FAISS reads what was checked: of a mapped file all of its index, here.
            blob = arrays.pop("index")[:] if "index" in arrays else None
            gallery = cls(info, descriptors, positions_m, Mosaic(info.grid, **arrays), blob)
            gallery._index  # noqa: B018 - made now, not while a frame waits
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise GalleryError(
                f"{path}: its parts are not those of a gallery ({error}); {_REBUILD}"
            ) from error
        gallery._content_hash = digest
        return gallery

    def indexed(self, info: IndexInfo, index: NDArray[np.uint8] | None) -> Gallery:
        """The same gallery, looked up in another way; see the class."""
        return Gallery(replace(self.info, index=info), self._rows, self.positions_m, self.mosaic, index)

    def _arrays(self) -> dict[str, Any]:
        mosaic = self.mosaic
        index = {} if self._index_blob is None else {"index": self._index_blob}
        return {
            "descriptors": self._rows,
            "positions_m": self.positions_m,
            "data": mosaic.data,
            "offsets": mosaic.offsets,
            "mask_row": mosaic.mask_row,
            "masks": mosaic.masks,
            **index,
        }

    def footprint(self, tile: int) -> tuple[LatLon, LatLon, LatLon, LatLon]:
        """North-west, north-east, south-east and south-west corner of a tile."""
        east, north = self.positions_m[tile]
        half = self.tile_size_m / 2
        corners = ((-half, half), (half, half), (half, -half), (-half, -half))
        nw, ne, se, sw = (self.frame.point(east + x, north + y) for x, y in corners)
        return nw, ne, se, sw

    def descriptors(self, tiles: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of some tiles, (B,) rows of the gallery: (B, D) float32, of unit length as far as 16 bits can say."""
        return np.asarray(self._rows[np.asarray(tiles, np.int64)], np.float32)

    def search(
        self,
        descriptors: NDArray[np.float32],
        candidates: int,
        near: tuple[float, float, float] | None = None,
        *,
        turns_deg: Sequence[float] = (),
    ) -> Matches:
        """The tiles most similar to any of some descriptors of one view.

        Which tiles these are is exact where the index is, and where `near` leaves so few that they are compared one
        by one; how similar they are is exact in any case.

        Args:
            descriptors: (R, D) float32, unit length: the view, turned R ways.
            candidates: How many tiles at most, 1 or more.
            near: East, north and radius in metres: only tiles whose centre lies within; None: all.
            turns_deg: What each descriptor's view is turned by; empty: nothing.

        Returns:
            The tiles, best first; none where `near` leaves none.

        Raises:
            GalleryError: The descriptors are not (R, D) finite numbers, or `candidates` is below 1.
        """
        queries = self._checked_queries(descriptors)
        if candidates < 1:
            raise GalleryError(f"{candidates} candidates are none; ask for 1 or more")
        among = None if near is None else self._places.within(*near)
        candidates = min(candidates, len(self) if among is None else len(among))
        if candidates:
            similarity, tile = self._index.search(queries, candidates, among)
        else:
            similarity, tile = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        turns = np.array(turns_deg or [0.0] * len(queries))
        return best_of_each_tile(similarity, tile, self.positions_m, turns, candidates)

    def _checked_queries(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if descriptors.ndim != 2 or descriptors.shape[1] != self.descriptor_dim or len(descriptors) == 0:
            raise GalleryError(
                f"descriptors of shape {descriptors.shape} cannot be looked up among descriptors of length "
                f"{self.descriptor_dim}; use the encoder that the gallery was built with"
            )
        if not np.isfinite(descriptors).all():
            raise GalleryError("descriptors are not finite; check the encoder's weights and precision")
        return np.ascontiguousarray(descriptors, np.float32)

    def covers(self, positions_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of (N, 2) points in the local frame, whether a tile's centre lies within a stride; (N,) bool."""
        return self._places.any_within(positions_m, self.stride_m)

    def window(
        self, east_m: float, north_m: float, size_m: float, px: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The map about a point, north-up, at any scale.

        Args:
            east_m: Of its centre, in the local frame.
            north_m: Of its centre.
            size_m: Side on the ground.
            px: Side, pixels.

        Returns:
            px x px x 3 uint8 RGB, black where there is no map, and px x px bool, True where there is.

        Raises:
            GalleryError: Its pixels are damaged.
        """
        return self.mosaic.read_local(east_m - size_m / 2, north_m + size_m / 2, px, px, size_m / px)

    def tile_image(self, tile: int) -> NDArray[np.uint8]:
        """A tile's pixels, tile_px x tile_px x 3 uint8 RGB, north-up."""
        east, north = self.positions_m[tile]
        return self.window(float(east), float(north), self.tile_size_m, self.tile_px)[0]
