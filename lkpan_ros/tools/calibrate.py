"""Fit what similarities and registrations are worth on recorded flights with truth, and write a calibration file.

Writes what the flight's frames say to OUTPUT (.npz), so that several flights can be fitted together with --also, and
the fitted settings to --calibration, a file that `calibration.path` names or that lies beside the gallery as
NAME.calibration.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.encoder import Encoder
from lkpan_model.whole_file import whole_file
from lkpan_ros.errors import FlightError
from lkpan_ros.localization.array_file import read_npz
from lkpan_ros.localization.calibration import Look, fit
from lkpan_ros.localization.calibration_file import Calibration, write_calibration
from lkpan_ros.localization.config import PATCH_PX, LocalizerConfig
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.refinement import make_refiner, turns_within
from lkpan_ros.localization.retrieval import rows_of
from lkpan_ros.localization.settings import parse_assignments, with_values
from lkpan_ros.localization.types import Refusal
from lkpan_ros.localization.view import ground_patch
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.flight_frames import add_camera_options, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.flight_log import FlightRecord
    from lkpan_ros.localization.refinement import Refiner
    from lkpan_ros.localization.types import GroundView, Matches

_CANDIDATES = 400  # enough to leave foreign tiles when those about the truth are taken away
_VERIFIED_M, _UNVERIFIED_M = 12.0, 45.0  # a registration this near to the true view is right


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    return run(lambda: _calibrate(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.calibrate", description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True, help="made by build_gallery")
    parser.add_argument("--flight", type=Path, required=True, help="flight.csv with truth")
    parser.add_argument("--output", type=Path, required=True, help="what the frames say, .npz")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="the same of other flights, .npz")
    parser.add_argument("--calibration", type=Path, help="calibration file to write, .json")
    parser.add_argument(
        "--weights", default="lite", help="those that the gallery was made with (default lite)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the localizer"
    )
    add_camera_options(parser)
    return parser


def _calibrate(options: argparse.Namespace) -> int:
    config = with_values(LocalizerConfig(), parse_assignments(LocalizerConfig(), options.set))
    encoder = Encoder(options.weights)
    gallery = Gallery.load(options.gallery, encoder.identity)
    flight = _Flight(gallery, encoder, config, options)
    records = tqdm(read_flight(options.flight), desc="frames", unit="frame", dynamic_ncols=True)
    looks = [look for record in records for look in flight.looks(record)]
    if not looks:
        raise FlightError(
            f"{options.flight}: no frame with a known true view over the gallery; give another flight"
        )
    _write(options.output, looks)
    for path in options.also:
        looks += _read(path)
    settings, loss = fit(looks, config)
    if options.calibration:
        names = tuple(str(path) for path in (options.flight, *options.also))
        software = gallery.info.created_by
        write_calibration(
            options.calibration, Calibration(settings, encoder.identity.weights_hash, names, software)
        )
    print(f"frames={len(looks) // 2} negative_log_likelihood={loss:.4f}")
    print(json.dumps(settings))
    return 0


class _Flight:
    """Looks at the frames of a flight as the localizer does on its first frame."""

    def __init__(
        self, gallery: Gallery, encoder: Encoder, config: LocalizerConfig, options: argparse.Namespace
    ) -> None:
        self._gallery, self._encoder, self._config, self._options = gallery, encoder, config, options
        self._refiner: Refiner = make_refiner(gallery, config.refinement)

    def looks(self, record: FlightRecord) -> Iterator[Look]:
        """The frame as it is, and as if its ground were not in the gallery; nothing where its truth is unknown."""
        gallery, config = self._gallery, self._config
        try:
            frame = read_frame(record, self._options)
            view = ground_patch(frame, gallery.tile_size_m, gallery.tile_px, config.view)
        except Refusal:
            return  # the localizer refuses it before anything counts
        truth = _true_view(record, view, gallery)
        if truth is None:
            return
        matches = gallery.search(self._encoder.encode([view.patch]), _CANDIDATES)
        foreign = np.hypot(*(matches.position_m - truth).T) > gallery.tile_size_m
        for rows in (np.arange(len(foreign)), np.flatnonzero(foreign)):
            if len(rows):
                yield self._look(view, rows_of(matches, rows), truth, verified=record.view_truth is not None)

    def _look(
        self, view: GroundView, matches: Matches, truth: NDArray[np.float64], *, verified: bool
    ) -> Look:
        settings = self._config.refinement
        turns = turns_within(settings.turn_reach_deg, settings.turn_step_deg)
        found = self._refiner.refine([view], matches, turns, settings.windows)
        error_m = np.hypot(*(found.position_m - truth).T)
        return Look(
            quality=found.quality,
            similarity=found.similarity.astype(np.float64),
            level=float(matches.similarity[: self._config.search.candidates].mean()),
            right=error_m <= (_VERIFIED_M if verified else _UNVERIFIED_M),
            error_px=error_m / self._gallery.tile_size_m * PATCH_PX
            if verified
            else np.full_like(error_m, np.nan),
        )


def _true_view(record: FlightRecord, view: GroundView, gallery: Gallery) -> NDArray[np.float64] | None:
    """East and north of the true view in the gallery's frame, or None where unknown or outside its tiles.

    Where the view was not verified it follows from the vehicle's true position by the view's geometry.
    """
    if record.view_truth:
        truth = gallery.frame.to_local(record.view_truth.lat_deg, record.view_truth.lon_deg)
    elif record.vehicle and view.offset_m is not None and view.north_up:
        truth = gallery.frame.to_local(record.vehicle.lat_deg, record.vehicle.lon_deg) + view.offset_m
    else:
        return None
    return truth if gallery.covers(truth[None])[0] else None


def _write(path: Path, looks: Sequence[Look]) -> None:
    with whole_file(path) as stream:
        np.savez(
            stream,
            lengths=np.array([len(look.quality) for look in looks]),
            level=np.array([look.level for look in looks]),
            quality=np.concatenate([look.quality for look in looks]),
            similarity=np.concatenate([look.similarity for look in looks]),
            right=np.concatenate([look.right for look in looks]),
            error_px=np.concatenate([look.error_px for look in looks]),
        )


def _read(path: Path) -> list[Look]:
    try:
        arrays = read_npz(path)
        ends = np.cumsum(arrays["lengths"])[:-1]
        columns = [np.split(arrays[name], ends) for name in ("quality", "similarity", "right", "error_px")]
        levels = arrays["level"]
    except (OSError, ValueError, KeyError) as error:
        raise FlightError(
            f"{path}: no frames of a flight ({error}); give an --output of this command"
        ) from error
    return [
        Look(quality, similarity, float(level), right, error_px)
        for quality, similarity, right, error_px, level in zip(*columns, levels, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
