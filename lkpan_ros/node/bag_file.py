"""Rosbags opened by rosbags, which believes what a bag says of itself: here nothing is believed that could hurt.

Files named in it cannot lie elsewhere, what it states to be long is not allocated before it is there, what is
compressed unpacks to a bounded size, and message definitions are not turned into code (as rosbags' AnyReader does):
the messages are passed on as bytes.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
from backports import zstd
from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import Reader, storage_mcap

from lkpan_ros.errors import FlightError
from lkpan_ros.localization.paths import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rosbags.interfaces import Connection

MOST_UNPACKED = 1 << 28  # bytes of a chunk or message; a raw picture of 60 million pixels has 180 million
_MOST_METADATA = 1 << 20  # bytes of metadata.yaml
_ALIAS = re.compile(r"(?:^|[\s,\[{:-])\*\w", re.MULTILINE)  # few of them make endless lists
_COPIED = 1 << 20


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """A bag, open for reading.

    Args:
        path: The bag's folder, or a single .mcap or .db3 file.

    Raises:
        FlightError: It cannot be read, names files elsewhere, or is a ROS 1 bag.
    """
    if not path.exists():
        raise FlightError(f"{path}: there is no such bag")
    if path.suffix == ".bag":
        raise FlightError(f"{path}: is a ROS 1 bag; convert it with rosbags-convert")
    if path.is_dir():
        _check_folder(path)
    try:
        _bound_unpacking()
        reader = Reader(_Path(path))
        reader.open()
    except Exception as error:
        raise FlightError(f"{path}: is no readable bag ({error})") from error
    try:
        yield reader
    finally:
        reader.close()


def raw_messages(reader: Reader, connections: list[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
    """Connection, time of recording in nanoseconds and bytes of each message, as they were recorded.

    Raises:
        Exception: Nearly any kind: the bag is truncated or damaged, or unpacks to too much.
    """
    packed = reader.compression_mode == "message"
    if packed:  # rosbags would unpack without a bound
        reader.storage.metadata = reader.storage.metadata._replace(compression_mode=None)
    for connection, time_ns, data in reader.messages(connections):
        yield connection, time_ns, _unpacked(zstd.ZstdDecompressor(), data, MOST_UNPACKED) if packed else data


def _check_folder(path: Path) -> None:
    """Rosbags takes the last part of each name in metadata.yaml for a file of the folder, and SQLite reads it as a URI."""
    for file in path.iterdir():
        if re.search("[%?#]", file.name) or inside(path, file.name) is None:
            raise FlightError(f"{file}: lies outside the bag's folder; put the file itself there")
    metadata = path / "metadata.yaml"
    try:
        text = metadata.read_text(encoding="utf-8") if metadata.stat().st_size <= _MOST_METADATA else None
    except (OSError, UnicodeDecodeError) as error:
        raise FlightError(f"{path}: is no readable bag ({error})") from error
    if text is None or _ALIAS.search(text):
        raise FlightError(
            f"{metadata}: is longer than {_MOST_METADATA} bytes or has aliases, which no bag's is"
        )
    if re.search(r"compression_mode:\W*file", text, re.IGNORECASE):
        _check_packed_files(path)


def _check_packed_files(path: Path) -> None:
    """Files compressed as a whole are unpacked into the temporary folder: there must be room for them."""
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2
    try:
        for file in path.glob("*.zstd"):
            with zstd.open(file, "rb") as stream:
                while free >= 0 and (piece := stream.read(_COPIED)):
                    free -= len(piece)
    except (OSError, EOFError, zstd.ZstdError) as error:
        raise FlightError(f"{path}: cannot be unpacked ({error}); copy it again") from error
    if free < 0:
        raise FlightError(
            f"{path}: unpacks to more than fits in {tempfile.gettempdir()}; unpack it elsewhere"
        )


class _Stream(io.BufferedReader):
    """Reads no further than the file goes; Python would allocate all that is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


class _Path(type(Path())):  # type: ignore[misc] # a Path of this system
    """A path whose file does not allocate what it is asked for."""

    def open(self, mode: str = "r", *arguments: object, **named: object) -> object:
        if mode == "rb":
            return _Stream(io.FileIO(self))
        return super().open(mode, *arguments, **named)


def _bound_unpacking() -> None:
    """For all of this process: what rosbags unpacks, and what a value of a database may be, is bounded."""
    storage_mcap.DECOMPRESSORS = {
        "": lambda data, _: data,
        "zstd": lambda data, size: _unpacked(zstd.ZstdDecompressor(), data, size),
        "lz4": lambda data, size: _unpacked(LZ4FrameDecompressor(), data, size),
    }
    if _limit_database not in apsw.connection_hooks:
        apsw.connection_hooks.append(_limit_database)


def _unpacked(decompressor: zstd.ZstdDecompressor | LZ4FrameDecompressor, data: bytes, size: int) -> bytes:
    """What data unpacks to, at most `size` bytes."""
    most = min(size, MOST_UNPACKED)
    unpacked: bytes = decompressor.decompress(data, max_length=most + 1)
    if len(unpacked) > most:
        raise ValueError(f"a part unpacks to more than the {most} bytes that it may have")
    return unpacked


def _limit_database(connection: apsw.Connection) -> None:
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, MOST_UNPACKED)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
