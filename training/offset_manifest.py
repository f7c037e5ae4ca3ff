"""The manifest of a folder written by `training.offset1652`: `manifest.jsonl`, lines of JSON.

- First line: `{"format": "offset1652", "version": 1, "settings": {"variants": [...], "mix_seed": null, "format": "keep",
  "quality": 95}}`.
- One line for each source image: `source` (path below the source folder), `source_bytes`, `source_mtime_ns`,
  `source_sha256`, `crops` (for each its `variant`, `bytes`, `side` in pixels and `sha256`) and `skipped` (why a bad
  image has no crops, else empty).
- Last line, only when all is done: `{"sources": ..., "crops": ...}`.

A crop's file follows from the settings: `<variant>/<source>`, `Offset-MIX/<source>` in a mix, with the suffix of the
format. While a run goes on lines are appended as images get done; at its end they are sorted by source.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from training.offsets import MIX_NAME, OffsetError, Variant, mix_variant, parse_variants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MANIFEST_NAME = "manifest.jsonl"
FORMATS = ("keep", "png", "jpg")
_VERSION = 1
_SYNC_EVERY_S = 2.0


@dataclass(frozen=True)
class Settings:
    """All that decides which files are written and what they hold.

    Attributes:
        variants: Those of each image, in the order of the table; empty for a mix.
        mix_seed: Of a mix, else None.
        format: `keep` (that of each source), `png` or `jpg`.
        quality: Of JPEG and WebP, 1 to 100; None where all is PNG.
    """

    variants: tuple[Variant, ...]
    mix_seed: int | None
    format: str
    quality: int | None

    def targets(self, source: str) -> Iterator[tuple[str, Variant]]:
        """For each crop of a source image its path below the output folder, and its variant."""
        name = source if self.format == "keep" else str(PurePosixPath(source).with_suffix(f".{self.format}"))
        if self.mix_seed is not None:
            yield f"{MIX_NAME}/{name}", mix_variant(self.mix_seed, source)
        for variant in self.variants:
            yield f"{variant.name}/{name}", variant

    def to_json(self) -> dict[str, Any]:
        """Plain values, variants by name."""
        return {**asdict(self), "variants": [variant.name for variant in self.variants]}


@dataclass(frozen=True)
class Crop:
    """One file that was written: its variant's name, size in bytes, side in pixels and SHA-256 in hex."""

    variant: str
    bytes: int
    side: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """One source image and what was cut from it; `skipped` says why a bad one has no crops."""

    source: str
    source_bytes: int
    source_mtime_ns: int
    source_sha256: str
    crops: tuple[Crop, ...]
    skipped: str = ""


