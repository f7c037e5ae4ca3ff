"""Recorded flights: flight.csv with its pictures, and bags."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from backports import zstd

from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.image_file import read_image
from lkpan_ros.node.bag_source import Bag
from test.fuzz.decoder import Decoder, seeds, write
from test.fuzz.mutation import NUMBERS, damaged, damaged_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

PATIENCE = 200  # messages of a bag that are read


def _flight(rng: Random, folder: Path) -> Callable[[], object]:
    picture = seeds("pictures/small.png")[0]
    write(folder, "flight/a.png", damaged(rng, picture) if rng.random() < 0.2 else picture)
    write(folder, "secret.png", seeds("pictures/small.png")[0])
    data = seeds("flight.csv")[0]
    text = damaged(rng, data) if rng.random() < 0.3 else damaged_text(rng, data.decode())
    path = write(folder, "flight/flight.csv", text)

    def read() -> None:
        for record in read_flight(path)[:2]:
            assert record.file.is_relative_to(folder / "flight")
            read_image(record.file)

    return read


def _bag(rng: Random, folder: Path) -> Callable[[], object]:
    storage, fault = rng.choice(("mcap", "db3")), rng.random()
    file = _bag_file(rng, rng.choice(seeds(f"bags/*.{storage}")), storage, fault)
    path = write(folder, f"bag/bag.{storage}", file)
    if fault > 0.5:
        path = write(folder, "bag/metadata.yaml", _metadata(rng, storage, whole=fault < 0.7)).parent

    def read() -> None:
        for number, _ in enumerate(Bag(path, {}).messages()):
            if number >= PATIENCE:
                break

    return read


def _bag_file(rng: Random, file: bytes, storage: str, fault: float) -> bytes:
    if fault < 0.35 or (fault < 0.65 and storage == "db3"):
        return damaged(rng, file, seeds(f"bags/*.{storage}"))
    if fault < 0.65:
        return _damaged_records(rng, file)
    return _bomb(rng, file) if fault < 0.7 else file


def _metadata(rng: Random, storage: str, *, whole: bool) -> str:
    text = seeds("bags/metadata.yaml")[0].decode()
    if storage == "db3":
        text = text.replace("mcap", "db3").replace("storage_identifier: db3", "storage_identifier: sqlite3")
    if rng.random() < 0.2:
        mode = rng.choice(("file", "message", "FILE", "zip"))
        text = text.replace("compression_mode: ''", f"compression_mode: {mode}")
        text = text.replace("compression_format: ''", "compression_format: zstd")
    return text if whole else damaged_text(rng, text, "\n:- ")


def _damaged_records(rng: Random, file: bytes) -> bytes:
    """An MCAP file with another number in one of its records, which stay where they were."""
    starts, place = [], 8
    while place + 9 <= len(file) - 8:
        starts.append(place)
        place += 9 + struct.unpack_from("<Q", file, place + 1)[0]
    changed = bytearray(file)
    for _ in range(rng.choice((1, 1, 2))):
        start = rng.choice(starts)
        length = struct.unpack_from("<Q", file, start + 1)[0]
        code, size = rng.choice((("<B", 1), ("<H", 2), ("<I", 4), ("<Q", 8)))
        offset = rng.choice((0, 1, 9)) if rng.random() < 0.3 else 9 + rng.randrange(max(1, min(120, length)))
        if start + offset + size <= len(changed):
            struct.pack_into(code, changed, start + offset, rng.choice(NUMBERS) % 2 ** (8 * size))
    return bytes(changed)


def _bomb(rng: Random, file: bytes) -> bytes:
    """The chunk's data replaced by little that unpacks to much, with lengths that may agree."""
    bomb = zstd.compress(bytes(rng.choice((1, 100, 600)) * 1_000_000))
    place = file.find(b"\x28\xb5\x2f\xfd")  # where a zstd frame starts
    if place < 0:
        return bomb
    return file[:place] + bomb + file[place + len(bomb) :]


DECODERS = (Decoder("flight.csv", _flight), Decoder("bag", _bag, memory_mib=1024))
