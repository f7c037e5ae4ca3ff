"""All images of one view as squares of the encoder's size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lkpan_model.preprocess import to_batch
from training.images import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from training.offsets import Variant

DECODING_THREADS = 4  # OpenCV lets go of the interpreter while it decodes


@dataclass(frozen=True)
class ViewImages:
    """The images of one view as squares: decoded once and kept, or decoded each time they are asked for.

    Attributes:
        paths: For each place the paths of its images.
        size: Side of the squares, pixels.
        variant_of: The variant an image is shown through.
        kept: The squares, size x size x 3, by path; None if they do not fit into memory.
    """

    paths: tuple[tuple[Path, ...], ...]
    size: int
    variant_of: Callable[[Path], Variant | None]
    kept: Mapping[Path, NDArray[np.uint8]] | None = None

    @property
    def size_bytes(self) -> int:
        """What all squares take in memory."""
        return sum(map(len, self.paths)) * self.size * self.size * 3

    def keep(self) -> ViewImages:
        """The same with all squares decoded now.

        Raises:
            DataError: An image cannot be decoded.
        """
        paths = [path for images in self.paths for path in images]
        return replace(self, kept=dict(zip(paths, self._decode(paths), strict=True)))

    def batch(self, paths: Sequence[Path]) -> Tensor:
        """Some of the images: uint8 B x 3 x size x size.

        Raises:
            DataError: An image cannot be decoded; only possible where images are not kept.
        """
        squares = self._decode(paths) if self.kept is None else [self.kept[path] for path in paths]
        return to_batch(squares, self.size)

    def _decode(self, paths: Sequence[Path]) -> list[NDArray[np.uint8]]:
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            return list(pool.map(self._square, paths))

    def _square(self, path: Path) -> NDArray[np.uint8]:
        """Resized where it was decoded: the whole image is let go at once."""
        image = read_image(path, self.variant_of(path))
        return to_batch([image], self.size)[0].permute(1, 2, 0).numpy()
