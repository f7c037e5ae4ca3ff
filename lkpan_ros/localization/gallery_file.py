"""The container of a gallery: safetensors with a format name, a version and checksums over all that it holds.

safetensors is a length, a JSON header and plain arrays (https://github.com/huggingface/safetensors): nothing in it
can execute, and its header is checked against the length of the file before anything is allocated.

The two arrays that make a gallery large, descriptors and pixels, have a checksum for each block of bytes; these stand
in arrays of their own, and the content hash is over them and all other arrays. So a file that is too large to be read
whole before take-off is mapped, and each block of it is checked when it is first used.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from lkpan_model.whole_file import whole_file
from lkpan_ros.errors import GalleryError
from lkpan_ros.localization.stored_array import StoredArray, block_digests, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.signature import PublicKey
    from lkpan_ros.localization.stored_array import AnyArray

    Arrays = Mapping[str, AnyArray]

FORMAT = "lkpan_gallery"
VERSION = 2
MAPPED_FROM_BYTES = 2**31  # up to here a file is read and checked whole: a second or two
_BLOCKWISE = ("descriptors", "data", "index")
_DIGESTS = ".sha256"
_DTYPES = {"F64": "<f8", "I64": "<i8", "I32": "<i4", "F16": "<f2", "U8": "|u1"}
_REBUILD = "rebuild it with build_gallery"


def content_hash(info: str, arrays: Arrays) -> str:
    """SHA-256, hexadecimal, over the information and the name, dtype, shape and bytes of every array."""
    return _content_hash(info, {**arrays, **_digests_of(arrays)})


def _content_hash(info: str, arrays: Arrays) -> str:
    """The same of arrays with their block's checksums, by which the bytes of the large ones count."""
    digest = hashlib.sha256(f"{FORMAT} {VERSION}\n{info}\n".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        if name not in _BLOCKWISE:
            digest.update(np.ascontiguousarray(array[:]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _digests_of(arrays: Arrays) -> dict[str, NDArray[np.uint8]]:
    return {f"{name}{_DIGESTS}": block_digests(arrays[name]) for name in _BLOCKWISE if name in arrays}


def write(path: Path, info: str, arrays: Arrays) -> str:
    """Write a container; under its final name it is whole or not there at all.

    Args:
        path: Replaced if it exists.
        info: Canonical JSON.
        arrays: Any shapes; native little-endian dtypes. They are read piece by piece.

    Returns:
        Its content hash.

    Raises:
        OSError: The disk is full, the folder is not writable.
    """
    arrays = {**arrays, **_digests_of(arrays)}
    # Wide numbers first, so that all lie where their width divides the offset.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    digest = _content_hash(info, arrays)
    metadata = {"format": FORMAT, "version": str(VERSION), "info": info, "sha256": digest}
    header = json.dumps({"__metadata__": metadata, **_entries(names, arrays)}).encode()
    header += b" " * (-len(header) % 8)
    with whole_file(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in names:
            for piece in pieces(arrays[name]):
                file.write(piece.data)
    return digest


def _entries(names: list[str], arrays: Arrays) -> dict[str, dict[str, Any]]:
    """What the header says of each array, in the order in which they are written."""
    named = {dtype: name for name, dtype in _DTYPES.items()}
    entries, start = {}, 0
    for name in names:
        array = arrays[name]
        end = start + int(np.prod(array.shape)) * array.dtype.itemsize
        entries[name] = {
            "dtype": named[array.dtype.str], "shape": list(array.shape), "data_offsets": [start, end],
        }  # fmt: skip
        start = end
    return entries


def read(
    path: Path, public_key: PublicKey | None = None, mapped_from_bytes: int | None = None
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Read a container and verify it; a large one is mapped, and its large arrays are verified when they are used.

    Args:
        path: The file.
        public_key: Whose signature it must have; None: not asked for.
        mapped_from_bytes: How large a large one is; None: `MAPPED_FROM_BYTES`.

    Returns:
        The information, the arrays (`StoredArray` where mapped), and the content hash.

    Raises:
        GalleryError: The file is missing, no gallery, of a future version, truncated or altered.
        SignatureError: A key is given, and the file is not signed with it.
    """
    if not path.is_file():
        raise GalleryError(f"{path}: there is no such file; make it with build_gallery --output {path}")
    try:
        info, arrays, stored, found = _verified(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise GalleryError(
            f"{path}: is truncated, damaged or no gallery ({error}); copy it again or {_REBUILD}"
        ) from error
    if public_key is not None:
        public_key.require("gallery", path, found)
    whole = path.stat().st_size < (MAPPED_FROM_BYTES if mapped_from_bytes is None else mapped_from_bytes)
    arrays |= {name: rows.whole() if whole else rows for name, rows in stored.items()}
    return _parsed(path, info), arrays, found


def _verified(path: Path) -> tuple[str, dict[str, Any], dict[str, StoredArray], str]:
    """The information as text, small arrays, large ones, and the content hash, which is the one that is stated."""
    with safe_open(path, framework="numpy") as file:  # checks the header
        metadata = file.metadata() or {}
        _check_kind(path, metadata)
        names = set(file.keys())
        large = {name for name in _BLOCKWISE if name in names}
        arrays: dict[str, Any] = {name: file.get_tensor(name) for name in names - large}
    info, stated = metadata.get("info", ""), metadata.get("sha256", "")
    mapped = _mapped(path, large)
    found = _content_hash(info, {**arrays, **mapped})
    if found != stated:
        raise GalleryError(
            f"{path}: its content was altered (SHA-256 {found[:12]}, stated {stated[:12]}); copy it again or "
            f"{_REBUILD}"
        )
    stored = {
        name: StoredArray(str(path), rows, arrays.pop(f"{name}{_DIGESTS}")) for name, rows in mapped.items()
    }
    return info, arrays, stored, found


def _parsed(path: Path, info: str) -> dict[str, Any]:
    """A checksum is no proof that who wrote it meant well."""
    try:
        values = json.loads(info)
    except (ValueError, RecursionError) as error:
        raise GalleryError(f"{path}: its information cannot be read ({error}); {_REBUILD}") from error
    if not isinstance(values, dict):
        raise GalleryError(f"{path}: its information is no table of values; {_REBUILD}")
    return values


def _mapped(path: Path, names: set[str]) -> dict[str, NDArray[Any]]:
    """Arrays of a file whose header was checked, as they lie in it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    found = {}
    for name in names:
        entry = header[name]
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        start = 8 + length + entry["data_offsets"][0]
        empty = 0 in shape  # which cannot be mapped
        found[name] = np.zeros(shape, dtype) if empty else np.memmap(path, dtype, "r", start, shape)
    return found


def is_gallery(path: Path) -> bool:
    """Whether a file calls itself a gallery, of any version and state."""
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError, ValueError):
        return False


def _check_kind(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise GalleryError(
            f"{path}: is no gallery (format {metadata.get('format')!r}); make one with build_gallery"
        )
    version = metadata.get("version", "")
    if version != str(VERSION):
        newer = version.isdecimal() and int(version) > VERSION
        remedy = "update lkpan_ros or " if newer else ""
        raise GalleryError(
            f"{path}: is of version {version!r}, this software reads version {VERSION}; {remedy}{_REBUILD}"
        )
