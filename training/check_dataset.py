"""Check a dataset before training on it: `python -m training.check_dataset ROOT`.

Prints how many places and images each view holds, as the papers count them, and where that differs from the complete
release; then every problem that it finds: folders that are missing or misplaced, ids without images, ids without a
partner in the other view, images that do not decode, and classes that are in both train and test. Layouts:
University-1652, SUES-200, Offset-1652 or MIX of either, plain `<view>/<id>/<image>` (`training.releases`).

Exit status: 0 without problems (a count that differs is none), 1 with problems, 2 for a bad command, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from tqdm import tqdm

from lkpan_model.errors import ModelError
from training.dataset_report import Problem, Report, ViewReport, counted, show, write_json
from training.images import read_image
from training.layouts import DataError, is_image, visible
from training.parser import Parser
from training.releases import recognise

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from training.releases import Part


@dataclass(frozen=True)
class IdScan:
    """The images of one id, what is wrong with its folder, and files that are no images."""

    images: tuple[Path, ...]
    problems: tuple[Problem, ...]
    others: tuple[Path, ...]


@dataclass(frozen=True)
class Scan:
    """The same of a whole view, images by id."""

    part: Part
    images: dict[str, tuple[Path, ...]]
    problems: tuple[Problem, ...]
    others: tuple[Path, ...]


def check(root: Path, workers: int, *, decode: bool = True) -> Report:
    """Look at all views of a dataset.

    Args:
        root: Its folder.
        workers: Threads that decode.
        decode: Decode every image; without it an image is known by its name only.

    Raises:
        DataError: The folder is missing, or its layout is none of those known.
    """
    dataset = recognise(root)
    scans = [scan_part(part) for part in dataset.parts]
    problems = [problem for scan in scans for problem in scan.problems]
    problems += [problem for scan in scans for problem in lonely_ids(scan)]
    problems += leaks(scans)
    folders = [images for scan in scans for images in scan.images.values()]
    if decode:
        problems += undecodable(folders, workers)
    return Report(
        dataset.name, str(root), tuple(report_view(scan) for scan in scans), dataset.absent, _notes(scans),
        sum(map(len, folders)) if decode else None, tuple(dict.fromkeys(problems)),
    )  # fmt: skip


def scan_part(part: Part) -> Scan:
    """The ids and images of a view, with what lies where it should not."""
    try:
        names, files = visible(part.folder, folders=True), visible(part.folder, folders=False)
    except DataError as error:
        return Scan(part, {}, (Problem("bad_folder", str(part.folder), str(error)),), ())
    ids = {name: _scan_id(part.folder / name / part.below, part) for name in names}
    problems = [
        _bad(part.folder / name, "lies outside of the id folders") for name in files if is_image(name)
    ]
    if not names:
        problems.append(_bad(part.folder, "holds no id: expected <id>/<image>"))
    return Scan(
        part,
        {name: scan.images for name, scan in ids.items()},
        (*problems, *(problem for scan in ids.values() for problem in scan.problems)),
        (
            *(part.folder / name for name in files if not is_image(name)),
            *(path for scan in ids.values() for path in scan.others),
        ),
    )


def _scan_id(folder: Path, part: Part) -> IdScan:
    try:
        inner, files = visible(folder, folders=True), visible(folder, folders=False)
    except DataError as error:
        return IdScan((), (Problem("bad_folder", str(folder), str(error)),), ())
    images = tuple(folder / name for name in files if is_image(name))
    problems = [_bad(folder / name, "is a folder inside an id") for name in inner]
    if not images and not part.may_be_empty:
        problems.append(Problem("empty_id", str(folder), f"{folder} holds no image"))
    return IdScan(images, tuple(problems), tuple(folder / name for name in files if not is_image(name)))


def lonely_ids(scan: Scan) -> Iterator[Problem]:
    """Ids that have images here but no folder in a view that must hold them too."""
    for partner in scan.part.partners:
        try:
            there = set(visible(partner, folders=True))
        except DataError as error:
            yield Problem("bad_folder", str(partner), str(error))
            continue
        for name in sorted(name for name, images in scan.images.items() if images and name not in there):
            folder = scan.part.folder / name
            yield Problem("no_partner", str(folder), f"{folder} has no partner in {partner}")


def leaks(scans: Sequence[Scan]) -> list[Problem]:
    """Ids of the training part that the test part holds too, named once each with all views that hold them."""
    sides: dict[str, dict[str, list[Scan]]] = {"train": {}, "test": {}}
    for scan in scans:
        if scan.part.split and not scan.part.may_train:
            for name in scan.images:
                sides[scan.part.split].setdefault(name, []).append(scan)
    problems = []
    for name in sorted(sides["train"].keys() & sides["test"].keys()):
        here, there = (", ".join(scan.part.name for scan in sides[side][name]) for side in ("train", "test"))
        path = sides["test"][name][0].part.folder / name
        problems.append(Problem("leak", str(path), f"{name} is in {here} and in {there}"))
    return problems


def undecodable(folders: Sequence[Sequence[Path]], workers: int) -> list[Problem]:
    """Decode everything; what fails, in the order given."""
    problems: list[Problem] = []
    pool = ThreadPoolExecutor(workers)
    total = sum(map(len, folders))
    try:
        with tqdm(total=total, desc="decoding", unit=" images", disable=total == 0) as progress:
            for images, found in zip(folders, pool.map(_try_folder, folders), strict=True):
                problems += found
                progress.update(len(images))
    finally:  # at Ctrl-C the folders that wait are given up
        pool.shutdown(cancel_futures=True)
    return problems


def _try_folder(images: Sequence[Path]) -> list[Problem]:
    problems = []
    for path in images:
        try:
            read_image(path)
        except DataError as error:  # noqa: PERF203 - nothing beside decoding
            problems.append(Problem("undecodable_image", str(path), str(error)))
    return problems


def report_view(scan: Scan) -> ViewReport:
    """Counts of a view beside those of the complete release."""
    part, images = scan.part, sum(map(len, scan.images.values()))
    ids = sum(bool(paths) for paths in scan.images.values())
    differences = [
        text
        for text in (
            _difference(ids, (part.ids,) if part.ids else (), "id"),
            _difference(images, part.images, "image"),
        )
        if text
    ]
    complete = "as released" if part.images else ""
    return ViewReport(part.name, ids, images, part.ids, part.images, "; ".join(differences) or complete)


def _difference(count: int, published: tuple[int, ...], what: str) -> str:
    if not published or count in published:
        return ""
    nearest = min(published, key=lambda figure: abs(figure - count))
    word = "fewer" if count < nearest else "more"
    return f"{counted(abs(nearest - count), what)} {word} than the complete release ({nearest:,})"


def _notes(scans: Sequence[Scan]) -> tuple[str, ...]:
    notes = []
    for scan in scans:
        empty = sum(not images for images in scan.images.values())
        if scan.part.may_be_empty and empty:
            notes.append(
                f"{scan.part.name}: {counted(empty, 'id')} without images, as in the release of ground views"
            )
        if scan.others:
            notes.append(
                f"{scan.part.name}: {counted(len(scan.others), 'file')} of another kind, such as {scan.others[0]}"
            )
    return tuple(notes)


def _bad(path: Path, what: str) -> Problem:
    return Problem("bad_folder", str(path), f"{path} {what}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Raises:
        DataError: It is wrong.
    """
    parser = Parser(
        prog="python -m training.check_dataset", description="Check a dataset before training on it."
    )
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the dataset")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report there too")
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="threads that decode, default: all CPUs",
    )
    parser.add_argument("--no-decode", action="store_true", help="look at folders and names only")
    namespace = parser.parse_args(arguments)
    if namespace.workers < 1:
        raise DataError(f"--workers must be at least 1, got {namespace.workers}")
    if namespace.json is not None and namespace.json.is_dir():
        raise DataError(f"--json {namespace.json} is a folder: give a file")
    if namespace.json is not None and not namespace.json.parent.is_dir():
        raise DataError(
            f"{namespace.json.parent} is not a folder that --json {namespace.json} could be written to"
        )
    return namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        namespace = parse_arguments(arguments)
        report = check(namespace.root, namespace.workers, decode=not namespace.no_decode)
        print(show(report))
        if namespace.json is not None:
            write_json(report, namespace.json)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was changed", file=sys.stderr)
        return 130
    return 1 if report.problems else 0


if __name__ == "__main__":
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # files that fail are named below
    sys.exit(main())
