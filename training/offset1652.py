"""Write Offset-1652 or our MIX from a tree of drone images: `python -m training.offset1652 SOURCE OUT`.

Each 512 x 512 px image of SOURCE becomes `OUT/Offset-<direction>-<step>/<its relative path>` for each of the 40
variants (geometry: `training.offsets`; the crops are pixel-exact before encoding), so that every variant is a complete
dataset folder. With `--mix` each image becomes one file, `OUT/Offset-MIX/<its relative path>`, of the one variant
that a hash of (seed, relative path) draws; the composition of the authors' MIX is not published, this definition is
our own. Names are kept; `--format png` and `--format jpg` change the suffix.

A run that was cut off goes on where it stopped when the same command is given again. `OUT/manifest.jsonl` lists all that
was written (`training.offset_manifest`), and `--verify` checks every byte of the tree against it. Nobody needs these
files to train or evaluate: `training.offsets` gives the same pixels when an image is read.

Exit status: 0, 2 for bad settings or data, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import cv2
from tqdm import tqdm

from lkpan_model.errors import ModelError
from training.offset_crops import Job, cut_image, list_images
from training.offset_manifest import FORMATS, MANIFEST_NAME, Manifest, Record, Settings, records
from training.offset_verify import verify
from training.offsets import OffsetError, parse_variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def write(job: Job, *, workers: int = 2, skip_bad: bool = False) -> tuple[Record, ...]:
    """Write all crops that are not there yet.

    Args:
        job: Source, output folder and settings.
        workers: Processes; the result does not depend on their number.
        skip_bad: Go on after a bad image, instead of stopping at it.

    Returns:
        The bad images that were skipped.

    Raises:
        OffsetError: Something does not fit or cannot be read or written; what is done stays valid.
    """
    sources = _sources(job)
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        with Manifest(job.out, job.settings) as manifest:
            todo = _unfinished(job, sources)
            skipped = (
                tuple(_cut_all(job, manifest, sources, todo, workers, skip_bad=skip_bad)) if todo else ()
            )
            manifest.finish(job.settings)
    except OSError as error:
        raise OffsetError(
            f"{error.filename or job.out} cannot be written ({error.strerror}): what is done stays valid; make room or "
            "repair it, and run the same command again"
        ) from error
    return skipped


def _sources(job: Job) -> tuple[str, ...]:
    """The images to cut; refuses what could never be written."""
    if not job.source.is_dir():
        raise OffsetError(f"{job.source} is no folder: give the folder of the drone images")
    if job.out.resolve().is_relative_to(job.source.resolve()):
        raise OffsetError(f"{job.out} lies inside the source {job.source}: give a folder outside it")
    listing = list_images(job.source)
    if listing.others:
        print(f"{len(listing.others)} files are no images and are left out (first: {listing.others[0]})")
    if job.settings.format != "keep":
        _refuse_collisions(job, listing.images)
    return listing.images


def _refuse_collisions(job: Job, sources: Sequence[str]) -> None:
    """Names that differ only in a suffix which the format changes."""
    taken: dict[str, str] = {}
    for source in sources:
        target, _ = next(
            job.settings.targets(source)
        )  # the other variants of two sources would collide alike
        if target in taken:
            raise OffsetError(
                f"{job.source / taken[target]} and {job.source / source} would both become {target}: "
                "rename one, or use --format keep"
            )
        taken[target] = source


def _unfinished(job: Job, sources: Sequence[str]) -> list[str]:
    """The images that are new, were bad, have changed since they were cut, or whose crops are not all there."""
    done, changed, known = set(), set(), set(sources)
    for _, record in records(job.out / MANIFEST_NAME):
        if record.source not in known:
            raise OffsetError(
                f"{record.source} was cut into {job.out} before, but {job.source} does not hold it: "
                "give the same source, or another output folder"
            )
        done.discard(record.source)  # a later line about an image replaces an earlier one
        changed.discard(record.source)
        if record.crops and not _is_same_source(job.source / record.source, record):
            changed.add(record.source)
        elif record.crops and _are_crops_there(job, record):
            done.add(record.source)
    if changed:
        print(f"{len(changed)} source images have changed since they were cut and are cut again")
    return [source for source in sources if source not in done]


def _is_same_source(path: Path, record: Record) -> bool:
    """Whether a source is what was cut: by size and time, or after a copy by its content."""
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (record.source_bytes, record.source_mtime_ns):
            return True
        return sha256(path.read_bytes()).hexdigest() == record.source_sha256
    except OSError:
        return False  # cutting it tells what is wrong


def _are_crops_there(job: Job, record: Record) -> bool:
    """Whether all files are there in the size that was written; their content is left to `--verify`."""
    try:
        targets = job.settings.targets(record.source)
        sizes = [os.stat(f"{job.out}/{target}").st_size for target, _ in targets]  # noqa: PTH116 (1.5 million)
    except FileNotFoundError:
        return False
    return sizes == [crop.bytes for crop in record.crops]


def _cut_all(
    job: Job, manifest: Manifest, sources: Sequence[str], todo: Sequence[str], workers: int, *, skip_bad: bool
) -> Iterator[Record]:
    """Cut in parallel and note each image in the manifest as it gets done; yields the bad ones."""
    crops_each = max(1, len(job.settings.variants))
    bar = tqdm(
        total=len(sources) * crops_each,
        initial=(len(sources) - len(todo)) * crops_each,
        unit="crop",
        mininterval=0.5,
    )
    with bar, _workers(workers) as pool:
        with _ctrl_c_ignored():  # by the workers, which inherit it: only this process answers
            finished = as_completed([pool.submit(cut_image, job, source) for source in todo])
        try:
            for future in finished:
                record = future.result()
                if record.skipped and not skip_bad:
                    raise OffsetError(
                        f"{job.source / record.source} {record.skipped}: repair or remove it, or leave such images out "
                        "with --on-bad-image skip; what is done stays valid"
                    )
                manifest.append(record)
                bar.update(crops_each)
                if record.skipped:
                    yield record
        except BrokenProcessPool as error:
            raise OffsetError(
                "a worker process was killed (out of memory?): what is done stays valid; run the same command again, "
                "with fewer --workers"
            ) from error


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that leave when this one does, however it ends."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the workers fill the cores
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving, so that every error is one line of one kind."""

    def error(self, message: str) -> NoReturn:
        raise OffsetError(f"{message} (see --help)")


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m training.offset1652", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "source", type=Path, nargs="?", help="folder of 512 x 512 px drone images, e.g. train/drone"
    )
    parser.add_argument(
        "out", type=Path, help="folder to write; the same one to go on with a run that was cut off"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--variants", default="all", help="all (default) or names: Offset-L-1,Offset-RD-5")
    which.add_argument(
        "--mix", action="store_true", help="one variant of each image, drawn by a hash of seed and path"
    )
    parser.add_argument("--seed", type=int, help="of --mix (default 0)")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: cores)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="keep", help="of the files (default: as their source)"
    )
    parser.add_argument(
        "--quality", type=int, default=95, help="of JPEG and WebP files, 1 to 100 (default 95)"
    )
    parser.add_argument(
        "--on-bad-image", choices=("error", "skip"), default="error", help="stop (default) or leave out"
    )
    parser.add_argument(
        "--verify", action="store_true", help="write nothing: check OUT (and SOURCE) by the manifest"
    )
    return parser.parse_args(arguments)


