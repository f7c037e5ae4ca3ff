"""Sources of training pairs: datasets of two views (`training.layouts`), and images from straight above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from lkpan_model.preprocess import to_batch
from training.images import read_image, variants_through
from training.layouts import DataError, find_training, read_view
from training.offsets import describe_scaling
from training.view_images import ViewImages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from training.config import SourceConfig

__all__ = [
    "DataError",
    "OverheadSource",
    "PairSource",
    "Source",
    "exists",
    "is_held_out",
    "load_source",
    "read_image",
]

MEMORY_BYTES = 2 << 30  # of decoded squares that a source of pairs may keep; larger views are read when drawn
VIEWS = ("drone", "satellite")


class Source(Protocol):
    """Places that can be shown from both views; a place is an index below `places`."""

    @property
    def config(self) -> SourceConfig:
        """Where it comes from and how its views are posed."""
        ...

    @property
    def same_canvas(self) -> bool:
        """Whether both views are cut from one image, so that the true geometry between them is known."""
        ...

    @property
    def places(self) -> int:
        """Number of places."""
        ...

    def draw(self, places: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One drone and one satellite canvas of each place: uint8, each B x 3 x P x P."""
        ...


@dataclass(frozen=True)
class PairSource:
    """A drone and a satellite view, `view/<id>/<image>` each; a place is an id.

    Views that fit into MEMORY_BYTES stay decoded in memory, others are decoded when they are drawn; the pixels are
    the same.
    """

    config: SourceConfig
    ids: tuple[str, ...]
    views: Mapping[str, ViewImages]  # `drone` and `satellite`, places in the order of the ids
    same_canvas: bool = False

    @property
    def places(self) -> int:
        """Number of ids."""
        return len(self.ids)

    def draw(self, places: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A random image of each view of each place."""
        drone, satellite = (
            view.batch([images[rng.integers(len(images))] for images in (view.paths[p] for p in places)])
            for view in (self.views[name] for name in VIEWS)
        )
        return drone, satellite

    def first_images(self, view: str) -> Tensor:
        """The first image of each place from one view: uint8 places x 3 x P x P."""
        images = self.views[view]
        return images.batch([paths[0] for paths in images.paths])


@dataclass(frozen=True)
class OverheadSource:
    """Images from straight above; a place is a cell of one of them, wide enough for the largest footprint."""

    config: SourceConfig
    names: tuple[str, ...]
    rasters: tuple[NDArray[np.uint8], ...]  # each H x W x 3, north or any other direction up
    gsd_m: float  # of the rasters in memory
    cells: tuple[
        tuple[int, float, float, float], ...
    ]  # raster, centre x, centre y, reach of the centre (pixels)
    canvas_size: int
    same_canvas: bool = True

    @property
    def places(self) -> int:
        """Number of cells in all images."""
        return len(self.cells)

    def draw(self, places: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A square around a random point of each cell, canvas_factor times a random footprint; the same twice."""
        crops = []
        for place in places:
            index, x, y, reach = self.cells[place]
            low, high = np.log(self.config.footprint_m)
            side = self.config.canvas_factor * float(np.exp(rng.uniform(low, high))) / self.gsd_m
            jitter = rng.uniform(-reach, reach, 2)
            crops.append(self.crop(index, x + jitter[0], y + jitter[1], side))
        canvases = to_batch(crops, self.canvas_size)
        return canvases, canvases

    def crop(self, index: int, x: float, y: float, side: float) -> NDArray[np.uint8]:
        """The square of `side` pixels about (x, y), moved and if need be shrunk so that it lies inside."""
        raster = self.rasters[index]
        height, width = raster.shape[:2]
        whole = min(int(side), height, width)
        left = int(np.clip(x - whole / 2, 0, width - whole))
        top = int(np.clip(y - whole / 2, 0, height - whole))
        return raster[top : top + whole, left : left + whole]


def is_held_out(name: str, holdout: Sequence[str]) -> bool:
    """Whether a name is listed, alone or in an inclusive range "first-last" of names of its length."""
    for entry in holdout:
        first, dash, last = entry.partition("-")
        if name == entry or (dash and len(first) == len(name) == len(last) and first <= name <= last):
            return True
    return False


def load_source(config: SourceConfig, root: Path, size: int, *, held_out: bool = False) -> Source:
    """Open a source: the places to train on, or those held out.

    Images are decoded now, but for views of more than MEMORY_BYTES: a damaged image of those stops the run when it is
    drawn, so run `python -m training.check_dataset` first.

    Args:
        config: The source.
        root: Data root that its path is relative to.
        size: Side of the encoder's input, pixels; canvases are made to suit it.
        held_out: The validation part instead of the training part.

    Raises:
        DataError: A view, an image or the whole source is missing or unreadable; the message names the path.
    """
    load = _load_pairs if config.kind == "pairs" else _load_overhead
    return load(config, root, size, held_out=held_out)


def exists(config: SourceConfig, root: Path) -> bool:
    """Whether there is anything at the source's path."""
    return (root / config.path).is_dir() if config.kind == "pairs" else any(root.glob(config.path))


def _load_pairs(config: SourceConfig, root: Path, size: int, *, held_out: bool) -> PairSource:
    folders = find_training(root / config.path)
    views = {"drone": read_view(folders.drone), "satellite": read_view(folders.satellite)}
    for view, other in (VIEWS, VIEWS[::-1]):
        if lonely := sorted(set(views[view].ids) - set(views[other].ids)):
            raise DataError(
                f"{views[view].folder / lonely[0]} has no partner in {views[other].folder} ({len(lonely)} such)"
            )
    ids = tuple(name for name in views["drone"].ids if is_held_out(name, config.holdout) == held_out)
    if not ids:
        raise DataError(f"{root / config.path} holds no place {'held out' if held_out else 'to train on'}")
    through = {
        "drone": variants_through(config.through, folders.drone),
        "satellite": variants_through("", root),
    }
    squares = {
        name: ViewImages(tuple(view.images[i] for i in ids), size, through[name])
        for name, view in views.items()
    }
    if config.through:
        _tell_scaling(squares["drone"])
    return PairSource(config, ids, _keep_what_fits(squares))


def _keep_what_fits(views: Mapping[str, ViewImages]) -> dict[str, ViewImages]:
    """Decode the smaller view first, then the larger one if there is room for both."""
    kept, left = {}, MEMORY_BYTES
    for name, view in sorted(views.items(), key=lambda item: item[1].size_bytes):
        fits = view.size_bytes <= left
        kept[name] = view.keep() if fits else view
        left -= view.size_bytes * fits
    return kept


def _tell_scaling(drone: ViewImages) -> None:
    """Say once if offsets are scaled to images of another size than the published one."""
    first = drone.paths[0][0]
    if scaling := describe_scaling(read_image(first).shape[0]):
        print(f"{first.parent.parent}: {scaling}")


def _load_overhead(config: SourceConfig, root: Path, size: int, *, held_out: bool) -> OverheadSource:
    paths = sorted(p for p in root.glob(config.path) if is_held_out(p.stem, config.holdout) == held_out)
    if not paths:
        raise DataError(f"{root / config.path} holds no image {'held out' if held_out else 'to train on'}")
    low, high = config.footprint_m
    gsd_m = max(config.gsd_m, low / size)  # finer than the smallest view shows is never seen
    rasters = tuple(_shrink(read_image(path), config.gsd_m / gsd_m) for path in paths)
    for path, raster in zip(paths, rasters, strict=True):
        if config.canvas_factor * low / gsd_m > min(raster.shape[:2]):
            raise DataError(f"{path} is too small for a footprint of {low} m at {config.gsd_m} m/px")
    cells = tuple(
        cell for index, raster in enumerate(rasters) for cell in _cells(index, raster, high / gsd_m)
    )
    names = tuple(path.stem for path in paths)
    return OverheadSource(config, names, rasters, gsd_m, cells, round(size * config.canvas_factor))


def _cells(index: int, raster: NDArray[np.uint8], footprint: float) -> list[tuple[int, float, float, float]]:
    """Split a raster into cells somewhat wider than a footprint, so that two places share little ground."""
    height, width = raster.shape[:2]
    columns, rows = (max(1, int(extent / (1.2 * footprint))) for extent in (width, height))
    reach = min(width / columns, height / rows) / 4
    return [
        (index, (c + 0.5) * width / columns, (r + 0.5) * height / rows, reach)
        for r in range(rows)
        for c in range(columns)
    ]


def _shrink(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    if factor >= 1:
        return image
    shrunk = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8, copy=False)
