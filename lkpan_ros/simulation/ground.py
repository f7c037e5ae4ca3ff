"""What a simulated camera flies over: a georeferenced picture, with or without heights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.errors import MapError
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.simulation.appearance import CLEAR_AIR, MAP_APPEARANCE, Appearance, Material
from lkpan_ros.simulation.lighting import tone_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.mosaic import Mosaic
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.simulation.world import World

_CHANGED_M = (1.0, 4.0, 16.0)


@dataclass(frozen=True, eq=False)
class Ground:
    """A north-up raster in a local frame.

    Attributes:
        frame: Whose east and north the raster is laid out in.
        west_m: East coordinate of the left edge of the raster.
        north_m: North coordinate of its upper edge.
        gsd_m: Size of a pixel.
        levels: H x W x 3 uint8, RGB, and the same at a half, a quarter ... of the resolution.
        height: H x W float32, metres above the ground, or None: flat.
        facades: H x W bool, True where a wall is a building's and not a tree's, or None.
        appearance: The light on it; walls and air are shown by it.
        known: H x W bool, False where there is no data, or None: there is everywhere.
    """

    frame: LocalFrame
    west_m: float
    north_m: float
    gsd_m: float
    levels: tuple[NDArray[np.uint8], ...]
    height: NDArray[np.float32] | None = None
    facades: NDArray[np.bool_] | None = None
    appearance: Appearance = MAP_APPEARANCE
    known: NDArray[np.bool_] | None = None

    @classmethod
    def from_world(cls, world: World, appearance: Appearance) -> Ground:
        """A world on a given day."""
        return cls(
            world.frame, world.west_m, world.north_m, world.gsd_m, pyramid(world.texture(appearance)),
            world.height, world.material == Material.ROOF, appearance,
        )  # fmt: skip

    @classmethod
    def from_image(
        cls,
        image: NDArray[np.uint8],
        frame: LocalFrame,
        west_m: float,
        north_m: float,
        gsd_m: float,
        appearance: Appearance = CLEAR_AIR,
    ) -> Ground:
        """Any north-up picture, H x W x 3 uint8, RGB; the ground is flat.

        Of the appearance, air, brightness, contrast and colour cast count; the picture has its own season and sun.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 2:
            raise ValueError(f"a ground needs H x W x 3 uint8, got {image.dtype} {image.shape}")
        image = np.asarray(cv2.LUT(image, tone_curve(appearance)[None]), np.uint8)
        return cls(frame, west_m, north_m, gsd_m, pyramid(image), appearance=appearance)

    @classmethod
    def from_map(cls, source: MapSource, appearance: Appearance = CLEAR_AIR, max_px: int = 8000) -> Ground:
        """A user's map as flat ground, in a local frame about its middle; black where it has no data.

        Args:
            source: From `raster.open_map`. It is read as a whole.
            appearance: As in `from_image`.
            max_px: A map with more pixels a side is read at a lower resolution.

        Raises:
            MapError: A file of the map is damaged, or the map is too small to fly over.
        """
        frame = LocalFrame(source.center)
        bounds = source.local_bounds(frame)
        width_m, depth_m = bounds.east - bounds.west, bounds.north - bounds.south
        gsd_m = max(source.gsd_m, max(width_m, depth_m) / max_px)
        columns, rows = (int(side / gsd_m) for side in (width_m, depth_m))
        if min(columns, rows) < 2:
            raise MapError(f"{source.name}: {columns} x {rows} pixels are too few to fly over")
        image, mask = source.read_local(frame, bounds.west, bounds.north, columns, rows, gsd_m)
        ground = cls.from_image(image, frame, bounds.west, bounds.north, gsd_m, appearance)
        return replace(ground, known=mask)

    @classmethod
    def from_mosaic(
        cls,
        mosaic: Mosaic,
        frame: LocalFrame,
        centre_m: tuple[float, float],
        size_m: float,
        appearance: Appearance = CLEAR_AIR,
        max_px: int = 8000,
    ) -> Ground:
        """A square of a gallery's own map as flat ground, in the gallery's frame.

        Args:
            mosaic: The gallery's pixels.
            frame: The gallery's.
            centre_m: East and north of the middle of the square; it is moved by up to half a pixel.
            size_m: Side of the square; at least two pixels.
            appearance: As in `from_image`.
            max_px: A square with more pixels a side is read at a lower resolution.

        Raises:
            GalleryError: The mosaic's pixels are damaged.
        """
        grid = mosaic.grid
        gsd_m = max(grid.gsd_m, size_m / max_px)
        size_px = max(2, round(size_m / gsd_m))
        # On the mosaic's own pixels: they are copied, not interpolated.
        left, top = (
            round((middle - size_px * gsd_m / 2) / grid.gsd_m)
            for middle in (centre_m[0] - grid.west_m, grid.north_m - centre_m[1])
        )
        west_m, north_m = grid.west_m + left * grid.gsd_m, grid.north_m - top * grid.gsd_m
        image, mask = mosaic.read_local(west_m, north_m, size_px, size_px, gsd_m)
        return replace(cls.from_image(image, frame, west_m, north_m, gsd_m, appearance), known=mask)

    def changed(self, strength: float, seed: int) -> Ground:
        """The same ground after some time: patches of 1, 4 and 16 m have become darker or lighter, at random.

        It stands in for growth, mowing, wet and dry soil and parked cars where a picture is all that is known.

        Args:
            strength: Standard deviation of the logarithm of the brightness; 0: nothing has changed.
            seed: Of the patches.
        """
        image, rng = self.levels[0], np.random.default_rng([seed, 0xC4])
        rows, columns = image.shape[:2]
        change = np.zeros((rows, columns), np.float32)
        for patch_m in _CHANGED_M:
            counts = [int(side * self.gsd_m / patch_m) + 2 for side in (rows, columns)]
            patches = rng.standard_normal(counts, dtype=np.float32)
            change += np.asarray(
                cv2.resize(patches, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32
            )
        gain = np.exp(np.float32(strength) * change / change.std())
        return replace(self, levels=pyramid((image * gain[..., None]).clip(0, 255).astype(np.uint8)))

    @property
    def size_m(self) -> tuple[float, float]:
        """Extent to the east and to the south."""
        rows, columns = self.levels[0].shape[:2]
        return columns * self.gsd_m, rows * self.gsd_m

    def contains(self, east_m: float, north_m: float) -> bool:
        """Whether the ground is known at a local point."""
        width, depth = self.size_m
        if not (0.0 <= east_m - self.west_m < width and 0.0 <= self.north_m - north_m < depth):
            return False
        column, row = (round(v) for v in self.pixel(east_m, north_m))
        return self.known is None or bool(
            self.known[min(row, len(self.known) - 1), min(column, self.known.shape[1] - 1)]
        )

    def pixel(self, east_m: float, north_m: float) -> tuple[float, float]:
        """Column and row of a local point; the centre of the first pixel is (0, 0)."""
        return (east_m - self.west_m) / self.gsd_m - 0.5, (self.north_m - north_m) / self.gsd_m - 0.5


def pyramid(image: NDArray[np.uint8], levels: int = 6) -> tuple[NDArray[np.uint8], ...]:
    """The picture and its halves by area averaging; sizes are cut to even, so that pixels keep their place."""
    result = [np.ascontiguousarray(image)]
    while len(result) < levels and min(result[-1].shape[:2]) >= 4:
        rows, columns = (n // 2 * 2 for n in result[-1].shape[:2])
        even = result[-1][:rows, :columns]
        result.append(np.asarray(cv2.resize(even, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)))
    return tuple(result)
