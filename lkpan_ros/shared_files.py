"""Files that are installed beside the package: configuration and launch files."""

from __future__ import annotations

import sys
from pathlib import Path

from lkpan_ros.errors import LkpanError


def shared_file(name: str) -> Path:
    """The path of a file such as `config/fastdds.xml`, in the source tree or where it was installed.

    Raises:
        LkpanError: The installation lacks it.
    """
    package = Path(__file__).resolve().parent
    prefixes = [Path(sys.prefix), *package.parents]
    places = [package.parent / name, *(prefix / "share" / "lkpan_ros" / name for prefix in prefixes)]
    for place in places:
        if place.is_file():
            return place
    raise LkpanError(
        f"{name} is not installed (looked in {places[0].parent} and share/lkpan_ros): install again"
    )


def fastdds_profile() -> Path:
    """The Fast DDS profile with room for whole pictures in shared memory."""
    return shared_file("config/fastdds.xml")
