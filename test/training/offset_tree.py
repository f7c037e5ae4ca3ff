"""Small trees of drone images made by code, and what the tests of the writer ask of a folder."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.offset1652 import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from numpy.typing import NDArray

TWO = ("--variants", "Offset-L-1,Offset-RD-5", "--workers", "1")


def picture(seed: int) -> NDArray[np.uint8]:
    """512 x 512 x 3 with detail, so that its files are not tiny."""
    noise = np.random.default_rng(seed).integers(0, 256, (128, 128, 3), np.uint8)
    return cv2.resize(noise, (512, 512), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def make_source(folder: Path, images: int = 3, suffixes: tuple[str, ...] = (".jpeg", ".png")) -> Path:
    for index in range(images):
        path = folder / f"{index // 2:04d}" / f"image-{index:02d}{suffixes[index % len(suffixes)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture(index))
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def files(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of all files."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in paths}


def decode(file: bytes) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.astype(np.uint8)


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused run leaves."""
    capsys.readouterr()
    assert run(*arguments) == 2
    shown = [line for line in capsys.readouterr().err.split("\n") if line.startswith("error: ")]
    assert len(shown) == 1
    return shown[0]
