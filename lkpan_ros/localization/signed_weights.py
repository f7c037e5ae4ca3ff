"""What a signature of weights is for: their content, or of an exported network the sums of its files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lkpan_model import checkpoint, exported

if TYPE_CHECKING:
    from pathlib import Path


def weights_content(path: Path) -> str:
    """SHA-256, hexadecimal, over weights, or over the manifest that names the sums of an exported network's files.

    Raises:
        ModelError: The file is missing, damaged or altered.
    """
    if path.suffix not in exported.SUFFIXES:
        return checkpoint.load(path).weights_hash
    exported.read(path)
    return hashlib.sha256(exported.manifest_path(path).read_bytes()).hexdigest()
