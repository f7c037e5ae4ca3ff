"""An array in a file, checked block by block when it is first used: so a large file opens at once."""

from __future__ import annotations

import hashlib
from math import gcd, prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lkpan_ros.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    AnyArray: TypeAlias = "NDArray[Any] | StoredArray | JoinedArray"

BLOCK_BYTES = 32_768  # what is read and hashed for one row: a few descriptors, a block of pixels
_PIECE_BYTES = 2**23
_REMEDY = "copy it again or rebuild it with build_gallery"


class StoredArray:
    """Rows of an array that lies in a file. Safe to be read from several threads.

    Args:
        source: The file, for messages.
        rows: (N, ...) mapped from it.
        digests: (B, 32) uint8, SHA-256 of each `BLOCK_BYTES` of it.

    Raises:
        ValueError: There are more or fewer digests than blocks.
    """

    def __init__(self, source: str, rows: NDArray[Any], digests: NDArray[np.uint8]) -> None:
        blocks = -(-rows.nbytes // BLOCK_BYTES)
        if digests.shape != (blocks, 32) or digests.dtype != np.uint8:
            raise ValueError(f"{digests.shape} checksums for {blocks} blocks")
        self._source, self._rows, self._digests = source, rows, digests
        self._checked = np.zeros(blocks, np.bool_)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows."""
        return self._rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return self._rows.dtype

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Some rows: a copy for an array of them, what is mapped for a slice of step 1.

        Raises:
            GalleryError: They were altered.
        """
        if isinstance(rows, slice):
            first, end, _ = rows.indices(len(self))
            self._check(np.array([first]), np.array([max(first, end)]))
        else:
            self._check(rows, rows + 1)
        found: NDArray[Any] = self._rows[rows]
        return found

    def whole(self) -> NDArray[Any]:
        """All of it, in memory.

        Raises:
            GalleryError: It was altered.
        """
        return np.array(self[:])

    def _check(self, firsts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        """Compare the blocks of some ranges of rows with their checksums, those that have not been yet."""
        size, some = row_bytes(self._rows), ends > firsts  # an empty range has no block
        firsts, ends = firsts[some], ends[some]
        firsts, ends = firsts * size // BLOCK_BYTES, -(-ends * size // BLOCK_BYTES)
        ranges = [np.arange(first, end) for first, end in zip(firsts, ends, strict=True)]
        wanted = np.unique(np.concatenate([*ranges, np.empty(0, np.int64)]))
        content = self._rows.reshape(-1).view(np.uint8)
        for block in wanted[~self._checked[wanted]].tolist():
            piece = content[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if hashlib.sha256(piece.data).digest() != self._digests[block].tobytes():
                raise GalleryError(f"{self._source}: its content was altered (block {block}); {_REMEDY}")
            self._checked[block] = True


class JoinedArray:
    """Arrays of the same kind, one after the other, that need not fit into memory together.

    Args:
        parts: At least one; (N, ...) each, of the same dtype and the same shape beside N.
    """

    def __init__(self, parts: Sequence[NDArray[Any] | StoredArray]) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows."""
        return (len(self), *self._parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return self._parts[0].dtype

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, as of `StoredArray`."""
        if isinstance(rows, slice):
            first, end, _ = rows.indices(len(self))
            spans = [(first - start, end - start) for start in self._starts[:-1].tolist()]
            found = [
                part[max(0, low) : max(0, high)]
                for part, (low, high) in zip(self._parts, spans, strict=True)
                if max(0, low) < min(high, len(part))
            ]
            return found[0] if len(found) == 1 else np.concatenate([self._parts[0][:0], *found])
        part_of = np.searchsorted(self._starts, rows, "right") - 1
        chosen = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for number in np.unique(part_of).tolist():
            here = part_of == number
            chosen[here] = self._parts[number][rows[here] - self._starts[number]]
        return chosen


def joined(parts: Sequence[AnyArray]) -> AnyArray:
    """Arrays one after the other: in memory where all of them are."""
    in_memory = [part for part in parts if type(part) is np.ndarray]
    if len(in_memory) == len(parts):
        return np.concatenate(in_memory)
    return JoinedArray([part for part in parts if not isinstance(part, JoinedArray)])


def block_digests(array: AnyArray) -> NDArray[np.uint8]:
    """SHA-256 of each `BLOCK_BYTES` of an array, (B, 32) uint8."""
    digests = b"".join(
        hashlib.sha256(piece[start : start + BLOCK_BYTES].data).digest()
        for piece in pieces(array)
        for start in range(0, len(piece), BLOCK_BYTES)
    )
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def pieces(array: AnyArray) -> Iterator[NDArray[np.uint8]]:
    """The bytes of an array, a few whole blocks at a time."""
    size = max(1, row_bytes(array))
    aligned = BLOCK_BYTES // gcd(size, BLOCK_BYTES)  # rows that end where a block does
    step = aligned * max(1, _PIECE_BYTES // (aligned * size))
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step]).reshape(-1).view(np.uint8)


def row_bytes(array: AnyArray) -> int:
    """Of a row of an array."""
    return array.dtype.itemsize * prod(array.shape[1:])
