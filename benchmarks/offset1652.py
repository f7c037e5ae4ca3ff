"""Crops per second of `training.offset1652`, beside one process that does the same with OpenCV alone.

Both decode each 512 px JPEG, cut the 40 windows and write them as JPEG of quality 95. The plain loop is `cv2.imread`,
40 slices and 40 `cv2.imwrite`, with OpenCV's own threads off, as the writer's workers have them. The writer also starts
its processes, replaces each file atomically, hashes it and keeps the manifest; all of that is inside its time. The two
take turns; the files of both must decode to the same pixels.

    python -m benchmarks.offset1652 [--images 300] [--repeats 5] [--workers 2] [--folder /tmp] [--source DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.measuring import Row, in_turns, publish, ratios
from training.offset1652 import write
from training.offset_crops import Job, list_images
from training.offset_manifest import Settings
from training.offsets import VARIANTS, crop_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

QUALITY = 95


def make_image(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A 512 px picture with detail at all scales (amplitude proportional to size), as aerial photos have."""
    canvas = np.zeros((512, 512, 3), np.float32)
    for side in (4, 8, 16, 32, 64, 128, 256, 512):
        noise = rng.normal(0, 400 / side**0.6, (side, side, 1)) + rng.normal(
            0, 60 / side**0.6, (side, side, 3)
        )
        resized = cv2.resize(noise.astype(np.float32), (512, 512), interpolation=cv2.INTER_CUBIC)
        canvas += resized.astype(np.float32, copy=False)
    return (canvas + 120).clip(0, 255).astype(np.uint8)


def make_source(folder: Path, images: int) -> None:
    """`images` JPEG files in folders of ten."""
    rng = np.random.default_rng(0)
    for index in range(images):
        path = folder / f"{index // 10:04d}" / f"image-{index:05d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), make_image(rng), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def plain_loop(source: Path, out: Path, images: Sequence[str]) -> None:
    """What one would write in five minutes."""
    for variant in VARIANTS:
        for folder in {str(Path(name).parent) for name in images}:
            (out / variant.name / folder).mkdir(parents=True, exist_ok=True)
    for name in images:
        pixels = cv2.imread(str(source / name))
        assert pixels is not None
        for variant in VARIANTS:
            box = crop_box(variant)
            window = pixels[box.top : box.top + box.side, box.left : box.left + box.side]
            cv2.imwrite(f"{out}/{variant.name}/{name}", window, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def same_pixels(first: Path, second: Path, images: Sequence[str]) -> bool:
    """Whether both wrote the same pictures for the first and the last image."""
    names = [f"{variant.name}/{name}" for variant in VARIANTS for name in (images[0], images[-1])]
    pairs = ((cv2.imread(str(first / name)), cv2.imread(str(second / name))) for name in names)
    return all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)


def kilobytes(folder: Path, images: Sequence[str]) -> float:
    """Mean size of the files of one variant."""
    sizes = [(folder / VARIANTS[0].name / name).stat().st_size for name in images]
    return round(statistics.mean(sizes) / 1e3, 2)


def measure(source: Path, work: Path, repeats: int, workers: int) -> tuple[list[Row], dict[str, object]]:
    """Both in turns, each into a new folder, on a disk that has nothing left to write."""
    images = list_images(source).images
    settings = Settings(VARIANTS, None, "keep", QUALITY)
    folders = (work / "plain", work / "writer")
    tasks = {
        "plain": lambda: plain_loop(source, folders[0], images),
        "writer": lambda: write(Job(source, folders[1], settings), workers=workers),
    }
    same: list[bool] = []

    def empty() -> None:
        if all(folder.exists() for folder in folders):
            same.append(same_pixels(*folders, images))
            for folder in folders:
                shutil.rmtree(folder)
        os.sync()

    seconds = in_turns(tasks, repeats, prepare=empty)
    same.append(same_pixels(*folders, images))
    crops = len(images) * len(VARIANTS)
    rates = {name: [crops / value for value in values] for name, values in seconds.items()}
    rows = [
        Row("40 windows an image", "one process, OpenCV alone", rates["plain"], "crops/s"),
        Row(
            "40 windows an image",
            f"writer, {workers} workers",
            rates["writer"],
            "crops/s",
            ratios(seconds["plain"], seconds["writer"]),
        ),
    ]
    sizes = {folder.name: kilobytes(folder, images) for folder in folders}
    return rows, {"crops": crops, "crop_kilobytes": sizes, "same_pixels": all(same)}


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", type=int, default=300, help="source images (40 crops each)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--source", type=Path, help="real 512 px images instead of made ones")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        work = Path(folder)
        if options.source is None:
            make_source(work / "source", options.images)
        rows, details = measure(options.source or work / "source", work, options.repeats, options.workers)
    if not details["same_pixels"]:
        raise SystemExit("the two wrote different pictures")
    settings = {name: value for name, value in vars(options).items() if name not in {"folder", "source"}}
    return publish("offset1652", rows, settings, details)


if __name__ == "__main__":
    sys.exit(main())
