"""Small training data made by code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def scene(seed: int, side: int = 48) -> NDArray[np.uint8]:
    """A picture that no other seed gives: blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.kron(blocks, np.ones((side // 4, side // 4, 1), np.uint8))


def write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_pairs(root: Path, places: int) -> Path:
    """A folder `view/id/images` whose views of an id differ by noise only."""
    for place in range(places):
        image = scene(place)
        write(root / "satellite" / f"{place:04d}" / "0.png", image)
        noise = np.random.default_rng(1000 + place).integers(-12, 13, image.shape)
        write(root / "drone" / f"{place:04d}" / "0.png", (image + noise).clip(0, 255).astype(np.uint8))
    return root
