"""What command lines over a recorded flight share: the camera's options, and the frame of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.image_file import read_image
from lkpan_ros.localization.types import Frame

if TYPE_CHECKING:
    import argparse

    from lkpan_ros.localization.flight_log import FlightRecord


def add_camera_options(parser: argparse.ArgumentParser) -> None:
    """Declare --focal-px or --hfov-deg, --tilt-deg, --ignore-heading and --ignore-height."""
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument("--focal-px", type=float, help="focal length at the pictures' size, pixels")
    lens.add_argument("--hfov-deg", type=float, help="horizontal field of view, degrees")
    parser.add_argument(
        "--tilt-deg", type=float, default=0.0, help="tilt of the camera from straight down (default 0)"
    )
    parser.add_argument("--ignore-heading", action="store_true", help="as if the heading were unknown")
    parser.add_argument("--ignore-height", action="store_true", help="as if the height were unknown")


def read_frame(record: FlightRecord, options: argparse.Namespace) -> Frame:
    """The frame of a record, taken by the camera of the options.

    Raises:
        ImageError: The picture cannot be read.
        ConfigError: The options describe no camera.
    """
    if not 0.0 <= options.tilt_deg < 90.0:
        raise ConfigError(
            f"--tilt-deg {options.tilt_deg:g}: a camera that sees the ground is tilted by 0 to below 90 degrees"
        )
    image = read_image(record.file)
    height_px, width_px = image.shape[:2]
    try:
        camera = None
        if options.focal_px is not None:
            camera = Intrinsics.from_focal_length(width_px, height_px, options.focal_px)
        elif options.hfov_deg is not None:
            camera = Intrinsics.from_field_of_view(width_px, height_px, options.hfov_deg)
        attitude = Attitude(options.tilt_deg, None if options.ignore_heading else record.heading_deg)
    except ValueError as error:
        raise ConfigError(f"--focal-px, --hfov-deg or --tilt-deg: {error}") from error
    height_m = None if options.ignore_height else record.height_m
    return Frame(record.stamp_s, image, camera, attitude, height_m)
