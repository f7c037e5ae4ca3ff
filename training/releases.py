"""The datasets as they were released: their views, who must be whose partner, and the counts that papers print.

University-1652 (Zheng et al., ACM MM 2020; ground-view counts also GeoText-1652, Chu et al., ECCV 2024) and SUES-200
(Zhu et al., IEEE TCSVT 2023; 50 drone images of each place and height, 120 places to train on, 80 to query).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from training.layouts import HEIGHTS, SUES_RAW, DataError, images_in, is_offset, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    _Table = Mapping[str, tuple[int, tuple[int, ...], tuple[str, ...], bool]]


@dataclass(frozen=True)
class Part:
    """One view of a dataset.

    Attributes:
        name: Its folder below the dataset's, as a message shows it.
        folder: Holds `<id>/<image>`.
        split: `train`, `test`, or empty where the dataset has no split.
        partners: Folders that must hold each of its ids too.
        ids: Published number of places that have images; 0 where it is not published.
        images: Published numbers of images, where sources differ each of them; empty where none is.
        below: Folder between an id and its images (heights of SUES-200 as downloaded).
        may_be_empty: Ids without images belong to the release (ground views that were filtered).
        may_train: Its ids may be training ids (galleries of SUES-200 hold all places, as distractors).
    """

    name: str
    folder: Path
    split: str = ""
    partners: tuple[Path, ...] = ()
    ids: int = 0
    images: tuple[int, ...] = ()
    below: str = ""
    may_be_empty: bool = False
    may_train: bool = False


@dataclass(frozen=True)
class Dataset:
    """What lies in a folder: the views to check, and what of the release is not there."""

    name: str
    parts: tuple[Part, ...]
    absent: tuple[str, ...] = ()


# view: published ids, published images, partners, whether ids without images belong to the release
_TRAIN: _Table = {
    "drone": (701, (37_854,), ("satellite",), False),
    "satellite": (701, (701,), ("drone",), False),
    "street": (0, (11_640, 11_663), ("satellite",), True),  # University-1652 papers, GeoText-1652
    "google": (0, (21_099,), ("satellite",), True),
}
_TEST: _Table = {
    "query_drone": (701, (37_855,), ("gallery_satellite",), False),
    "query_satellite": (701, (701,), ("gallery_drone",), False),
    "query_street": (0, (2_579,), ("gallery_satellite",), True),
    "gallery_drone": (951, (51_355,), (), False),
    "gallery_satellite": (951, (951,), (), False),
    "gallery_street": (793, (2_921,), (), True),
}
_SUES_TRAIN: _Table = {
    "drone": (120, (6_000,), ("satellite",), False),
    "satellite": (120, (120,), ("drone",), False),
}
_SUES_TEST: _Table = {
    "query_drone": (80, (4_000,), ("gallery_satellite",), False),
    "query_satellite": (80, (80,), ("gallery_drone",), False),
    "gallery_drone": (200, (10_000,), (), False),
    "gallery_satellite": (200, (200,), (), False),
}
_PLAIN: _Table = {"drone": (0, (), ("satellite",), False), "satellite": (0, (), ("drone",), False)}
_OPTIONAL = ("street", "google", "query_street", "gallery_street")


def recognise(root: Path) -> Dataset:
    """Which dataset lies in a folder.

    Raises:
        DataError: The folder is missing, or its layout is none of those known.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give that of a dataset")
    try:
        for read in (_sues_raw, _sues, _university, _offsets, _plain, _one_view):
            if (dataset := read(root)) is not None:
                return dataset
    except OSError as error:
        raise DataError(f"{error.filename} cannot be looked into: {error.strerror}") from error
    raise DataError(
        f"{root} holds no dataset of a known layout: expected University-1652 (train, test), SUES-200 (Training, "
        f"Testing), Offset-1652 (Offset-L-1, ...), views <view>/<id>/<image>, or one view <id>/<image>"
    )


def _university(root: Path) -> Dataset | None:
    if any((root / view).is_dir() for view in _TEST):  # the folder `test` alone
        return Dataset("University-1652, test", tuple(_group(root, "", "test", _TEST)))
    halves = {"train": _TRAIN, "test": _TEST}
    there = [half for half in halves if (root / half).is_dir()]
    if not there:
        return None
    parts = [part for half in there for part in _group(root / half, f"{half}/", half, halves[half])]
    absent = [half for half in halves if half not in there]
    absent += [
        f"{half}/{v}"
        for half in there
        for v in _OPTIONAL
        if v in halves[half] and not (root / half / v).is_dir()
    ]
    return Dataset("University-1652", tuple(parts), tuple(absent))