class Manifest:
    """The manifest of an output folder, open for a run; a lock keeps a second run out."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Make it, or go on with the one that is there.

        Raises:
            OffsetError: The folder holds something else, belongs to other settings, or another run writes to it.
        """
        self.path = folder / MANIFEST_NAME
        if not self.path.exists() and any(folder.iterdir()):
            raise OffsetError(f"{folder} is not empty and holds no {MANIFEST_NAME}: give a new output folder")
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._synced_s = time.monotonic()
        try:
            self._lock()
            self._begin(settings)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Manifest:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def append(self, record: Record) -> None:
        """Count an image as done.

        The line survives the end of this process at once, and a loss of power after the next fsync. The crops are not
        fsynced one by one (1.5 million of them would take hours): the system may lose some of the last half minute
        when power fails. Journalling file systems then show them shorter than their line says, and `training.offset1652`
        cuts such images again; `--verify` checks every byte.

        Raises:
            OSError: The disk is full, or the like.
        """
        line = _line(vars(record))
        if os.write(self._file, line) < len(line):  # what was written of it is dropped at the next start
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            os.fsync(self._file)
            self._synced_s = time.monotonic()

    def finish(self, settings: Settings) -> None:
        """Bring it into its final form: sorted by source, the last line of each, totals at the end."""
        if is_finished(self.path):
            return
        temporary = self.path.with_name(f".{MANIFEST_NAME}.tmp")
        try:
            with temporary.open("wb") as file:
                file.writelines(self._sorted_lines(settings))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _sorted_lines(self, settings: Settings) -> Iterator[bytes]:
        offsets = {record.source: offset for offset, record in records(self.path)}  # the last of each counts
        crops = 0
        yield _header(settings)
        with self.path.open("rb") as file:
            for source in sorted(offsets):
                file.seek(offsets[source])
                line = file.readline()
                crops += len(_record(line).crops)
                yield line
        yield _line({"sources": len(offsets), "crops": crops})

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OffsetError(f"another run is writing to {self.path.parent}: wait for its end") from None

    def _begin(self, settings: Settings) -> None:
        """Write the first line, or compare it and drop what a run that was cut off left torn."""
        header = _header(settings)
        start = os.pread(self._file, len(header), 0)
        if len(start) < len(header) and header.startswith(start):  # new, or cut off within this line
            os.ftruncate(self._file, 0)
            os.write(self._file, header)
            os.fsync(self._file)
            return
        written = read_settings(self.path.parent)
        if written != settings:
            old, new = written.to_json(), settings.to_json()
            changes = [
                f"{name} {_brief(old[name])}, now {_brief(new[name])}"
                for name in old
                if old[name] != new[name]
            ]
            raise OffsetError(
                f"{self.path.parent} was written with {'; '.join(changes)}: give the same settings or another folder"
            )
        end = len(header)
        with self.path.open("rb") as file:
            file.seek(end)
            for line in file:
                if not _is_whole(line):
                    break
                end += len(line)
        os.ftruncate(self._file, end)  # the images of dropped lines are cut again


def read_settings(folder: Path) -> Settings:
    """The settings that a folder was written with.

    Raises:
        OffsetError: It holds no manifest of this version.
    """
    path = folder / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
        if header["format"] != "offset1652" or header["version"] != _VERSION:
            raise ValueError(f"format {header['format']}, version {header['version']}")  # noqa: TRY301
        plain = header["settings"]
        if plain["format"] not in FORMATS:
            raise ValueError(f"format {plain['format']} of its files")  # noqa: TRY301
        variants = parse_variants(",".join(plain["variants"])) if plain["variants"] else ()
        return Settings(variants, plain["mix_seed"], plain["format"], plain["quality"])
    except FileNotFoundError:
        raise OffsetError(f"{path} is missing: {folder} was not written by training.offset1652") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OffsetError(
            f"{path} is no manifest of training.offset1652 ({error}): give another folder"
        ) from error


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Each line about a source image, with the byte at which it starts.

    Raises:
        OffsetError: A line is damaged.
    """
    with path.open("rb") as file:
        offset = len(file.readline())
        for number, line in enumerate(file, start=2):
            if not _is_whole(line):
                raise OffsetError(
                    f"line {number} of {path} is damaged: run the same command again to cut its images again"
                )
            if not _is_total(line):
                yield offset, _record(line)
            offset += len(line)


def is_finished(path: Path) -> bool:
    """Whether the last line says that all was done."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 200))
        return _is_total(file.read().splitlines(keepends=True)[-1])


def _header(settings: Settings) -> bytes:
    return _line({"format": "offset1652", "version": _VERSION, "settings": settings.to_json()})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=vars).encode() + b"\n"


def _record(line: bytes) -> Record:
    plain = json.loads(line)
    return Record(**{**plain, "crops": tuple(Crop(**crop) for crop in plain["crops"])})


def _is_total(line: bytes) -> bool:
    return line.startswith(b'{"sources":') and line.endswith(b"}\n")


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return _is_total(line) or bool(_record(line))
    except (ValueError, KeyError, TypeError):
        return False


def _brief(value: object) -> str:
    """A value in a message: long lists of variants by their number."""
    return f"{len(value)} variants" if isinstance(value, list) and len(value) > 3 else json.dumps(value)
