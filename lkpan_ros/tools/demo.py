"""A simulated flight, localized: camera and localizer as two processes over DDS, a line for every fix, a picture.

python -m lkpan_ros.tools.demo [--output DIR] [--seconds S]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.errors import FlightError, GalleryError
from lkpan_ros.localization.flight_summary import summarize
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.outcomes import read_outcomes
from lkpan_ros.simulation.scenario import SENSOR_FIGURES, Scenario
from lkpan_ros.tools import build_gallery
from lkpan_ros.tools.cli import run
from lkpan_ros.tools.node_process import node_process
from lkpan_ros.tools.track_picture import draw_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.outcomes import FrameOutcome

TILE_SIZE_M, STRIDE_M = 90.0, 30.0
# What "it localizes" means for the exit status; far below what the flight reaches.
_LEAST_AVAILABILITY, _MOST_FALSE = 0.8, 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status: 0 where the flight was localized, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m lkpan_ros.tools.demo", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder (default demo_output)"
    )
    parser.add_argument("--seconds", type=float, default=150.0, help="length of the flight (default 150)")
    parser.add_argument("--gallery-only", action="store_true", help="make the gallery, do not fly")
    return run(lambda: _demo(parser.parse_args(arguments)))


def _demo(options: argparse.Namespace) -> int:
    scenario, output = Scenario(), options.output
    output.mkdir(parents=True, exist_ok=True)
    gallery = _gallery(scenario, output)
    if options.gallery_only:
        return 0
    print(
        f"flight of {options.seconds:g} s: camera and localizer start as processes of their own", flush=True
    )
    _fly(scenario, output, options.seconds)
    outcomes = read_outcomes(output / "frames.csv")
    title = "a simulated autumn flight over the gallery of a summer map"
    draw_track(output / "track.png", gallery, outcomes, title)
    print(f"picture: {output / 'track.png'}, table: {output / 'frames.csv'}")
    return _conclude(outcomes)


def _gallery(scenario: Scenario, output: Path) -> Gallery:
    """The gallery of the built-in world, made on the first run."""
    from lkpan_model.encoder import Encoder  # noqa: PLC0415 - torch takes seconds to import

    path, identity = output / "demo.gallery", Encoder("lite").identity
    with contextlib.suppress(GalleryError):  # not there yet, or made with other weights
        return Gallery.load(path, identity)
    print("the built-in world is made and its map encoded (once)", flush=True)
    map_path = output / "map.tif"
    scenario.write_map(map_path)
    command = ["--map", map_path, "--tile-size-m", TILE_SIZE_M, "--stride-m", STRIDE_M, "--output", path]
    if status := build_gallery.main([str(word) for word in command]):
        raise GalleryError(f"{path} could not be built (exit status {status}), see above")
    return Gallery.load(path, identity)


def _fly(scenario: Scenario, output: Path, seconds: float) -> None:
    """Camera, localizer and monitor, until the flight is over.

    Raises:
        FlightError: One of them failed.
    """
    table = output / "frames.csv"
    table.unlink(missing_ok=True)  # an old one must not pass for this flight's
    localizer: dict[str, object] = {
        "gallery.path": output / "demo.gallery",
        "camera.tilt_deg": scenario.settings.tilt_deg,
        "autostart": "true",
        **SENSOR_FIGURES,
    }
    camera = {"source.type": "simulator", "simulator.seconds": seconds, "source.wait_for_subscriber": "true"}
    with (
        node_process(
            "localizer_node", localizer, {"image": "camera/image_raw", "camera_info": "camera/camera_info"}
        ),
        node_process("flight_monitor", {"monitor.output": table}, {}) as monitor,
        node_process("camera_node", camera, {}),
    ):
        if status := monitor.wait():
            raise FlightError(
                f"the flight was not localized: its monitor ended with status {status}, see above"
            )


def _conclude(outcomes: Sequence[FrameOutcome]) -> int:
    summary = summarize(outcomes)
    errors = [float(np.hypot(*o.error_m)) for o in outcomes if o.fix and o.error_m is not None]
    median, p90 = np.percentile(errors, [50, 90]) if errors else (np.nan, np.nan)
    false_rate, latency_ms = summary.false_fix_rate, summary.latency_p50_ms
    print(
        f"demo: frames={summary.frames} fixes={summary.fixes} median_error_m={median:.1f} p90_error_m={p90:.1f} "
        f"false_fix_rate={np.nan if false_rate is None else false_rate:.3f} "
        f"latency_p50_ms={np.nan if latency_ms is None else latency_ms:.1f}"
    )
    localized = (
        summary.availability >= _LEAST_AVAILABILITY and false_rate is not None and false_rate <= _MOST_FALSE
    )
    return 0 if localized else 1


if __name__ == "__main__":
    sys.exit(main())
