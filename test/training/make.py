"""Small training data made by code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def write_view(folder: Path, ids: Sequence[str], images: int = 1) -> None:
    """Tiny images `folder/<id>/image-<number>.png`."""
    for name in ids:
        for number in range(images):
            write(folder / name / f"image-{number:02d}.png", scene(int(name) * 100 + number, 8))


def write_university(root: Path) -> Path:
    """University-1652 as released, of 2 training places, 2 query places and 1 distractor."""
    train, query, gallery = ("0839", "0842"), ("0001", "0003"), ("0001", "0002", "0003")
    for view, ids, images in (
        ("train/drone", train, 3), ("train/satellite", train, 1), ("train/street", train, 2),
        ("test/query_drone", query, 3), ("test/query_satellite", query, 1),
        ("test/gallery_drone", gallery, 3), ("test/gallery_satellite", gallery, 1),
    ):  # fmt: skip
        write_view(root / view, ids, images)
    return root


def write_sues(root: Path, heights: Sequence[str] = ("150", "200", "250", "300")) -> Path:
    """SUES-200 as its authors' script splits it, of 2 training and 2 query places; galleries hold all 4."""
    train, query = ("0001", "0002"), ("0003", "0004")
    for height in heights:
        for view, ids, images in (
            ("Training/{}/drone", train, 2), ("Training/{}/satellite", train, 1),
            ("Testing/{}/query_drone", query, 2), ("Testing/{}/query_satellite", query, 1),
            ("Testing/{}/gallery_drone", train + query, 2), ("Testing/{}/gallery_satellite", train + query, 1),
        ):  # fmt: skip
            write_view(root / view.format(height), ids, images)
    return root
