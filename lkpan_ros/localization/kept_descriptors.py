"""What a run of build_gallery that was cut off leaves for the next."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.array_file import read_npy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery_build import PatchEncoder


def are_unit(descriptors: NDArray[np.float16]) -> bool:
    """Whether all of (B, D) descriptors have length 1, as far as 16 bits can say."""
    norms = np.linalg.norm(descriptors.astype(np.float32), axis=1)
    return bool((np.abs(norms - 1) < 0.01).all())


class KeptDescriptors:
    """Descriptors on disk, found again by the very pixels and encoder that they were made from.

    Args:
        folder: Made when first needed; `remove` deletes it.
        encoder: The encoder.
    """

    def __init__(self, folder: Path, encoder: PatchEncoder) -> None:
        self._folder = folder
        self._salt = json.dumps(encoder.identity.to_dict(), sort_keys=True).encode()

    def find(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float16] | None:
        """(B, D) float16 of these images, or None where there are none, or they are damaged."""
        try:
            descriptors = read_npy(self._path(images))
        except (OSError, ValueError):
            return None
        whole = (
            descriptors.dtype == np.float16
            and descriptors.ndim == 2
            and len(descriptors) == len(images)
            and are_unit(descriptors)
        )
        return descriptors if whole else None

    def keep(self, images: Sequence[NDArray[np.uint8]], descriptors: NDArray[np.float16]) -> None:
        """Keep the (B, D) float16 descriptors of these images."""
        self._folder.mkdir(exist_ok=True)
        path = self._path(images)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.save(file, descriptors, allow_pickle=False)
        temporary.replace(path)

    def remove(self) -> None:
        """Delete what was kept; anything else in the folder stays."""
        if self._folder.is_dir():
            for file in [*self._folder.glob("*.npy"), *self._folder.glob("*.tmp")]:
                file.unlink()
            if not any(self._folder.iterdir()):
                self._folder.rmdir()

    def _path(self, images: Sequence[NDArray[np.uint8]]) -> Path:
        digest = hashlib.sha256(self._salt)
        for image in images:
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image).data)
        return self._folder / f"{digest.hexdigest()}.npy"
