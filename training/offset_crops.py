"""From one source image to its crops on the disk: decode once, cut, encode, write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.layouts import IMAGE_SUFFIXES
from training.offset_jpeg import encode_crops
from training.offset_manifest import Crop, Record, Settings
from training.offsets import SOURCE_SIDE, OffsetError, crop_box, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.offsets import Variant

_JPEG = (".jpg", ".jpeg")
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Job:
    """Where to read, where to write, and how."""

    source: Path
    out: Path
    settings: Settings


@dataclass(frozen=True)
class Listing:
    """The files of a source folder: paths of images below it, sorted, and of anything else."""

    images: tuple[str, ...]
    others: tuple[str, ...]


def list_images(folder: Path) -> Listing:
    """All images below a folder (by suffix; hidden files and folders are passed over); linked folders are followed.

    Raises:
        OffsetError: The folder is missing, unreadable or holds no image, or a link leads back into it.
    """

    def fail(error: OSError) -> None:
        raise OffsetError(f"{error.filename} cannot be listed ({error.strerror}): check the source folder")

    images: list[str] = []
    others: list[str] = []
    seen = set()
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            raise OffsetError(f"{place} leads to a folder that was read already: remove the link")
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(place, folder)
        for name in names:
            path = PurePosixPath(below, name)
            if not name.startswith("."):
                (images if path.suffix.lower() in IMAGE_SUFFIXES else others).append(str(path))
    if not images:
        raise OffsetError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)}): check the source folder")
    return Listing(tuple(sorted(images)), tuple(sorted(others)))


def cut_image(job: Job, source: str) -> Record:
    """Write all crops of one image, each under its final name only when it is whole.

    A bad image (unreadable, not decodable, not 512 x 512 px) is not raised but told in the record, so that the caller
    can stop or skip it.

    Raises:
        OffsetError: A crop cannot be written, for instance because the disk is full; the message names it.
    """
    try:
        with (job.source / source).open("rb") as file:
            status, content = os.fstat(file.fileno()), file.read()
    except OSError as error:
        return Record(source, 0, 0, "", (), f"cannot be read ({error.strerror})")
    digest = sha256(content).hexdigest()
    pixels = decode(content)
    if isinstance(pixels, str):
        return Record(source, status.st_size, status.st_mtime_ns, digest, (), pixels)
    targets = tuple(job.settings.targets(source))
    files = encode(
        pixels, [variant for _, variant in targets], PurePosixPath(targets[0][0]).suffix, job.settings.quality
    )
    crops = []
    for (target, variant), crop in zip(targets, files, strict=True):
        store(f"{job.out}/{target}", crop)
        crops.append(Crop(variant.name, len(crop), crop_box(variant).side, sha256(crop).hexdigest()))
    return Record(source, status.st_size, status.st_mtime_ns, digest, tuple(crops))


def decode(content: bytes) -> NDArray[np.uint8] | str:
    """A source image as uint8 512 x 512 x 3 (BGR), or what is wrong with it."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content or b"\0", np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # a header that claims more pixels than OpenCV allows
        pixels = None
    if pixels is None:
        return "cannot be decoded as an image"
    if pixels.shape[:2] != (SOURCE_SIDE, SOURCE_SIDE):
        height, width = pixels.shape[:2]
        return f"is {width} x {height} px, not {SOURCE_SIDE} x {SOURCE_SIDE}"
    return pixels.astype(np.uint8, copy=False)


def encode(
    pixels: NDArray[np.uint8], variants: Sequence[Variant], suffix: str, quality: int | None
) -> Iterator[bytes]:
    """The files of all crops of an image, in turn: what `cv2.imencode` gives (JPEG: see `training.offset_jpeg`).

    Args:
        pixels: 512 x 512 x 3 (BGR).
        variants: Windows to cut.
        suffix: Of the format; PNG and TIFF are lossless.
        quality: 1 to 100, of JPEG and WebP.
    """
    if suffix.lower() in _JPEG and quality is not None:
        yield from encode_crops(pixels, variants, quality)
        return
    options = [cv2.IMWRITE_WEBP_QUALITY, quality] if suffix.lower() == ".webp" and quality is not None else []
    for variant in variants:
        yield cv2.imencode(suffix, cut(pixels, variant), options)[1].tobytes()


def store(path: str, content: bytes) -> None:
    """Write a file that appears under its name only when it is whole.

    The temporary name is the same in each run, so that what a killed run leaves is replaced when its image is cut again.

    Raises:
        OffsetError: It cannot be written; the message names it.
    """
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.tmp"
    try:
        try:
            file = os.open(temporary, _WRITE, 0o666)
        except FileNotFoundError:  # asking first would cost more than the few failures
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            file = os.open(temporary, _WRITE, 0o666)
        try:
            _write_all(file, content)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108
            raise
        finally:
            os.close(file)
    except OSError as error:
        raise OffsetError(
            f"{path} cannot be written ({error.strerror}): what is done stays valid; make room or repair it, and run "
            "the same command again"
        ) from error


def _write_all(file: int, content: bytes) -> None:
    """As one system call, except where the disk has no room for all of it and the next one says why."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
