"""Files by torch.save, read without running anything in them and without believing the sizes that they state."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_torch_file(path: Path, allowed: Sequence[Any] = ()) -> Any:
    """What torch.save wrote (torch 1.6 and later: a zip archive), on the CPU.

    Args:
        path: The file.
        allowed: Plain types, beside tensors and containers, that may be in it (`torch.serialization.safe_globals`).

    Raises:
        Exception: Nearly any kind: the archive is damaged, states sizes that are not its own, or would run code.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    # torch allocates what an entry states to unpack to; its own are stored as they are.
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError(
            f"its parts {packed or 'together'} unpack to more than the file, which torch never writes"
        )
    with torch.serialization.safe_globals(list(allowed)):
        return torch.load(path, map_location="cpu", weights_only=True)
