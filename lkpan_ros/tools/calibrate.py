"""Fit what similarities and registrations are worth on recorded flights with truth, and write a calibration file.

Writes what the flight's frames say to OUTPUT (.npz), so that several flights can be fitted together with --also, and
the fitted settings to --calibration, a file that `calibration.path` names or that lies beside the gallery as
NAME.calibration.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.whole_file import whole_file
from lkpan_ros.errors import FlightError
from lkpan_ros.localization.array_file import read_npz
from lkpan_ros.localization.background import Background, Chance
from lkpan_ros.localization.belief import SensorErrors
from lkpan_ros.localization.calibration import Look, common_offset, fit
from lkpan_ros.localization.calibration_file import Calibration, write_calibration
from lkpan_ros.localization.config import PATCH_PX, LocalizerConfig
from lkpan_ros.localization.encoder_loading import load_encoder
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.measurement import heading_prior, scale_prior, stretches_found, turns_found
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

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.flight_log import FlightRecord
    from lkpan_ros.localization.refinement import Refiner
    from lkpan_ros.localization.types import GroundView, Matches, Registrations

_FEW_FRAMES = 100
_CANDIDATES = 400  # enough to leave foreign tiles when those about the truth are taken away
# A registration this near to the true view is right; to that of GPS and tilt, without and with what they err by in common.
_VERIFIED_M, _UNVERIFIED_M, _AGREEING_M = 12.0, 45.0, 15.0


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
    encoder = load_encoder(config.encoder, options.weights)
    gallery = Gallery.load(options.gallery, encoder.identity, config.gallery.index)
    flight = _Flight(gallery, encoder, config, options)
    records = read_flight(options.flight)
    bar = tqdm(records, desc="frames", unit="frame", dynamic_ncols=True)
    seen = [look for record in bar for look in flight.looks(record)]
    if not seen:
        raise FlightError(
            f"{options.flight}: no frame with a known true view over the gallery; give another flight"
        )
    if len(seen) // 2 < _FEW_FRAMES:
        print(
            f"note: {len(seen) // 2} of {len(records)} frames say something (the others show too little ground, or their "
            "view is unknown or off the gallery): too few to be relied on",
            file=sys.stderr,
        )
    looks = _labelled(seen, gallery.tile_size_m)
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
        self._background = Background(gallery)
        self._refiner: Refiner = make_refiner(gallery, config.refinement)

    def looks(self, record: FlightRecord) -> Iterator[_Seen]:
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
        descriptors = self._encoder.encode([view.patch])
        chance, matches = self._background.chance(descriptors), gallery.search(descriptors, _CANDIDATES)
        foreign = np.hypot(*(matches.position_m - truth).T) > gallery.tile_size_m
        for rows in (np.arange(len(foreign)), np.flatnonzero(foreign)):
            if len(rows):
                verified = record.view_truth is not None
                yield self._look(view, rows_of(matches, rows), chance, truth, verified=verified)

    def _look(
        self,
        view: GroundView,
        matches: Matches,
        chance: Chance,
        truth: NDArray[np.float64],
        *,
        verified: bool,
    ) -> _Seen:
        config = self._config
        turns = turns_within(config.refinement.turn_reach_deg, config.refinement.turn_step_deg)
        found = self._refiner.refine([view], matches, turns, config.refinement.windows)
        look = Look(
            quality=found.quality,
            similarity=found.similarity.astype(np.float64),
            prior=_by_sensors(found, view, config),
            chance=chance,
            right=np.zeros(len(found.quality), np.bool_),
            error_px=np.full(len(found.quality), np.nan),
        )
        return _Seen(look, found.position_m - truth, verified)


def _by_sensors(found: Registrations, view: GroundView, config: LocalizerConfig) -> NDArray[np.float64]:
    """How probable registrations are by what the sensors say, (N,)."""
    errors = SensorErrors.of(config.view, heading_known=view.heading_known)
    turn, turn_sigma = turns_found(found, np.array([view.turn_deg]), config)
    stretch, stretch_sigma = stretches_found(found, config, placed=view.offset_m is not None)
    by_scale = scale_prior(stretch, stretch_sigma, Lever.of(view), errors)
    by_heading = heading_prior(turn, turn_sigma, errors)
    return by_scale if by_heading is None else by_scale * by_heading


@dataclass(frozen=True, eq=False)
class _Seen:
    """A look, and how far its registrations lie from the true view, (N, 2) metres, before it is said which are right."""

    look: Look
    error_m: NDArray[np.float64]
    verified: bool


def _labelled(seen: Sequence[_Seen], tile_size_m: float) -> list[Look]:
    """The looks of a flight with what is right.

    Where views were not verified, those count that agree with one another on how far the map lies beside the GPS.
    """
    offset = common_offset(_nearest_best([s for s in seen if not s.verified]))
    unverified_m = _UNVERIFIED_M if offset is None else _AGREEING_M
    if offset is not None:
        print(f"the views lie {offset[0]:.1f} m east, {offset[1]:.1f} m north of where GPS and tilt put them")
    looks = []
    for s in seen:
        error_m = np.hypot(*(s.error_m if s.verified or offset is None else s.error_m - offset).T)
        right = error_m <= (_VERIFIED_M if s.verified else unverified_m)
        known_px = error_m / tile_size_m * PATCH_PX if s.verified else s.look.error_px
        looks.append(replace(s.look, right=right, error_px=known_px))
    return looks


def _nearest_best(seen: Sequence[_Seen]) -> NDArray[np.float64]:
    """Of each frame the error of the best registration that is not far from the truth, (N, 2) metres."""
    best = []
    for s in seen:
        near = np.flatnonzero(np.hypot(*s.error_m.T) <= _UNVERIFIED_M)
        if len(near):
            best.append(s.error_m[near[s.look.quality[near].argmax()]])
    return np.array(best).reshape(-1, 2)


def _true_view(record: FlightRecord, view: GroundView, gallery: Gallery) -> NDArray[np.float64] | None:
    """East and north of the true view in the gallery's frame, or None where unknown or outside its tiles.

    Where the view was not verified it follows from the vehicle's true position by the view's geometry.
    """
    if record.view_truth:
        truth = gallery.frame.to_local(record.view_truth.lat_deg, record.view_truth.lon_deg)
    elif record.vehicle and view.offset_m is not None and view.heading_known:
        truth = gallery.frame.to_local(record.vehicle.lat_deg, record.vehicle.lon_deg) + view.offset_m
    else:
        return None
    return truth if gallery.covers(truth[None])[0] else None


def _write(path: Path, looks: Sequence[Look]) -> None:
    with whole_file(path) as stream:
        np.savez(
            stream,
            lengths=np.array([len(look.quality) for look in looks]),
            chance=np.array([(look.chance.mean, look.chance.spread) for look in looks]),
            prior=np.concatenate([look.prior for look in looks]),
            quality=np.concatenate([look.quality for look in looks]),
            similarity=np.concatenate([look.similarity for look in looks]),
            right=np.concatenate([look.right for look in looks]),
            error_px=np.concatenate([look.error_px for look in looks]),
        )


def _read(path: Path) -> list[Look]:
    try:
        arrays = read_npz(path)
        ends = np.cumsum(arrays["lengths"])[:-1]
        columns = [
            np.split(arrays[name], ends) for name in ("quality", "similarity", "prior", "right", "error_px")
        ]
        chances = [Chance(float(mean), float(spread)) for mean, spread in arrays["chance"]]
    except (OSError, ValueError, KeyError, TypeError) as error:  # texts for numbers too
        raise FlightError(
            f"{path}: no frames of a flight ({error}); give an --output of this command"
        ) from error
    return [
        Look(quality, similarity, prior, chance, right, error_px)
        for quality, similarity, prior, right, error_px, chance in zip(*columns, chances, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
