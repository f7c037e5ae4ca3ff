"""Fit similarity.temperature and similarity.none_of_these on recorded flights with truth.

Writes the candidates of the flight's frames to OUTPUT (.npz), so that several flights can be fitted together
with --also.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.encoder import Encoder
from lkpan_model.whole_file import whole_file
from lkpan_ros.errors import FlightError
from lkpan_ros.localization.calibration import Retrieval, fit_similarity
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.types import Refusal
from lkpan_ros.localization.view import ground_patch, quarter_turns
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.flight_frames import add_camera_options, read_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.flight_log import FlightRecord
    from lkpan_ros.localization.types import GroundView

_CANDIDATES = 400  # enough to leave foreign tiles when those about the truth are taken away


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    return run(lambda: _calibrate(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.calibrate", description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True, help="made by build_gallery")
    parser.add_argument("--flight", type=Path, required=True, help="flight.csv with truth")
    parser.add_argument("--output", type=Path, required=True, help="the frames' candidates, .npz")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="candidates of other flights, .npz")
    parser.add_argument(
        "--weights", default="lite", help="those that the gallery was made with (default lite)"
    )
    add_camera_options(parser)
    return parser


def _calibrate(options: argparse.Namespace) -> int:
    config = LocalizerConfig()
    encoder = Encoder(options.weights)
    gallery = Gallery.load(options.gallery, encoder.identity)
    retrievals = []
    for record in tqdm(read_flight(options.flight), desc="frames", unit="frame", dynamic_ncols=True):
        try:
            view = ground_patch(
                read_frame(record, options), gallery.tile_size_m, gallery.tile_px, config.view
            )
        except Refusal:
            continue  # the localizer refuses it before any similarity counts
        truth = _true_view(record, view, gallery)
        if truth is not None:
            matches = gallery.search(encoder.encode(quarter_turns(view)), _CANDIDATES)
            distance_m = np.linalg.norm(matches.position_m - truth, axis=1)
            retrievals.append(Retrieval(matches.similarity, distance_m))
    if not retrievals:
        raise FlightError(
            f"{options.flight}: no frame with a known true view over the gallery; give another flight"
        )
    _write(options.output, retrievals)
    for path in options.also:
        retrievals += _read(path)
    settings, loss = fit_similarity(
        retrievals, config.search.candidates, config.gate.radius_m, gallery.tile_size_m
    )
    print(
        f"frames={len(retrievals)} similarity.temperature={settings.temperature:.4f} "
        f"similarity.none_of_these={settings.none_of_these:.4f} negative_log_likelihood={loss:.4f}"
    )
    return 0


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
    inside = np.linalg.norm(gallery.positions_m - truth, axis=1).min() <= gallery.stride_m
    return truth if inside else None


def _write(path: Path, retrievals: Sequence[Retrieval]) -> None:
    lengths = np.array([len(r.similarity) for r in retrievals])
    with whole_file(path) as stream:
        np.savez(
            stream,
            lengths=lengths,
            similarity=np.concatenate([r.similarity for r in retrievals]),
            distance_m=np.concatenate([r.distance_m for r in retrievals]),
        )


def _read(path: Path) -> list[Retrieval]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ends = np.cumsum(arrays["lengths"])[:-1]
            similarity = np.split(arrays["similarity"], ends)
            distance_m = np.split(arrays["distance_m"], ends)
    except (OSError, ValueError, KeyError) as error:
        raise FlightError(
            f"{path}: no candidates of a flight ({error}); give an --output of this command"
        ) from error
    return [Retrieval(s, d) for s, d in zip(similarity, distance_m, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
