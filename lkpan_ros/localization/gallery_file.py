"""The container of a gallery: safetensors with a format name, a version and a checksum over all that it holds.

safetensors is a length, a JSON header and plain arrays (https://github.com/huggingface/safetensors): nothing in it
can execute, and its header is checked against the length of the file before anything is allocated.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lkpan_ros.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

FORMAT = "lkpan_gallery"
VERSION = 1
_REBUILD = "rebuild it with build_gallery"


def content_hash(info: str, arrays: Arrays) -> str:
    """SHA-256, hexadecimal, over the information and the name, dtype, shape and bytes of every array."""
    digest = hashlib.sha256(f"{FORMAT} {VERSION}\n{info}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write(path: Path, info: str, arrays: Arrays) -> str:
    """Write a container; under its final name it is whole or not there at all.

    Args:
        path: Replaced if it exists.
        info: Canonical JSON.
        arrays: Any shapes; native little-endian dtypes.

    Returns:
        Its content hash.

    Raises:
        OSError: The disk is full, the folder is not writable.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    digest = content_hash(info, arrays)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        metadata = {"format": FORMAT, "version": str(VERSION), "info": info, "sha256": digest}
        save_file(dict(arrays), temporary, metadata)
        _to_disk(temporary)
        temporary.replace(path)
        _to_disk(path.parent)
    except SafetensorError as error:  # how it reports what the operating system said
        raise OSError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
    """Read a container and verify it.

    Returns:
        The information, the arrays, and the content hash.

    Raises:
        GalleryError: The file is missing, no gallery, of a future version, truncated or altered.
    """
    if not path.is_file():
        raise GalleryError(f"{path}: there is no such file; make it with build_gallery --output {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_kind(path, metadata)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise GalleryError(
            f"{path}: is truncated, damaged or no gallery ({error}); copy it again or {_REBUILD}"
        ) from error
    info, stated = metadata.get("info", ""), metadata.get("sha256", "")
    found = content_hash(info, arrays)
    if found != stated:
        raise GalleryError(
            f"{path}: its content was altered (SHA-256 {found[:12]}, stated {stated[:12]}); copy it again or {_REBUILD}"
        )
    return json.loads(info), arrays, found


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
