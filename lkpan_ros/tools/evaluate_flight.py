"""Run the localizer over a recorded flight and compare what it states with the truth. No ROS needed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from lkpan_ros.errors import ImageError
from lkpan_ros.localization.calibration_file import find_calibration
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.encoder_loading import load_encoder
from lkpan_ros.localization.flight_log import FlightRecord, read_flight
from lkpan_ros.localization.flight_summary import summarize
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_build import software
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.outcomes import FrameOutcome, outcome_of, write_outcomes
from lkpan_ros.localization.settings import parse_assignments, settings_of, with_values
from lkpan_ros.localization.types import Fix, Frame, Reason, Rejection
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.flight_exhibits import Exhibits
from lkpan_ros.tools.flight_frames import add_camera_options, read_frame
from lkpan_ros.tools.flight_report import WhatWasRun, write_report
from lkpan_ros.tools.summary_table import as_text, headline_rows, summary_rows
from lkpan_ros.tools.track_picture import draw_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_model.encoder import Encoder


_NO_LENS = (
    "neither --focal-px nor --hfov-deg is given: how much ground a picture shows is unknown, its middle is taken for a "
    "tile, and fixes are of the view"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    return run(lambda: _evaluate(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.evaluate_flight", description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True, help="made by build_gallery")
    parser.add_argument("--flight", type=Path, required=True, help="flight.csv, its pictures beside it")
    parser.add_argument("--output", type=Path, required=True, help="folder for the report")
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
    encoder = load_encoder(config.encoder, options.weights)
    gallery = Gallery.load(options.gallery, encoder.identity, config.gallery.index)
    calibration = find_calibration(config, options.gallery, encoder.identity)
    facts = [*_facts(options, gallery, encoder), ("calibration", calibration.describe(config))]
    print("calibration:", facts[-1][1], file=sys.stderr)
    config = calibration.apply(config)
    records = read_flight(options.flight)
    if not _has_lens(options):
        print(f"note: {_NO_LENS}", file=sys.stderr)
    options.output.mkdir(parents=True, exist_ok=True)

    localizer = Localizer(gallery, encoder, config)
    exhibits = Exhibits(gallery, config.view, len(records))
    outcomes = [
        _outcome(localizer, record, options, exhibits)
        for record in tqdm(records, desc="frames", unit="frame", file=sys.stderr, dynamic_ncols=True)
    ]

    summary = summarize(outcomes)
    rows = summary_rows(summary, outcomes)
    title = f"{options.flight} over {options.gallery.name}"
    what = WhatWasRun(
        title=f"Flight report: {title}",
        facts=facts,
        settings=[(entry.name, str(entry.default)) for entry in settings_of(config)],
        summary=rows,
        headline=headline_rows(summary),
        radius_m=config.gate.radius_m,
    )
    write_outcomes(options.output / "frames.csv", outcomes)
    draw_track(options.output / "track.png", gallery, outcomes, title)
    write_report(options.output / "report.html", gallery, outcomes, exhibits, what)
    (options.output / "summary.txt").write_text(as_text(rows) + "\n", encoding="utf-8")
    print(as_text(rows))
    print(json.dumps(asdict(summary)))
    return 0


def _has_lens(options: argparse.Namespace) -> bool:
    return options.focal_px is not None or options.hfov_deg is not None


def _outcome(
    localizer: Localizer, record: FlightRecord, options: argparse.Namespace, exhibits: Exhibits
) -> FrameOutcome:
    frame: Frame | None
    result: Fix | Rejection
    try:
        frame = read_frame(record, options)
    except ImageError as error:
        frame, result = None, Rejection(record.stamp_s, Reason.BAD_IMAGE, str(error))
    else:
        result = localizer.localize(frame)
    exhibits.add(record.file, frame, result)
    return outcome_of(result, record.vehicle, record.view_truth, localizer.gallery)


def _facts(options: argparse.Namespace, gallery: Gallery, encoder: Encoder) -> list[tuple[str, str]]:
    """What was run, for the page."""
    lens = [] if _has_lens(options) else [("  lens", _NO_LENS)]
    given = {name: getattr(options, name) for name in ("focal_px", "hfov_deg", "tilt_deg")}
    words = [f"--{name.replace('_', '-')} {value:g}" for name, value in given.items() if value is not None]
    ignored = [name for name in ("heading", "height") if getattr(options, f"ignore_{name}")]
    tiles = f"{len(gallery)} of {gallery.tile_size_m:g} m every {gallery.stride_m:g} m, {gallery.gsd_m:.3f} m a pixel"
    return [
        ("flight", str(options.flight)),
        ("gallery", str(options.gallery)),
        ("  SHA-256 of its content", gallery.content_hash),
        ("  made of", f"{gallery.info.source_name} ({gallery.info.source_crs[:60]})"),
        ("  tiles", tiles),
        ("  made by", gallery.info.created_by),
        ("weights", str(options.weights)),
        ("  SHA-256", encoder.identity.weights_hash),
        ("camera", " ".join([*words, *(f"--ignore-{name}" for name in ignored)])),
        *lens,
        ("software", software()),
        ("made", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
    ]


if __name__ == "__main__":
    sys.exit(main())
