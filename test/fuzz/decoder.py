"""What a decoder under test is."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_model.errors import ModelError
from lkpan_ros.errors import LkpanError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Decoder:
    """Something that reads what others wrote.

    Attributes:
        name: For people.
        make: Puts one case, made of random numbers, into an empty folder, and returns what reads it.
        named: Errors that are refusals; any other is a finding.
        memory_mib: How much more memory than before a case may take.
    """

    name: str
    make: Callable[[Random, Path], Callable[[], object]]
    named: tuple[type[Exception], ...] = (LkpanError, ModelError)
    memory_mib: int = 256


@lru_cache
def seeds(pattern: str) -> tuple[bytes, ...]:
    """The files of the corpus that a pattern names, unpacked, in the order of their names."""
    found = sorted(CORPUS.glob(pattern))
    assert found, pattern
    return tuple(gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in found)


def write(folder: Path, name: str, content: bytes | str) -> Path:
    """A file of a case."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return path
