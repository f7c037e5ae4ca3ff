"""The gallery: descriptors of a map's tiles, where the tiles lie, and the map's pixels, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from scipy.spatial import cKDTree

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.gallery_info import GalleryInfo, check_encoder
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.mosaic import Mosaic
from lkpan_ros.localization.types import Matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_model.encoder import EncoderIdentity
    from lkpan_ros.localization.geodesy import LatLon

_REBUILD = "rebuild it with build_gallery"
_THREADS = faiss.omp_get_max_threads()
_ADDED_AT_ONCE = 16_384  # bounds the float32 copy
_THREADED_NUMBERS = 2**26  # in a gallery of more numbers than this a search uses all cores


class Gallery:
    """Tiles of a map that a view can be looked up in. Safe to be read from several threads.

    Args:
        info: How it was made.
        descriptors: (N, D) float16 or float32, unit length.
        positions_m: (N, 2) float64, east and north of the tiles' centres in the local frame.
        mosaic: The map's pixels.

    Raises:
        GalleryError: The arrays contradict one another.
    """

    def __init__(
        self,
        info: GalleryInfo,
        descriptors: NDArray[np.floating[Any]],
        positions_m: NDArray[np.float64],
        mosaic: Mosaic,
    ) -> None:
        count = len(descriptors)
        if count == 0 or descriptors.ndim != 2 or positions_m.shape != (count, 2):
            raise GalleryError(
                f"descriptors {descriptors.shape} and positions {positions_m.shape} contradict one another; {_REBUILD}"
            )
        if not (np.isfinite(descriptors).all() and np.isfinite(positions_m).all()):
            raise GalleryError(f"descriptors or positions are not finite; {_REBUILD}")
        self.info = info
        self.mosaic = mosaic
        self.frame = LocalFrame(info.datum)
        self.positions_m = np.asarray(positions_m, np.float64)
        self.positions_m.flags.writeable = False
        self._index = _index_of(descriptors)
        self._by_north = np.argsort(self.positions_m[:, 1], kind="stable")
        self._places: cKDTree | None = None
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
    def descriptor_dim(self) -> int:
        """Length D of a descriptor."""
        return int(self._index.d)

    @property
    def encoder_identity(self) -> EncoderIdentity:
        """The encoder that made the descriptors."""
        from lkpan_model.encoder import EncoderIdentity  # noqa: PLC0415 - torch takes seconds to import

        return EncoderIdentity.from_dict(self.info.encoder)

    @property
    def content_hash(self) -> str:
        """SHA-256, hexadecimal, over all that the gallery holds."""
        if self._content_hash is None:
            self._content_hash = gallery_file.content_hash(self.info.to_json(), self._arrays())
        return self._content_hash

    def save(self, path: str | Path) -> None:
        """Write the gallery; under its final name it is whole or not there at all.

        Raises:
            OSError: The disk is full, the folder is not writable.
        """
        self._content_hash = gallery_file.write(Path(path), self.info.to_json(), self._arrays())

    @classmethod
    def load(cls, path: str | Path, encoder_identity: EncoderIdentity | None = None) -> Gallery:
        """Read and verify a gallery.

        Args:
            path: The file.
            encoder_identity: Of the encoder that will be used with it; None: not checked.

        Raises:
            GalleryError: The file is missing, truncated, altered, of a future version, no gallery, or was made with
                another encoder.
        """
        path = Path(path)
        values, arrays, digest = gallery_file.read(path)
        try:
            info = GalleryInfo.from_dict(values)
            descriptors, positions_m = arrays.pop("descriptors"), arrays.pop("positions_m")
            if encoder_identity is not None:
                check_encoder(path, info.encoder, encoder_identity)
            gallery = cls(info, descriptors, positions_m, Mosaic(info.grid, **arrays))
        except (TypeError, ValueError, KeyError) as error:
            raise GalleryError(
                f"{path}: its parts are not those of a gallery ({error}); {_REBUILD}"
            ) from error
        gallery._content_hash = digest
        return gallery

    def _arrays(self) -> dict[str, NDArray[Any]]:
        mosaic = self.mosaic
        codes = faiss.vector_to_array(self._index.codes)
        return {
            "descriptors": codes.view(np.float16).reshape(len(self), self.descriptor_dim),
            "positions_m": self.positions_m,
            "data": mosaic.data,
            "offsets": mosaic.offsets,
            "mask_row": mosaic.mask_row,
            "masks": mosaic.masks,
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
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(tiles, np.int64)), np.float32)

    def search(
        self,
        descriptors: NDArray[np.float32],
        candidates: int,
        near: tuple[float, float, float] | None = None,
        *,
        turns_deg: Sequence[float] = (),
    ) -> Matches:
        """The tiles most similar to any of some descriptors of one view; exact.

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
        selection = None
        if near is not None:
            tiles = self._tiles_near(*near)
            candidates = min(candidates, len(tiles))
            selection = faiss.SearchParameters(sel=_selector(tiles, len(self)))  # type: ignore[call-arg]
        similarity, tile = self._exhaustive(queries, min(candidates, len(self)), selection)
        return self._matches(similarity, tile, candidates, np.array(turns_deg or [0.0] * len(queries)))

    def _exhaustive(
        self, queries: NDArray[np.float32], candidates: int, selection: faiss.SearchParameters | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """R x K similarities and tiles."""
        if candidates == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        # Threads that wait for cores held by the encoder cost 40 ms where one thread needs 2.
        small = len(self) * self.descriptor_dim < _THREADED_NUMBERS
        faiss.omp_set_num_threads(1 if small else _THREADS)
        similarity, tile = self._index.search(queries, candidates, params=selection)
        return similarity, tile

    def _checked_queries(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if descriptors.ndim != 2 or descriptors.shape[1] != self.descriptor_dim or len(descriptors) == 0:
            raise GalleryError(
                f"descriptors of shape {descriptors.shape} cannot be looked up among descriptors of length "
                f"{self.descriptor_dim}; use the encoder that the gallery was built with"
            )
        if not np.isfinite(descriptors).all():
            raise GalleryError("descriptors are not finite; check the encoder's weights and precision")
        return np.ascontiguousarray(descriptors, np.float32)

    def _tiles_near(self, east_m: float, north_m: float, radius_m: float) -> NDArray[np.int64]:
        norths = self.positions_m[:, 1]
        low = np.searchsorted(norths, north_m - radius_m, "left", sorter=self._by_north)
        high = np.searchsorted(norths, north_m + radius_m, "right", sorter=self._by_north)
        strip = self._by_north[low:high]
        distance_m = np.hypot(*(self.positions_m[strip] - (east_m, north_m)).T)
        return np.sort(strip[distance_m <= radius_m])

    def _matches(
        self,
        similarity: NDArray[np.float32],
        tile: NDArray[np.int64],
        candidates: int,
        turns_deg: NDArray[np.float64],
    ) -> Matches:
        """Of R x K similarities and tiles the best of each tile, best first."""
        rotation = np.repeat(np.arange(len(tile)), tile.shape[1])
        flat_tile, flat_similarity = tile.ravel(), similarity.ravel()
        order = np.lexsort((flat_tile, -flat_similarity))
        _, first = np.unique(flat_tile[order], return_index=True)  # the best of each tile comes first
        chosen = order[np.sort(first)][:candidates]
        return Matches(
            tile=flat_tile[chosen],
            similarity=flat_similarity[chosen],
            position_m=self.positions_m[flat_tile[chosen]],
            rotation=rotation[chosen],
            turn_deg=turns_deg[rotation[chosen]],
        )

    def covers(self, positions_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of (N, 2) points in the local frame, whether a tile's centre lies within a stride; (N,) bool."""
        if self._places is None:
            self._places = cKDTree(self.positions_m)
        distance_m, _ = self._places.query(positions_m, distance_upper_bound=self.stride_m)
        near: NDArray[np.bool_] = np.isfinite(distance_m)
        return near

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


def _index_of(descriptors: NDArray[np.floating[Any]]) -> faiss.IndexScalarQuantizer:
    """An exhaustive inner-product index over float16 numbers: half the memory, and a quarter of the time."""
    count, dim = descriptors.shape
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, count, _ADDED_AT_ONCE):
        index.add(np.ascontiguousarray(descriptors[start : start + _ADDED_AT_ONCE], np.float32))
    return index


def _selector(tiles: NDArray[np.int64], count: int) -> faiss.IDSelectorBitmap:
    chosen = np.zeros(count, np.bool_)
    chosen[tiles] = True
    return faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))  # type: ignore[call-arg,arg-type]
