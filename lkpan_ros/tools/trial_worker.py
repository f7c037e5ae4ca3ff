"""A process that flies simulated trials: one thread, told to end by an event or by the death of its parent."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

import cv2

from lkpan_model.errors import ModelError
from lkpan_ros.errors import FlightError, LkpanError
from lkpan_ros.localization.encoder_loading import load_encoder

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Event

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.config import EncoderSettings
    from lkpan_ros.tools.trial_seed import SeedTrial


class _Worker:
    """What `start` leaves for `fly`."""

    def __init__(self, encoder: Encoder, flown: Synchronized[int], stop: Event) -> None:
        self.encoder, self._flown, self._stop = encoder, flown, stop

    def count(self) -> None:
        """Another frame is done.

        Raises:
            FlightError: The trials were interrupted.
        """
        with self._flown.get_lock():
            self._flown.value += 1
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            os._exit(1)  # killed: nobody is left to report to
        if self._stop.is_set():
            raise FlightError("interrupted")


_worker: _Worker | None = None


def start(weights: str, settings: EncoderSettings, flown: Synchronized[int], stop: Event) -> None:
    """Make this process ready to fly.

    Args:
        weights: Of the encoder.
        settings: How it runs.
        flown: Counts the frames of all processes.
        stop: Set: the flights are to end.
    """
    global _worker  # noqa: PLW0603 - how a pool's initializer hands something on
    cv2.setNumThreads(1)
    encoder = load_encoder(settings, weights, threads=1)
    _worker = _Worker(encoder, flown, stop)


def fly(trial: SeedTrial) -> None:
    """Fly a trial in this process.

    Raises:
        FlightError: What went wrong, with the seed.
    """
    assert _worker is not None
    try:
        trial.fly(_worker.encoder, _worker.count)
    except (LkpanError, ModelError, OSError) as error:
        raise FlightError(f"seed {trial.site.seed}: {error}") from error