def _sues(root: Path) -> Dataset | None:
    if root.name in HEIGHTS and any((root / view).is_dir() for view in _SUES_TEST):
        return Dataset(f"SUES-200, test, {root.name} m", tuple(_group(root, "", "test", _SUES_TEST)))
    if not ((root / "Training").is_dir() or (root / "Testing").is_dir()):
        return None
    parts: list[Part] = []
    absent = []
    halves = (("Training", "train", _SUES_TRAIN), ("Testing", "test", _SUES_TEST))
    for half, split, table in halves:
        for height in HEIGHTS:
            folder = root / half / height
            if folder.is_dir():
                parts += _group(folder, f"{half}/{height}/", split, table)
            else:
                absent.append(f"{half}/{height}")
    parts = [replace(part, may_train="/gallery_" in part.name) for part in parts]
    return Dataset("SUES-200", tuple(parts), tuple(absent))


def _sues_raw(root: Path) -> Dataset | None:
    drone, satellite = (root / name for name in SUES_RAW)
    if not (drone.is_dir() or satellite.is_dir()):
        return None
    parts = [Part(SUES_RAW[1], satellite, "", (drone,), 200, (200,))]
    parts += [
        Part(f"{SUES_RAW[0]}/<id>/{height}", drone, "", (satellite,), 200, (10_000,), below=height)
        for height in HEIGHTS
    ]
    return Dataset("SUES-200 as downloaded, without a split", tuple(parts))


def _offsets(root: Path) -> Dataset | None:
    names = [name for name in visible(root, folders=True) if is_offset(name)]
    if not names:
        return None
    parts = []
    for index, name in enumerate(names):
        after = root / names[(index + 1) % len(names)]  # around the ring, so that all hold the same ids
        views = [""] if _is_view(root / name) else _views(root / name)
        parts += [
            Part(
                f"{name}/{view}".rstrip("/"),
                root / name / view,
                "",
                _partners(root / name / view, after / view),
            )
            for view in views
        ]
    return Dataset("Offset-1652", tuple(parts)) if parts else None


def _plain(root: Path) -> Dataset | None:
    if any((root / view).is_dir() for view in _PLAIN):
        return Dataset("plain views", tuple(_group(root, "", "", _PLAIN)))
    views = _views(root)
    if not views:
        return None
    ring = zip(views, views[1:] + views[:1], strict=True)
    return Dataset(
        "plain views", tuple(Part(v, root / v, "", _partners(root / v, root / after)) for v, after in ring)
    )


def _one_view(root: Path) -> Dataset | None:
    if not _is_view(root):
        return None
    beside = root.absolute().parent / "satellite"
    return Dataset("one view", (Part(root.name, root, "", _partners(root, beside)),))


def _partners(folder: Path, other: Path) -> tuple[Path, ...]:
    return (other,) if other.is_dir() and other.absolute() != folder.absolute() else ()


def _group(folder: Path, prefix: str, split: str, table: _Table) -> Iterator[Part]:
    """The views of a table that are there or must be, and any others beside them."""
    if split == "test" and not any((folder / view).is_dir() for view in table):
        plain = any(
            (folder / view).is_dir() for view in _PLAIN
        )  # a split of one's own: test/drone, test/satellite
        table = _PLAIN if plain else table
    for view, (ids, images, partners, may_be_empty) in table.items():
        if (folder / view).is_dir() or view not in _OPTIONAL:
            where = tuple(folder / partner for partner in partners if (folder / partner).is_dir())
            yield Part(prefix + view, folder / view, split, where, ids, images, "", may_be_empty)
    for view in _views(folder):
        if view not in table:
            yield Part(prefix + view, folder / view, split)


def _views(folder: Path) -> list[str]:
    return [name for name in visible(folder, folders=True) if _is_view(folder / name)]


def _is_view(folder: Path) -> bool:
    """Whether a folder holds a folder that holds an image, or one that cannot be listed (the check names it)."""
    try:
        return any(images_in(folder / name) for name in visible(folder, folders=True))
    except DataError:
        return True
