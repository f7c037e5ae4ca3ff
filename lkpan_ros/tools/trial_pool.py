"""Fly simulated trials in several processes, which end when this one is interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from lkpan_ros.errors import FlightError
from lkpan_ros.tools.trial_worker import fly, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from multiprocessing.sharedctypes import Synchronized

    from lkpan_ros.tools.trial_seed import SeedTrial

_POLL_S = 0.3
_WORKER_BYTES = 2.5e9  # a world and its making take 1.8 GB
# Several processes with several threads each would wait for one another; waiting threads must not spin.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip


def fly_all(trials: Sequence[SeedTrial], weights: str, workers: int | None) -> None:
    """Fly trials in processes of their own and show the progress.

    Args:
        trials: At least one.
        weights: Of the encoder.
        workers: How many processes; None: one a core, as far as the memory reaches.

    Raises:
        FlightError: A process was killed.
        LkpanError: What a trial raises.
    """
    context = multiprocessing.get_context("spawn")
    flown, stop = context.Value("q", 0), context.Event()
    pool = ProcessPoolExecutor(
        min(workers or _default_workers(), len(trials)),
        mp_context=context,
        initializer=start,
        initargs=(weights, trials[0].config.encoder, flown, stop),
    )
    try:
        with _surroundings_of_workers():
            futures = {pool.submit(fly, trial) for trial in trials}
        _follow(futures, flown, trials)
        pool.shutdown()
    except BaseException as error:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise FlightError(
                "a process of the trials was killed, perhaps for want of memory: give fewer --workers; "
                "the same command goes on with the seeds that are not flown yet"
            ) from error
        raise


@contextmanager
def _surroundings_of_workers() -> Iterator[None]:
    """What the processes inherit: the environment that torch, OpenCV and FAISS read, and no ear for Ctrl-C.

    Ctrl-C goes to all processes of a terminal; this one alone is to handle it.
    """
    before, handler = dict(os.environ), signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        signal.signal(signal.SIGINT, handler)


def _follow(waiting: set[Future[None]], flown: Synchronized[int], trials: Sequence[SeedTrial]) -> None:
    """Show the progress until all are done; raise what the first one raises."""
    frames, seeds = sum(trial.frame_count() for trial in trials), len(trials)
    with tqdm(total=frames, unit="frame", desc="trials", mininterval=1.0, dynamic_ncols=True) as bar:
        while waiting:
            done, waiting = wait(waiting, _POLL_S, FIRST_EXCEPTION)
            bar.set_postfix_str(f"{seeds - len(waiting)} of {seeds} seeds", refresh=False)
            bar.update(flown.value - bar.n)
            for future in done:
                future.result()


def _default_workers() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / _WORKER_BYTES)))
