"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from lkpan_model.whole_file import whole_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failed_write_leaves_what_was_there_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_whole(path, b"before")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write(b"half of ")
            raise OSError(errno.ENOSPC, "No space left on device")  # as a write does, without a name

    with pytest.raises(OSError, match=r"No space left.*a\.bin") as caught:
        write_half()
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]
