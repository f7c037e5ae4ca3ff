"""Before the flight: which places of a gallery look alike, which show nothing, and what a flight there may expect.

python -m lkpan_ros.tools.audit_gallery --gallery FILE --output DIR

Writes audit.png, audit.geojson, audit.txt and audit.json to DIR; the last line on stdout is audit.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.background import Background
from lkpan_ros.localization.calibration_file import calibrated
from lkpan_ros.localization.camera import Intrinsics
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.encoder_loading import load_encoder
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.look_alikes import (
    block_pairs,
    find_look_alikes,
    foreign_distance_m,
    least_lead,
    retention,
)
from lkpan_ros.localization.settings import parse_assignments, with_values
from lkpan_ros.localization.texture import measure_texture
from lkpan_ros.localization.types import Refusal
from lkpan_ros.localization.view import ground_patch
from lkpan_ros.simulation.camera import SimulatedCamera
from lkpan_ros.simulation.flight import FlightSettings
from lkpan_ros.simulation.scenario import CAMERA_FAULTS
from lkpan_ros.tools.audit_flights import TYPICAL_CHANGE, Passes, PlaceFigures, spread_places
from lkpan_ros.tools.audit_geojson import write_geojson
from lkpan_ros.tools.audit_journal import PassJournal
from lkpan_ros.tools.audit_picture import draw_audit
from lkpan_ros.tools.audit_summary import Audit, summarize, table
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.flight_frames import add_camera_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lkpan_model.encoder import Encoder

_HFOV_DEG = 70.0
_PROBES = 32  # frames that tell how like its tile a frame is
_BAR: dict[str, Any] = {"file": sys.stderr, "dynamic_ncols": True, "mininterval": 0.5}
_GO_ON = "interrupted; the same command goes on where this one stopped"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status."""
    options = _parser().parse_args(arguments)
    return run(lambda: _audit(options), _GO_ON)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lkpan_ros.tools.audit_gallery", description=__doc__.split("\n", maxsplit=1)[0]
    )
    add = parser.add_argument
    add("--gallery", type=Path, required=True, metavar="FILE", help="made by build_gallery")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for picture, GeoJSON, table, JSON")
    add("--samples", type=int, default=300, help="places to fly over in simulation (default 300; 0: none)")
    add("--seed", type=int, default=0, help="of places, headings, wind and noise (default 0)")
    add("--change", type=float, default=TYPICAL_CHANGE,
        help="how much the ground differs from the map: spread of the brightness of patches of 1 to 16 m "
        f"(default {TYPICAL_CHANGE:g}, as between summer and autumn; 0: not at all)")  # fmt: skip
    add("--pass-seconds", type=float, default=3.0, help="length of the flight over each place (default 3)")
    add("--rate-hz", type=float, default=3.0, help="pictures per second (default 3)")
    add("--speed-mps", type=float, default=12.0, help="over ground, m/s (default 12)")
    add("--height-m", type=float, help="above ground (default: where the picture's short side shows a tile)")
    add("--width", type=int, default=640, help="of the pictures (default 640)")
    add("--height", type=int, default=480, help="of the pictures (default 480)")
    add_camera_options(parser)
    add("--weights", default="lite", help="those that the gallery was made with (default lite)")
    add("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the localizer")
    return parser


def _audit(options: argparse.Namespace) -> int:
    if options.samples < 0 or options.seed < 0 or not 0.0 <= options.change <= 1.0:
        raise ConfigError(
            f"--samples {options.samples} --seed {options.seed} --change {options.change}: give samples and seed of 0 "
            "or more, and a change of 0 to 1"
        )
    config = with_values(LocalizerConfig(), parse_assignments(LocalizerConfig(), options.set))
    encoder = load_encoder(config.encoder, options.weights)
    gallery = Gallery.load(options.gallery, encoder.identity, config.gallery.index)
    config = calibrated(config, options.gallery, encoder.identity)
    passes = _passes(gallery, options)
    options.output.mkdir(parents=True, exist_ok=True)

    audit = _examine(gallery, encoder, config, passes)
    journal = PassJournal(options.output / "passes.partial.jsonl", _key(passes, encoder, config))
    places = _fly(
        passes,
        Localizer(gallery, encoder, config),
        spread_places(gallery, options.samples, options.seed),
        journal,
    )
    _write(options.output, replace(audit, places=tuple(places)))
    journal.remove()
    return 0


def _passes(gallery: Gallery, options: argparse.Namespace) -> Passes:
    """How each place will be flown over."""
    try:
        camera = (
            Intrinsics.from_focal_length(options.width, options.height, options.focal_px)
            if options.focal_px is not None
            else Intrinsics.from_field_of_view(options.width, options.height, options.hfov_deg or _HFOV_DEG)
        )
        settings = FlightSettings(
            seconds=options.pass_seconds,
            rate_hz=options.rate_hz,
            speed_mps=options.speed_mps,
            height_m=options.height_m or _height_m(gallery, camera, options.tilt_deg),
            tilt_deg=options.tilt_deg,
        )
    except ValueError as error:
        raise ConfigError(f"the camera or the flight of the options is none: {error}") from error
    return Passes(
        gallery,
        SimulatedCamera(camera, CAMERA_FAULTS),
        settings,
        options.seed,
        options.change,
        heading_known=not options.ignore_heading,
        height_known=not options.ignore_height,
    )


