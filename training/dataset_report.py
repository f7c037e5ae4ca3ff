"""What `training.check_dataset` found: as records, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lkpan_model.whole_file import write_whole
from training.layouts import DataError

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "bad_folder": "bad folder",
    "empty_id": "id without images",
    "no_partner": "id without a partner",
    "undecodable_image": "image that does not decode",
    "leak": "class in both train and test",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its kind (a key of KINDS), where, and what."""

    kind: str
    path: str
    message: str


@dataclass(frozen=True)
class ViewReport:
    """What one view holds: places that have images, images, and how that compares with the complete release."""

    name: str
    ids: int
    images: int
    published_ids: int
    published_images: tuple[int, ...]
    verdict: str


@dataclass(frozen=True)
class Report:
    """All that was found; `decoded_images` is None where decoding was not asked for."""

    dataset: str
    root: str
    views: tuple[ViewReport, ...]
    absent: tuple[str, ...]
    notes: tuple[str, ...]
    decoded_images: int | None
    problems: tuple[Problem, ...]


def show(report: Report) -> str:
    """The report as text: a table of counts, notes, and all problems in groups."""
    lines = [f"{report.dataset} at {report.root}", ""]
    width = max(len(view.name) for view in report.views)
    lines.append(f"{'':{width}}  {'ids':>7}  {'images':>9}")
    lines += [f"{v.name:{width}}  {v.ids:>7,}  {v.images:>9,}  {v.verdict}".rstrip() for v in report.views]
    lines += [f"{name:{width}}  absent" for name in report.absent]
    lines += ["", *report.notes] if report.notes else []
    for kind, title in KINDS.items():
        messages = [problem.message for problem in report.problems if problem.kind == kind]
        if messages:
            lines += ["", f"{title}: {len(messages):,}", *(f"  {message}" for message in messages)]
    number = report.decoded_images
    decoded = "images were not decoded" if number is None else f"{counted(number, 'image')} decoded"
    found = counted(len(report.problems), "problem") if report.problems else "no problem"
    text = "\n".join([*lines, "", f"{found} found, {decoded}"])
    return text.encode(errors="backslashreplace").decode()  # file names need not be UTF-8


def counted(number: int, noun: str) -> str:
    """`1 image`, `37,855 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def write_json(report: Report, path: Path) -> None:
    """Write the report's fields; an older file is replaced only when the new one is whole.

    Raises:
        DataError: The file cannot be written.
    """
    text = json.dumps(asdict(report), indent=1) + "\n"
    try:
        write_whole(path, text.encode(errors="surrogateescape"))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
