"""Image files to descriptors, for sets of any size: decoded ahead by threads, described in parts, nothing kept."""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.preprocess import to_batch
from training.images import read_image
from training.layouts import DataError, read_view
from training.offsets import OffsetError, Variant, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder

Crop = Variant | None  # None: the whole image


@dataclass(frozen=True)
class Side:
    """The images of one side of a retrieval task, and the place that each shows."""

    folder: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Descriptors of some of the images of a side.

    Attributes:
        rows: Which images, in the order of the side; N of them.
        descriptors: float32 N x crops x rotations x D, rows of unit length.
        sides_px: Heights and widths that the images have.
    """

    rows: slice
    descriptors: NDArray[np.float32]
    sides_px: frozenset[int]


def read_side(folder: Path, keep: Callable[[str], bool] = lambda _: True) -> Side:
    """The images of a folder `view/<id>/<image>` whose id is to be kept.

    Raises:
        DataError: The folder is missing or empty, or none of its ids is kept.
    """
    view = read_view(folder)
    pairs = [(path, name) for name, paths in view.images.items() if keep(name) for path in paths]
    if not pairs:
        raise DataError(f"{folder} holds none of the ids of --ids (it has {view.ids[0]} to {view.ids[-1]})")
    paths, labels = zip(*pairs, strict=True)
    return Side(folder, paths, labels)


def describe(
    encoder: Encoder,
    side: Side,
    crops: Sequence[Crop] = (None,),
    rotations: int = 1,
    *,
    workers: int = 0,
    images_at_once: int = 0,
) -> Iterator[Part]:
    """Describe each image of a side through each crop, turned by 0, 90, ... degrees, in order, with a progress bar.

    An image is decoded once, however many crops and rotations there are.

    Args:
        encoder: The encoder; its batch size counts crops and rotations one by one.
        side: The images.
        crops: Windows of the image, None for the whole.
        rotations: 1 or 4, quarter turns anticlockwise.
        workers: Threads that decode, cut and resize; 0 for one a processor, at most 8.
        images_at_once: Most images in a part; 0 for what fills four batches of the encoder.

    Raises:
        DataError: An image cannot be decoded, or is not square and to be cut; the message names it.
        ModelError: The encoder failed.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    per_image = len(crops) * rotations
    size = max(1, 4 * encoder.batch_size // per_image)
    size = min(size, images_at_once) if images_at_once else size
    loaded = _load_ahead(side.paths, crops, encoder.image_size, workers, ahead=size + 2 * workers)
    title = f"{side.folder.name} x {per_image}" if per_image > 1 else side.folder.name
    with tqdm(
        total=len(side.paths), desc=title, unit="image", file=sys.stderr, dynamic_ncols=True
    ) as progress:
        for start in range(0, len(side.paths), size):
            images = [next(loaded) for _ in range(min(size, len(side.paths) - start))]
            pixels = np.stack([image for image, _ in images])  # N x crops x S x S x 3
            turned = np.stack([np.rot90(pixels, k, axes=(2, 3)) for k in range(rotations)], axis=2)
            flat = encoder.encode(turned.reshape(-1, *pixels.shape[2:]))
            found = flat.reshape(len(images), len(crops), rotations, -1)
            sides = frozenset(side for _, shape in images for side in shape)
            yield Part(slice(start, start + len(images)), found, sides)
            progress.update(len(images))


Loaded = tuple["NDArray[np.uint8]", tuple[int, int]]  # crops x S x S x 3; height and width of the file


def _load_ahead(
    paths: Sequence[Path], crops: Sequence[Crop], size: int, workers: int, ahead: int
) -> Iterator[Loaded]:
    """Images as the encoder wants them, in order, at most `ahead` of them before they are asked for."""
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(_load, path, crops, size) for path in paths[:ahead])
        for path in paths[ahead:]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(_load, path, crops, size))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _load(path: Path, crops: Sequence[Crop], size: int) -> Loaded:
    image = read_image(path)
    try:
        windows = [image if crop is None else cut(image, crop) for crop in crops]
    except OffsetError as error:
        raise DataError(f"{path}: {error}") from error
    pixels = to_batch(windows, size).permute(0, 2, 3, 1).numpy()  # as the encoder itself would resize them
    return pixels, (image.shape[0], image.shape[1])
