"""Run the localizer over a recorded flight and compare what it states with the truth. No ROS needed."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.encoder import Encoder
from lkpan_ros.errors import ImageError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.flight_log import FlightRecord, read_flight
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.outcomes import FrameOutcome, Summary, outcome_of, summarize, write_outcomes
from lkpan_ros.localization.settings import parse_assignments, with_values
from lkpan_ros.localization.types import Fix, Reason, Rejection
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.flight_frames import add_camera_options, read_frame
from lkpan_ros.tools.track_picture import draw_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.geodesy import LatLon


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    return run(lambda: _evaluate(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.evaluate_flight", description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True, help="made by build_gallery")
    parser.add_argument("--flight", type=Path, required=True, help="flight.csv, its pictures beside it")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the table, the picture, the CSV"
    )
    add_camera_options(parser)
    parser.add_argument(
        "--weights", default="lite", help="those that the gallery was made with (default lite)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the localizer"
    )
    return parser


def _evaluate(options: argparse.Namespace) -> int:
    config = with_values(LocalizerConfig(), parse_assignments(LocalizerConfig(), options.set))
    encoder = Encoder(options.weights, device=config.encoder.device, precision=config.encoder.precision)
    gallery = Gallery.load(options.gallery, encoder.identity)
    records = read_flight(options.flight)
    options.output.mkdir(parents=True, exist_ok=True)

    localizer = Localizer(gallery, encoder, config)
    outcomes = [
        _outcome(localizer, record, options)
        for record in tqdm(records, desc="frames", unit="frame", file=sys.stderr, dynamic_ncols=True)
    ]

    summary = summarize(outcomes)
    write_outcomes(options.output / "frames.csv", outcomes)
    draw_track(
        options.output / "track.png", gallery, outcomes, f"{options.flight} over {options.gallery.name}"
    )
    table = _table(summary, outcomes)
    (options.output / "summary.txt").write_text(table + "\n", encoding="utf-8")
    print(table)
    print(json.dumps(asdict(summary)))
    return 0


def _outcome(localizer: Localizer, record: FlightRecord, options: argparse.Namespace) -> FrameOutcome:
    try:
        frame = read_frame(record, options)
    except ImageError as error:
        unread = Rejection(record.stamp_s, Reason.BAD_IMAGE, str(error))
        return outcome_of(unread, record.vehicle, record.view_truth)
    result = localizer.localize(frame)
    rank = _rank(localizer.gallery, result, record.view_truth)
    return outcome_of(result, record.vehicle, record.view_truth, rank)


def _rank(gallery: Gallery, result: Fix | Rejection, view: LatLon | None) -> int | None:
    """Place, from 1, of the first tile within one stride of the true view; 0 if none, None if unknowable."""
    if view is None:
        return None
    truth = gallery.frame.to_local(view.lat_deg, view.lon_deg)
    if np.linalg.norm(gallery.positions_m - truth, axis=1).min() > gallery.stride_m:
        return None
    if result.matches is None:
        return 0
    right = np.linalg.norm(result.matches.position_m - truth, axis=1) <= gallery.stride_m
    return int(right.argmax()) + 1 if right.any() else 0


def _table(summary: Summary, outcomes: Sequence[FrameOutcome]) -> str:
    reasons = Counter(o.reason for o in outcomes if not o.fix)
    references = Counter(o.reference for o in outcomes if o.fix)
    rows = [
        ("frames", f"{summary.frames}"),
        ("fixes", f"{summary.fixes} ({summary.availability:.1%})"),
        *((f"  of the {name}", f"{count}") for name, count in sorted(references.items())),
        *((f"refused: {reason}", f"{count}") for reason, count in reasons.most_common()),
        ("view error, median / 90 %", _pair(summary.view_error_median_m, summary.view_error_p90_m, " m")),
        ("vehicle error, median", _number(summary.vehicle_error_median_m, " m")),
        ("false fixes (> 30 m)", _number(summary.false_fix_rate, "", "{:.1%}")),
        ("NEES (1 is honest)", _number(summary.nees, "", "{:.2f}")),
        *((f"recall at {k}", _number(getattr(summary, f"recall_at_{k}"), "", "{:.1%}")) for k in (1, 5, 10)),
        ("frame to fix, median", _number(summary.latency_p50_ms, " ms")),
        *(
            (f"  {stage}", _number(_median(outcomes, f"{stage}_ms"), " ms"))
            for stage in ("view", "encode", "search", "decide")
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _median(outcomes: Sequence[FrameOutcome], column: str) -> float | None:
    """Of the frames that went all the way."""
    values = [getattr(o, column) for o in outcomes if o.decide_ms]
    return float(np.median(values)) if values else None


def _number(value: float | None, unit: str, form: str = "{:.1f}") -> str:
    return "unknown" if value is None else form.format(value) + unit


def _pair(first: float | None, second: float | None, unit: str) -> str:
    return f"{_number(first, '')} / {_number(second, unit)}"


if __name__ == "__main__":
    sys.exit(main())