def _settings(namespace: argparse.Namespace) -> Settings:
    if not 1 <= namespace.quality <= 100:
        raise OffsetError(f"--quality {namespace.quality} is out of range: give 1 to 100")
    if namespace.seed is not None and not namespace.mix:
        raise OffsetError("--seed has no meaning without --mix: add --mix or leave it out")
    quality = None if namespace.format == "png" else namespace.quality
    variants = () if namespace.mix else parse_variants(namespace.variants)
    return Settings(variants, (namespace.seed or 0) if namespace.mix else None, namespace.format, quality)


def _run(namespace: argparse.Namespace) -> None:
    if namespace.workers < 1:
        raise OffsetError(f"--workers {namespace.workers} is out of range: give at least 1")
    if namespace.verify:
        count = verify(namespace.out, namespace.source, namespace.workers)
        print(f"{namespace.out}: all {count} crops are as its manifest says")
        return
    if namespace.source is None:
        raise OffsetError("SOURCE and OUT are both needed: only --verify takes OUT alone")
    job = Job(namespace.source, namespace.out, _settings(namespace))
    skipped = write(job, workers=namespace.workers, skip_bad=namespace.on_bad_image == "skip")
    for record in skipped:
        print(f"skipped: {job.source / record.source} {record.skipped}")
    print(f"{job.out} is complete{f' but for {len(skipped)} bad images' if skipped else ''}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 2 for bad settings or data, 130 after Ctrl-C."""
    try:
        _run(_parse_arguments(arguments))
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what is done stays valid, the same command goes on with it", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
