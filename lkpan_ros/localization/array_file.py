"""NumPy files (.npz, as np.savez writes it) whose stated sizes are compared with the file's first.

np.load allocates what a header states before it looks whether the file has as much.
"""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy_format

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

npy: Any = npy_format  # of these functions NumPy has no types


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file that np.savez wrote, by name.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such file, is compressed, or not as long as its headers say.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise ValueError("its arrays unpack to more than the file")
            arrays = {}
            for entry in entries:
                with archive.open(entry) as file:
                    arrays[entry.filename.removesuffix(".npy")] = _read_array(
                        cast("BinaryIO", file), entry.file_size
                    )
            return arrays
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"no archive of arrays: {error}") from error


def _read_array(file: BinaryIO, size: int) -> NDArray[Any]:
    """The array in a stream of `size` bytes."""
    try:
        version = npy.read_magic(file)
        shape, by_columns, dtype = npy.read_array_header_1_0(file)
    except Exception as error:  # the header is a Python literal, and NumPy lets its parsers speak
        raise ValueError(f"no array: {error}") from error
    if version != (1, 0) or dtype.hasobject or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array {shape} of {dtype} is not what its {size} bytes hold")
    numbers = np.frombuffer(bytearray(file.read()), dtype)
    return numbers.reshape(shape[::-1]).T if by_columns else numbers.reshape(shape)
