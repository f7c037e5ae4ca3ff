"""Where the views of a dataset lie: `view/<id>/<image>`, in the layouts that are in use.

University-1652 (`train/drone`, `test/query_drone`, ...), SUES-200 split by its authors' script
(`Training/<height>/drone`, `Testing/<height>/query_drone`, ...), folders written by `training.offset1652`
(`<out>/Offset-L-1/<id>/<image>`) and a plain folder with `drone` and `satellite`. Nothing is decoded here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_model.errors import ModelError
from training.offsets import MIX_NAME, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
HEIGHTS = ("150", "200", "250", "300")  # of SUES-200, metres
SUES_RAW = (
    "drone_view_512",
    "satellite-view",
)  # its views as downloaded: <id>/<height>/<image>, <id>/<image>
_OTHER_ROLE = {"query": "gallery", "gallery": "query"}
_OFFSET_NAMES = {*(variant.name for variant in VARIANTS), MIX_NAME}


class DataError(ModelError):
    """A dataset is missing, incomplete or unreadable."""


@dataclass(frozen=True)
class View:
    """One view of a dataset: the images of each place.

    Attributes:
        folder: Holds one folder for each id.
        images: id -> paths of its images; ids and paths sorted by name.
    """

    folder: Path
    images: Mapping[str, tuple[Path, ...]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the places, sorted."""
        return tuple(self.images)

    @property
    def count(self) -> int:
        """Number of images of all places."""
        return sum(map(len, self.images.values()))


@dataclass(frozen=True)
class PairFolders:
    """The two views that training needs, and what to call the dataset."""

    name: str
    drone: Path
    satellite: Path


@dataclass(frozen=True)
class Direction:
    """One retrieval task: `name` is "drone->satellite" or "satellite->drone"."""

    name: str
    queries: Path
    gallery: Path


def read_view(folder: Path) -> View:
    """The ids and images of one view, `folder/<id>/<image>`; hidden files and folders are passed over.

    Raises:
        DataError: The folder is missing, holds no id, or an id holds no image; the message names the path.
    """
    images = {name: images_in(folder / name) for name in visible(folder, folders=True)}
    if not images:
        raise DataError(f"{folder} holds no folder of images: expected {folder.name}/<id>/<image>")
    for name, paths in images.items():
        if not paths:
            raise DataError(f"{folder / name} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return View(folder, images)


def images_in(folder: Path) -> tuple[Path, ...]:
    """The images that lie directly in a folder, sorted by name.

    Raises:
        DataError: The folder cannot be listed.
    """
    return tuple(folder / name for name in visible(folder, folders=False) if is_image(name))


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def visible(folder: Path, *, folders: bool) -> list[str]:
    """Sorted names of the folders, or of all else, in a folder; hidden ones are passed over.

    Raises:
        DataError: The folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() == folders and not e.name.startswith("."))
    except FileNotFoundError as error:
        raise DataError(f"{folder} is missing: expected {folder.name}/<id>/<image>") from error
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error


def find_training(root: Path) -> PairFolders:
    """The drone and the satellite view to train on.

    Args:
        root: A release of University-1652 (or its `train`), one height of SUES-200 (`Training/150`, or what lies
            above it where there is one height only), a plain folder with `drone` and `satellite`, or a folder of
            drone ids with `satellite` beside it or one level up, such as `Offset-L-1` or `Offset-MIX`.

    Raises:
        DataError: None of these, or more than one; the message says what to give instead.
    """
    if not root.is_dir():
        raise DataError(f"{root} is missing: give the folder of a dataset")
    for folder in (root, root / "train"):
        if (folder / "drone").is_dir() or (folder / "satellite").is_dir():
            return _both_views(root.name, folder)
    if (root / SUES_RAW[0]).is_dir():
        raise DataError(
            f"{root} is SUES-200 as downloaded, without a split: sort it into Training/<height>/drone and "
            f"Training/<height>/satellite (its authors' split_datasets.py does) and give one Training/<height>"
        )
    if parts := _parts(root):
        if len(parts) > 1:
            raise DataError(f"{root} holds several datasets: give one of {', '.join(map(str, parts))}")
        return find_training(parts[0])
    return PairFolders(root.name, root, _satellite_beside(root))


def _both_views(name: str, folder: Path) -> PairFolders:
    pair = PairFolders(name, folder / "drone", folder / "satellite")
    for view in (pair.drone, pair.satellite):
        if not view.is_dir():
            raise DataError(f"{view} is missing: training needs the views drone and satellite")
    return pair


def _parts(root: Path) -> list[Path]:
    """Heights of SUES-200 or variants of Offset-1652 below a folder."""
    above = root / "Training" if (root / "Training").is_dir() else root
    return [above / name for name in visible(above, folders=True) if name in HEIGHTS or is_offset(name)]


def _satellite_beside(root: Path) -> Path:
    where = [folder / "satellite" for folder in list(root.absolute().parents)[:2]]
    for folder in where:
        if folder.is_dir():
            return folder
    raise DataError(
        f"{root} has no satellite view: expected {root / 'drone'} and {root / 'satellite'}, or drone ids in {root} "
        f"itself with the satellite view at {where[0]} (link it there: ln -s)"
    )


def directions_of(queries: Path, gallery: Path) -> tuple[Direction, ...]:
    """The asked direction first, then the reverse one where the dataset is known.

    The reverse of `query_drone` in `gallery_satellite` is `query_satellite` in `gallery_drone`, wherever in the two
    paths these names stand (so `OUT/query_drone/Offset-L-1` goes with `OUT/gallery_drone/Offset-L-1`); that of plain
    `drone` in `satellite` swaps the two. Galleries differ from queries in University-1652 and SUES-200 (they hold
    distractors), so where the counterpart of a folder does not exist there is no reverse direction.
    """
    views = platform_of(queries), platform_of(gallery)
    name = "satellite->drone" if views == ("satellite", "drone") else "drone->satellite"
    asked = Direction(name, queries, gallery)
    if set(views) != {"drone", "satellite"}:
        return (asked,)
    reverse = Direction("->".join(reversed(name.split("->"))), _counterpart(gallery), _counterpart(queries))
    is_there = reverse.queries.is_dir() and reverse.gallery.is_dir()
    is_whole = _has_role(queries) == _has_role(gallery)  # else a set of queries would stand in for a gallery
    return (asked, reverse) if is_there and is_whole else (asked,)


def platform_of(folder: Path) -> str:
    """`drone` or `satellite` by the last part of the path that says so, else empty; `Offset-...` is a drone view."""
    for part in reversed(folder.absolute().parts):
        for platform in ("satellite", "drone"):
            if platform in part.lower():
                return platform
        if is_offset(part):
            return "drone"
    return ""


def _counterpart(folder: Path) -> Path:
    """The gallery of a folder of queries and the other way round; the folder itself where it is neither."""
    parts = list(folder.parts)
    for index in reversed(range(len(parts))):
        role, _, platform = parts[index].partition("_")
        if role in _OTHER_ROLE and platform:
            parts[index] = f"{_OTHER_ROLE[role]}_{platform}"
            break
    return Path(*parts)


def _has_role(folder: Path) -> bool:
    return _counterpart(folder) != folder


def is_offset(name: str) -> bool:
    """Whether a folder is named as `training.offset1652` names those of its variants or its mix."""
    return name in _OFFSET_NAMES
