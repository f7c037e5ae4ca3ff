"""Check a folder written by `training.offset1652` against its manifest, byte by byte."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from training.offset_crops import list_images
from training.offset_manifest import MANIFEST_NAME, is_finished, read_settings, records
from training.offsets import OffsetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from training.offset_manifest import Record, Settings

_SHOWN = 100  # problems that are listed one by one


def verify(out: Path, source: Path | None, workers: int) -> int:
    """Compare all files with the manifest, and if given all source images too; prints each problem.

    Args:
        out: Folder written by `training.offset1652`.
        source: Folder that it was cut from; None to check the written files alone.
        workers: Threads (reading and hashing let go of the interpreter).

    Returns:
        Number of crops, all of them as the manifest says.

    Raises:
        OffsetError: There is no manifest, or something differs.
    """
    settings, path = read_settings(out), out / MANIFEST_NAME
    if not is_finished(path):
        raise OffsetError(
            f"{out} is unfinished, the run that wrote it was cut off: run the same command again, then verify"
        )
    entries = tuple(record for _, record in records(path))
    expected = {target for entry in entries for target, _ in settings.targets(entry.source) if entry.crops}
    problems = [f"extra: {name}" for name in sorted(set(_files(out)) - expected - {MANIFEST_NAME})]
    if source is not None:
        known = {entry.source for entry in entries}
        problems += [f"not cut: {source / name}" for name in list_images(source).images if name not in known]
    with ThreadPoolExecutor(workers) as pool:
        checks = pool.map(partial(_differences, out, source, settings), entries)
        problems += _flatten(tqdm(checks, total=len(entries), desc="verify", unit="image", mininterval=0.5))
    for skipped in (entry for entry in entries if entry.skipped):
        print(f"skipped when it was written: {skipped.source} {skipped.skipped}")
    for problem in problems[:_SHOWN]:
        print(problem)
    if problems:
        raise OffsetError(
            f"{out} differs from its manifest in {len(problems)} places (first: {problems[0]}): remove extra and "
            "altered files, and run the command that wrote it again"
        )
    return len(expected)


def _differences(out: Path, source: Path | None, settings: Settings, entry: Record) -> list[str]:
    problems = []
    targets = settings.targets(entry.source) if entry.crops else ()
    for (target, variant), crop in zip(targets, entry.crops, strict=False):
        problem = _compare(out / target, crop.bytes, crop.sha256)
        if problem or variant.name != crop.variant:
            problems.append(f"{problem or 'of another variant'}: {target}")
    if len(entry.crops) not in {0, len(tuple(settings.targets(entry.source)))}:
        problems.append(f"incomplete entry: {entry.source}")
    if source is not None and (
        problem := _compare(source / entry.source, entry.source_bytes, entry.source_sha256)
    ):
        problems.append(f"source {problem}: {source / entry.source}")
    return problems


def _compare(path: Path, size: int, digest: str) -> str:
    """`missing`, `altered`, or nothing where a file is as it was."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return "missing" if isinstance(error, FileNotFoundError) else f"unreadable ({error.strerror})"
    return "" if len(content) == size and sha256(content).hexdigest() == digest else "altered"


def _files(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it."""
    for place, _, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        yield from ((below / name).as_posix() for name in names)


def _flatten(lists: Iterable[list[str]]) -> list[str]:
    return [item for part in lists for item in part]
