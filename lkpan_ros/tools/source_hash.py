"""Which version of the code made a result: a hash over the sources of packages and modules."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def source_hash(*packages: str) -> str:
    """SHA-256, hexadecimal, over the names and bytes of all Python files of packages (or modules), by dotted names."""
    digest = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        assert spec is not None
        if spec.submodule_search_locations is None:
            digest.update(f"{package}\n".encode() + Path(str(spec.origin)).read_bytes())
        for folder in map(Path, spec.submodule_search_locations or ()):
            for path in sorted(folder.rglob("*.py")):
                content = path.read_bytes()
                digest.update(f"{package} {path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
