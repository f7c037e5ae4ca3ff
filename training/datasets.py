"""Sources of training pairs: folders `view/id/images`, and images from straight above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from lkpan_model.errors import ModelError
from lkpan_model.preprocess import to_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from training.config import SourceConfig

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
VIEWS = ("drone", "satellite")
CANVAS_FACTOR = (
    1.6  # side of an overhead canvas over the side of the view: room to turn (sqrt 2) and to shift
)


class DataError(ModelError):
    """A training source is missing, incomplete or unreadable."""


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
    """A folder `drone/<id>/*` and `satellite/<id>/*`; a place is an id. All images stay decoded in memory."""

    config: SourceConfig
    ids: tuple[str, ...]
    images: dict[str, tuple[tuple[NDArray[np.uint8], ...], ...]]  # view -> for each id its images, P x P x 3
    same_canvas: bool = False

    @property
    def places(self) -> int:
        """Number of ids."""
        return len(self.ids)

    def draw(self, places: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A random image of each view of each place."""
        drone, satellite = (
            to_batch([images[rng.integers(len(images))] for images in (self.images[view][p] for p in places)],
                     self.images[view][0][0].shape[0])
            for view in VIEWS
        )  # fmt: skip
        return drone, satellite


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
        """A square around a random point of each cell, CANVAS_FACTOR times a random footprint; the same twice."""
        crops = []
        for place in places:
            index, x, y, reach = self.cells[place]
            low, high = np.log(self.config.footprint_m)
            side = CANVAS_FACTOR * float(np.exp(rng.uniform(low, high))) / self.gsd_m
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
    """Read all images of a source into memory: those to train on, or those held out.

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
    folders = {view: root / config.path / view for view in VIEWS}
    for folder in folders.values():
        if not folder.is_dir():
            raise DataError(f"{folder} is missing: a source of pairs needs the views drone and satellite")
    names = {view: {f.name for f in folder.iterdir() if f.is_dir()} for view, folder in folders.items()}
    for view, other in (VIEWS, VIEWS[::-1]):
        if lonely := sorted(names[view] - names[other]):
            raise DataError(
                f"{folders[view] / lonely[0]} has no partner in {folders[other]} ({len(lonely)} such)"
            )
    ids = tuple(sorted(n for n in names["drone"] if is_held_out(n, config.holdout) == held_out))
    if not ids:
        raise DataError(f"{root / config.path} holds no place {'held out' if held_out else 'to train on'}")
    images = {view: tuple(_read_folder(folders[view] / name, size) for name in ids) for view in VIEWS}
    return PairSource(config, ids, images)


def _load_overhead(config: SourceConfig, root: Path, size: int, *, held_out: bool) -> OverheadSource:
    paths = sorted(p for p in root.glob(config.path) if is_held_out(p.stem, config.holdout) == held_out)
    if not paths:
        raise DataError(f"{root / config.path} holds no image {'held out' if held_out else 'to train on'}")
    low, high = config.footprint_m
    gsd_m = max(config.gsd_m, low / size)  # finer than the smallest view shows is never seen
    rasters = tuple(_shrink(_read_image(path), config.gsd_m / gsd_m) for path in paths)
    for path, raster in zip(paths, rasters, strict=True):
        if CANVAS_FACTOR * low / gsd_m > min(raster.shape[:2]):
            raise DataError(f"{path} is too small for a footprint of {low} m at {config.gsd_m} m/px")
    cells = tuple(
        cell for index, raster in enumerate(rasters) for cell in _cells(index, raster, high / gsd_m)
    )
    names = tuple(path.stem for path in paths)
    return OverheadSource(config, names, rasters, gsd_m, cells, round(size * CANVAS_FACTOR))


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


def _read_folder(folder: Path, size: int) -> tuple[NDArray[np.uint8], ...]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return tuple(to_batch([_read_image(path)], size)[0].permute(1, 2, 0).numpy() for path in paths)


def _read_image(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(f"{path} cannot be read as an image")
    return np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.uint8, copy=False)  # OpenCV reads BGR


def _shrink(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    if factor >= 1:
        return image
    shrunk = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8, copy=False)