def _height_m(gallery: Gallery, camera: Intrinsics, tilt_deg: float) -> float:
    """From where the picture's short side shows a tile."""
    slant_m = gallery.tile_size_m * camera.fx_px / min(camera.width_px, camera.height_px)
    return slant_m * math.cos(math.radians(tilt_deg))


def _examine(gallery: Gallery, encoder: Encoder, config: LocalizerConfig, passes: Passes) -> Audit:
    """All but the passes."""
    with tqdm(total=block_pairs(len(gallery)), desc="look-alikes", **_BAR) as bar:
        alike = find_look_alikes(gallery, foreign_distance_m(gallery, config.gate), bar.update)
    with tqdm(total=len(gallery), desc="texture", unit="tile", **_BAR) as bar:
        texture = measure_texture(gallery, bar.update)
    descriptors, centres_m = _probes(encoder, config, passes)
    retained = retention(descriptors, centres_m, gallery, alike)
    temperature = config.similarity.temperature * _spread(gallery, descriptors)
    return Audit(
        gallery=gallery,
        look_alikes=alike,
        retention=retained,
        # Unknown: as if a frame were as good as the tile itself.
        least_lead=least_lead(1.0 if retained is None else retained, temperature, config.gate),
        texture=texture,
        textureless=texture.lacking(config.view.min_contrast),
        places=(),
        flown=_in_words(passes),
    )


def _in_words(passes: Passes) -> str:
    """Camera and flight."""
    camera, settings = passes.camera.intrinsics, passes.settings
    hfov_deg = math.degrees(2.0 * math.atan(camera.width_px / (2.0 * camera.fx_px)))
    return (
        f"{camera.width_px} x {camera.height_px} px, {hfov_deg:.0f} degrees wide, tilted {settings.tilt_deg:g}, from "
        f"{settings.height_m:.0f} m"
    )


def _spread(gallery: Gallery, descriptors: NDArray[np.float32]) -> float:
    """Of similarities to foreign places, as frames have them; as the tiles have them where there is no frame."""
    background = Background(gallery)
    seen = descriptors if len(descriptors) else gallery.descriptors(np.arange(min(len(gallery), _PROBES)))
    return float(np.median([background.chance(descriptor[None]).spread for descriptor in seen]))


def _probes(
    encoder: Encoder, config: LocalizerConfig, passes: Passes
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Descriptors (F, D) of one frame at each of some places, and their views' centres (F, 2), metres.

    A frame that the localizer refuses by itself is left out.
    """
    gallery, passes = passes.gallery, replace(passes, heading_known=True)  # else it is found by trying
    descriptors, centres_m = [], []
    for tile in tqdm(
        spread_places(gallery, _PROBES, passes.seed), desc="similarity of frames", unit="frame", **_BAR
    ):
        flight = passes.flight(tile)
        simulated = flight[len(flight) // 2]
        try:
            frame = passes.frame(simulated)
            view = ground_patch(frame, gallery.tile_size_m, gallery.tile_px, config.view)
        except Refusal:
            continue
        centre_m = simulated.pose.view_centre_m()
        if centre_m is not None:
            descriptors.append(encoder.encode([view.patch])[0])
            centres_m.append(centre_m)
    shape = (-1, gallery.descriptor_dim)
    return np.array(descriptors, np.float32).reshape(shape), np.array(centres_m).reshape(-1, 2)


def _fly(
    passes: Passes, localizer: Localizer, tiles: Sequence[int], journal: PassJournal
) -> Iterator[PlaceFigures]:
    """Over each tile that the journal does not know yet."""
    for tile in tqdm(tiles, desc="passes", unit="place", disable=not tiles, **_BAR):
        if tile not in journal.places:
            journal.add(passes.fly(tile, localizer))
        yield journal.places[tile]


def _key(passes: Passes, encoder: Encoder, config: LocalizerConfig) -> dict[str, Any]:
    """What decides the figures of a pass."""
    return {
        "gallery": passes.gallery.content_hash,
        "encoder": encoder.identity.to_dict(),
        "config": asdict(config),
        "camera": asdict(passes.camera.intrinsics),
        "settings": asdict(passes.settings),
        "seed": passes.seed,
        "change": passes.change,
        "known": [passes.heading_known, passes.height_known],
    }


def _write(folder: Path, audit: Audit) -> None:
    summary = summarize(audit)
    text, figures = table(audit, summary), asdict(summary)
    write_geojson(folder / "audit.geojson", audit, figures)
    draw_audit(folder / "audit.png", audit, summary)
    write_whole(folder / "audit.txt", f"{text}\n".encode())
    write_whole(folder / "audit.json", f"{json.dumps(figures)}\n".encode())
    print(text)
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
