"""A gallery too large for one file: its descriptors and pixels in several beside it, read as one.

`NAME.gallery` holds all but these, and names the files in `NAME.gallery.shards` with their content hashes, so that its own
content hash is over them too. Each file is a container of `gallery_file`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.errors import GalleryError
from lkpan_ros.localization import gallery_file
from lkpan_ros.localization.paths import inside
from lkpan_ros.localization.stored_array import JoinedArray, row_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lkpan_ros.localization.signature import PublicKey
    from lkpan_ros.localization.stored_array import AnyArray

SHARD_BYTES = 4 * 10**9  # file systems of 32 bits take no larger file
_SPLIT = ("descriptors", "data")
_LISTING = "shards"


def write(path: Path, info: str, arrays: Mapping[str, AnyArray], shard_bytes: int = SHARD_BYTES) -> str:
    """Write a gallery in one file, or in as many as it takes.

    The file that names the others comes last, and those of a gallery that stood there go after it: under its name a
    gallery is whole, the old one or the new one.

    Args:
        path: Replaced if it exists.
        info: Canonical JSON.
        arrays: As `gallery_file.write`.
        shard_bytes: How large a file of descriptors and pixels may be, about.

    Returns:
        Its content hash.

    Raises:
        OSError: The disk is full, the folder is not writable.
    """
    large = {name: arrays[name] for name in _SPLIT}
    count = -(-sum(len(array) * row_bytes(array) for array in large.values()) // shard_bytes)
    folder, listing = _folder(path), []
    if count > 1:
        folder.mkdir(exist_ok=True)
        listing = [_write_shard(folder, number, count, large) for number in range(count)]
        arrays = {name: array for name, array in arrays.items() if name not in _SPLIT}
        arrays |= {_LISTING: np.frombuffer(json.dumps(listing).encode(), np.uint8)}
    digest = gallery_file.write(path, info, arrays)
    _remove_others(folder, {shard["name"] for shard in listing})
    return digest


def _write_shard(folder: Path, number: int, count: int, arrays: Mapping[str, AnyArray]) -> dict[str, str]:
    """Under a name that tells its content, so that it takes the place of no other."""
    parts = {
        name: array[len(array) * number // count : len(array) * (number + 1) // count]
        for name, array in arrays.items()
    }
    path = folder / f"{number:04d}.part"
    digest = gallery_file.write(path, json.dumps({"shard": number}), parts)
    name = f"{number:04d}-{digest[:16]}.shard"
    path.replace(folder / name)
    return {"name": name, "sha256": digest}


def _remove_others(folder: Path, names: set[str]) -> None:
    if not folder.is_dir():
        return
    for pattern in ("*.shard", "*.part", ".*.tmp"):
        for file in folder.glob(pattern):
            if file.name not in names:
                file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def read(path: Path, public_key: PublicKey | None = None) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Read and verify a gallery, as `gallery_file.read`; what lies in shards is mapped.

    A signature of the gallery is one of its shards, too, whose content hashes it covers.

    Raises:
        GalleryError: As there; or a shard is missing, altered, or of another gallery.
    """
    info, arrays, digest = gallery_file.read(path, public_key)
    if _LISTING not in arrays:
        return info, arrays, digest
    found: dict[str, list[Any]] = {name: [] for name in _SPLIT}
    for name, content in _listed(path, arrays.pop(_LISTING)):
        file = inside(_folder(path), name)
        if file is None:
            raise GalleryError(f"{path}: names a shard outside of its folder ({name!r})")
        _, parts, stated = gallery_file.read(file, mapped_from_bytes=0)
        if stated != content or not parts.keys() >= set(_SPLIT):
            raise GalleryError(f"{file}: is no shard of {path}; copy all of them again")
        for array in _SPLIT:
            found[array].append(parts[array])
    kinds = [{(part.dtype, part.shape[1:]) for part in parts} for parts in found.values()]
    if any(len(kind) != 1 for kind in kinds):
        raise GalleryError(f"{path}: its shards do not fit together; copy all of them again")
    joined = {name: JoinedArray(parts) for name, parts in found.items()}
    return info, {**arrays, **joined}, digest


def _listed(path: Path, listing: Any) -> list[tuple[str, str]]:
    """Name and content hash of each shard. A checksum is no proof that who wrote the listing meant well."""
    try:
        return [(str(shard["name"]), str(shard["sha256"])) for shard in json.loads(listing.tobytes())]
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise GalleryError(f"{path}: has no readable list of its shards ({error}); copy it again") from error


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.shards")
