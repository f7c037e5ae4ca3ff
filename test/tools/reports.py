"""A report of a made-up flight over a made-up gallery: fixes, false ones, refusals, with and without truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.config import ViewSettings
from lkpan_ros.localization.outcomes import FrameOutcome, outcome_of
from lkpan_ros.localization.types import Fix, Frame, Matches, Reason, Reference, Rejection
from lkpan_ros.tools.flight_exhibits import Exhibits
from lkpan_ros.tools.flight_report import WhatWasRun, write_report
from test.localization.galleries import grid_gallery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

FRAMES = 12
FALSE, REFUSED, VIEW_FIX, NO_TRUTH, UNREADABLE = 4, 6, 7, 8, 9
SCRIPT = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


def write_example(path: Path, text: str = "plain") -> list[FrameOutcome]:
    """Write the page, with a text of someone else's in every place that takes one."""
    gallery = grid_gallery(0, 49)
    exhibits = Exhibits(gallery, ViewSettings(), FRAMES)
    outcomes = []
    for number in range(FRAMES):
        frame, result = _frame(number), _result(gallery, number, text)
        east, north = _track(number)
        truth = None if number == NO_TRUTH else gallery.frame.point(east, north)
        seen = None if number == NO_TRUTH else gallery.frame.point(east, north)
        exhibits.add(Path(f"{text}/{number}.jpg"), frame, result)
        outcomes.append(outcome_of(result, truth, seen, gallery))
    rows = [(text, text)]
    write_report(path, gallery, outcomes, exhibits, WhatWasRun(text, rows, rows, rows, rows, 30.0))
    return outcomes


def _track(number: int) -> NDArray[np.float64]:
    return np.array([10.0 + 7.0 * number, 90.0 - 6.0 * number])


def _frame(number: int) -> Frame | None:
    if number == UNREADABLE:
        return None
    image = np.random.default_rng(number).integers(0, 255, (120, 160, 3), np.uint8)
    tilt_deg = 89.0 if number == REFUSED else 5.0
    return Frame(
        float(number), image, Intrinsics.from_field_of_view(160, 120, 60.0), Attitude(tilt_deg, 30.0), 60.0
    )


def _result(gallery: Gallery, number: int, text: str) -> Fix | Rejection:
    if number in {REFUSED, UNREADABLE}:
        reason = Reason.BAD_IMAGE if number == UNREADABLE else Reason.VIEW_INVALID
        return Rejection(float(number), reason, text)
    truth = _track(number)
    near = np.argsort(np.linalg.norm(gallery.positions_m - truth, axis=1))[:8]
    matches = Matches(
        near,
        np.linspace(0.9, 0.4, 8, dtype=np.float32),
        gallery.positions_m[near],
        np.zeros(8, np.int64),
        np.zeros(8),
    )
    point = gallery.frame.point(*(truth + (60.0 if number == FALSE else 4.0)))
    covariance = np.array([[30.0, 10.0], [10.0, 20.0]])
    reference = Reference.VIEW if number == VIEW_FIX else Reference.VEHICLE
    return Fix(
        float(number), point, covariance, reference, point, covariance / 2, 0.9 + number / 200, matches
    )
