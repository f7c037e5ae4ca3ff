"""Crops per second of `training.offset1652`, beside one process that does the same with OpenCV alone.

Both decode each 512 px JPEG, cut the 40 windows and write them as JPEG of quality 95. The plain loop is `cv2.imread`,
40 slices and 40 `cv2.imwrite`, with OpenCV's own threads off, as the writer's workers have them. The writer also starts
its processes, replaces each file atomically, hashes it and keeps the manifest; all of that is inside its time. The two
take turns; the files of both must decode to the same pixels.

    python benchmarks/offset1652.py [--images 300] [--repeats 5] [--workers 2] [--folder /tmp] [--source DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training.offset1652 import write
from training.offset_crops import Job, list_images
from training.offset_manifest import Settings
from training.offsets import VARIANTS, crop_box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

QUALITY = 95
RESULT = Path(__file__).parent / "results" / "offset1652.json"


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


def timed(task: Callable[[Path], object], out: Path) -> float:
    """Seconds that a task takes to fill a new folder, on a disk that has nothing left to write."""
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    began = time.perf_counter()
    task(out)
    return time.perf_counter() - began


def same_pixels(first: Path, second: Path, images: Sequence[str]) -> bool:
    """Whether both wrote the same pictures for the first and the last image."""
    names = [f"{variant.name}/{name}" for variant in VARIANTS for name in (images[0], images[-1])]
    pairs = ((cv2.imread(str(first / name)), cv2.imread(str(second / name))) for name in names)
    return all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)


def kilobytes(folder: Path, images: Sequence[str]) -> float:
    """Mean size of the files of one variant."""
    sizes = [(folder / VARIANTS[0].name / name).stat().st_size for name in images]
    return round(statistics.mean(sizes) / 1e3, 2)


def measure(source: Path, work: Path, repeats: int, workers: int) -> dict[str, object]:
    """Both in turns, `repeats` times."""
    images = list_images(source).images
    crops = len(images) * len(VARIANTS)
    settings = Settings(VARIANTS, None, "keep", QUALITY)
    seconds: dict[str, list[float]] = {"plain": [], "writer": []}
    for _ in range(repeats):
        seconds["plain"].append(timed(lambda out: plain_loop(source, out, images), work / "plain"))
        seconds["writer"].append(
            timed(lambda out: write(Job(source, out, settings), workers=workers), work / "writer")
        )
    ratios = [plain / writer for plain, writer in zip(seconds["plain"], seconds["writer"], strict=True)]
    return {
        "crops": crops,
        "crop_kilobytes": {name: kilobytes(work / name, images) for name in seconds},
        "crops_per_s": {
            name: round(crops / statistics.median(values), 1) for name, values in seconds.items()
        },
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "same_pixels": same_pixels(work / "plain", work / "writer", images),
    }


def main() -> None:
    """Command line; prints the result and writes it to benchmarks/results/."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", type=int, default=300, help="source images (40 crops each)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--source", type=Path, help="real 512 px images instead of made ones")
    namespace = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=namespace.folder) as folder:
        work = Path(folder)
        if namespace.source is None:
            make_source(work / "source", namespace.images)
        source = namespace.source or work / "source"
        result = measure(source, work, namespace.repeats, namespace.workers)
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
    }
    result |= {"workers": namespace.workers, "repeats": namespace.repeats, **machine}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
