"""Bags that lie: about the files that they have, and about how much there is to unpack."""

from __future__ import annotations

import re
import shutil
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import lz4.frame
import numpy as np
import pytest
from backports import zstd
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, storage_mcap
from rosbags.typesys import Stores, get_typestore

from lkpan_ros.errors import FlightError
from lkpan_ros.node import bag_file
from lkpan_ros.node.bag_source import Bag

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGE = "sensor_msgs/msg/Image"
COMPRESSIONS = [CompressionMode.NONE, CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE]


def write_bag(
    path: Path,
    storage: StoragePlugin,
    compression: CompressionMode = CompressionMode.NONE,
    pictures: tuple[int, ...] = (12, 27),
) -> Path:
    """A bag of pictures, one a second, each of so many bytes of zeros."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    types = get_typestore(Stores.ROS2_JAZZY)
    with writer:
        connection = writer.add_connection("/image", IMAGE, typestore=types)
        for second, size in enumerate(pictures):
            message = types.types[IMAGE](
                header=types.types["std_msgs/msg/Header"](
                    stamp=types.types["builtin_interfaces/msg/Time"](second, 0), frame_id="camera"
                ),
                height=1, width=size, encoding="mono8", is_bigendian=0, step=size, data=np.zeros(size, np.uint8),
            )  # fmt: skip
            writer.write(connection, second * 10**9, types.serialize_cdr(message, IMAGE))
    return path


def contents(path: Path) -> list[tuple[float, int]]:
    return [(message.time_s, len(message.cdr)) for message in Bag(path, {}).messages()]


def cases() -> list[Any]:
    pairs = [(storage, mode) for storage in StoragePlugin for mode in COMPRESSIONS]
    return [pair for pair in pairs if pair != (StoragePlugin.SQLITE3, CompressionMode.STORAGE)]


@pytest.mark.parametrize(("storage", "compression"), cases())
def test_bags_of_every_kind_are_read(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
) -> None:
    plain = contents(write_bag(tmp_path / "plain", storage))
    assert [time_s for time_s, _ in plain] == [0.0, 1.0]
    assert contents(write_bag(tmp_path / "bag", storage, compression)) == plain


def test_a_single_file_is_a_bag_too(tmp_path: Path) -> None:
    for storage, suffix in ((StoragePlugin.MCAP, "mcap"), (StoragePlugin.SQLITE3, "db3")):
        bag = write_bag(tmp_path / suffix, storage)
        assert len(contents(bag / f"{suffix}.{suffix}")) == 2


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_files_elsewhere_are_not_read(tmp_path: Path, storage: StoragePlugin) -> None:
    suffix = "mcap" if storage == StoragePlugin.MCAP else "db3"
    elsewhere = write_bag(tmp_path / "elsewhere", storage) / f"elsewhere.{suffix}"
    bag = write_bag(tmp_path / "bag", storage)
    metadata = bag / "metadata.yaml"
    named = f"bag.{suffix}"
    stated = metadata.read_text()
    (bag / named).unlink()
    metadata.write_text(stated.replace(named, str(elsewhere)))
    with pytest.raises(FlightError, match="missing"):
        contents(bag)
    metadata.write_text(stated)
    (bag / named).symlink_to(elsewhere)
    with pytest.raises(FlightError, match="outside the bag's folder"):
        contents(bag)


def test_a_name_that_sqlite_would_take_for_a_path_elsewhere(tmp_path: Path) -> None:
    write_bag(tmp_path / "elsewhere", StoragePlugin.SQLITE3)
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    trap = "..%2felsewhere%2felsewhere.db3"
    (bag / trap).write_bytes(b"")
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("bag.db3", trap))
    with pytest.raises(FlightError, match="outside the bag's folder"):
        contents(bag)


@pytest.mark.parametrize(
    ("storage", "compression"), [case for case in cases() if case[1] != CompressionMode.NONE]
)
def test_a_bag_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: StoragePlugin, compression: CompressionMode
) -> None:
    monkeypatch.setattr(bag_file, "MOST_UNPACKED", 100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Disk", (), {"free": 100_000}))
    bag = write_bag(tmp_path / "bag", storage, compression, pictures=(1_000_000,))
    assert sum(file.stat().st_size for file in bag.iterdir()) < 50_000
    with pytest.raises(FlightError, match="unpacks to"):
        contents(bag)


@pytest.mark.parametrize(("name", "compress"), [("zstd", zstd.compress), ("lz4", lz4.frame.compress)])
def test_a_chunk_longer_than_it_says_is_not_unpacked(name: str, compress: Callable[[bytes], bytes]) -> None:
    """rosbags compares the length when all of it is in memory."""
    bomb = compress(b"\0" * 50_000_000)
    bag_file._bound_unpacking()
    tracemalloc.start()
    with pytest.raises(ValueError, match="unpacks to more"):
        storage_mcap.decompress(bomb, name, 1000, 0)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert storage_mcap.decompress(compress(b"\0" * 1000), name, 1000, 0) == b"\0" * 1000


def test_a_record_longer_than_the_file_is_not_allocated(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    content[9:17] = struct.pack("<Q", 1 << 62)  # the length of the header
    file.write_bytes(content)
    with pytest.raises(FlightError, match="Truncated record"):
        contents(bag)


@pytest.mark.parametrize(
    "text", ["a: &a [1]\nb: *a\n", "#" * 1_100_000, "[" * 50_000, "", "rosbag2_bagfile_information: 3"]
)
def test_metadata_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(FlightError, match="bag"):
        contents(bag)


@pytest.mark.parametrize(
    ("stated", "false"), [(r"message_count: \d+", "message_count: many"), (r"name: /\S+", "name: [1, 2]")]
)
def test_metadata_of_the_wrong_types_is_refused(tmp_path: Path, stated: str, false: str) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    metadata = bag / "metadata.yaml"
    text, count = re.subn(stated, false, metadata.read_text())
    assert count
    metadata.write_text(text)
    with pytest.raises(FlightError, match="bag"):
        contents(bag)
