"""Paths that stand in files of others: they name what lies in the file's own folder, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def inside(folder: Path, name: str) -> Path | None:
    """The path that a name means from a folder, links followed; None where it is not inside the folder."""
    try:
        home = folder.resolve()
        path = (home / name).resolve()
    except (OSError, ValueError, RuntimeError):  # too long, with a null byte, or a circle of links
        return None
    return path if path.is_relative_to(home) and path != home else None
