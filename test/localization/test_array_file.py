"""Arrays on disk: they come back, and a header that lies allocates nothing."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lkpan_ros.localization.array_file import read_npz

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def with_header(text: str, body: bytes = b"") -> bytes:
    padded = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + body


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 4), np.float16)],
)  # fmt: skip
def test_arrays_come_back(tmp_path: Path, array: NDArray[Any]) -> None:
    np.savez(tmp_path / "a.npz", one=array, two=np.float32(3.0))
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == {"one", "two"}
    assert np.array_equal(found["one"], array)
    assert found["one"].dtype == array.dtype
    assert found["two"] == 3.0


LIES = [
    with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 100000)}", b"\0" * 64),
    with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}"),
    with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", b"\0" * 8),
    with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N."),
    with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
    with_header("__import__('os').system('true')"),
    with_header("{'descr': '<f4', 'shape': (1, 'fortran_order': '''"),  # NumPy lets its tokenizer speak
    b"\x93NUMPY\x03\x00\xff\xff\xff\xff",
    b"",
]


@pytest.mark.parametrize("content", LIES)
def test_what_lies_is_refused_before_anything_is_allocated(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"."):
        read_npz(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_an_archive_that_unpacks_to_more_than_the_file_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(1_000_000))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(ValueError, match="unpack to more"):
        read_npz(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ValueError, match="no archive"):
        read_npz(tmp_path / "a.npz")
