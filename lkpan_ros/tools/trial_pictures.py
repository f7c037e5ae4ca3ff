"""The pictures of a simulated flight with what the sensors say, rendered or read back from a kept flight.

A kept flight is a folder as simulate_flight writes it (flight.csv, frames/, camera.json) with the camera's whole
attitude in three more columns. Rendered pictures go through the same JPEG and the same texts as kept ones, so that
both give the same results to the last bit.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import FlightError
from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.image_file import decode_image
from lkpan_ros.localization.types import Frame
from lkpan_ros.tools.simulate_flight import COLUMNS, camera_json, flight_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lkpan_ros.localization.camera import Intrinsics
    from lkpan_ros.simulation.flight import Flight, SimulatedFrame

_JPEG_QUALITY = 95
_COLUMNS = (*COLUMNS, "camera_tilt_deg", "camera_heading_deg", "camera_roll_deg")


@dataclass(frozen=True)
class Picture:
    """One frame as it is kept.

    Attributes:
        row: Of flight.csv, by column; the attitude is what the sensors say of the camera.
        jpeg: The picture.
    """

    row: Mapping[str, str]
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class TrialFrame:
    """What the localizer gets, and the truth beside it.

    Attributes:
        frame: With all that the sensors say.
        vehicle: True position.
        view: True ground point in the middle of the picture, or None beyond the world.
    """

    frame: Frame
    vehicle: LatLon
    view: LatLon | None


def trial_frame(picture: Picture, camera: Intrinsics) -> TrialFrame:
    """Read a picture and its row.

    Raises:
        FlightError: The row is not as `rendered` makes it.
        ImageError: The picture is damaged.
    """
    row = picture.row
    image = decode_image(picture.jpeg, row["file"])
    try:
        tilt, heading, roll = (float(row[name]) for name in _COLUMNS[-3:])
        view = LatLon(float(row["view_lat"]), float(row["view_lon"])) if row["view_lat"] else None
        return TrialFrame(
            Frame(
                float(row["stamp_s"]),
                image,
                camera,
                Attitude(tilt, heading, roll),
                float(row["height_above_takeoff_m"]),
            ),
            LatLon(float(row["lat"]), float(row["lon"])),
            view,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FlightError(
            f"the row of {row['file']} is damaged ({error}): delete the folder of its flight"
        ) from error


def rendered(flight: Iterable[SimulatedFrame]) -> Iterator[Picture]:
    """The pictures of a flight, made one by one."""
    for index, frame in enumerate(flight):
        name = f"frames/{index:06d}.jpg"
        attitude = (frame.attitude.tilt_deg, frame.attitude.heading_deg, frame.attitude.roll_deg)
        cells = [*flight_row(name, frame), *(f"{angle:.6f}" for angle in attitude)]
        jpeg = cv2.imencode(".jpg", frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        yield Picture(dict(zip(_COLUMNS, cells, strict=True)), jpeg.tobytes())


def keeping(
    pictures: Iterator[Picture], folder: Path, facts: Mapping[str, object], flight: Flight
) -> Iterator[Picture]:
    """The same pictures, written into a folder on their way, which appears when the last one is through.

    Args:
        pictures: Of the flight.
        folder: One that exists is replaced.
        facts: What the pictures depend on; `kept` asks for the same.
        flight: Whose camera.json is written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "frames").mkdir(parents=True)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for picture in pictures:
        (partial / picture.row["file"]).write_bytes(picture.jpeg)
        table.writerow(picture.row)
        yield picture
    (partial / "flight.csv").write_text(text.getvalue(), encoding="utf-8")
    (partial / "camera.json").write_text(camera_json(flight), encoding="utf-8")
    write_whole(partial / "trial.json", json.dumps(facts, indent=2).encode())
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def kept(folder: Path, facts: Mapping[str, object]) -> Iterator[Picture] | None:
    """The pictures kept in a folder, or None where there are none of these facts.

    Raises:
        FlightError: One that should be there cannot be read.
    """
    try:
        if json.loads((folder / "trial.json").read_text(encoding="utf-8")) != facts:
            return None
    except (OSError, ValueError):
        return None
    return _read(folder)


def _read(folder: Path) -> Iterator[Picture]:
    try:
        with (folder / "flight.csv").open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                yield Picture(row, (folder / row["file"]).read_bytes())
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise FlightError(f"{folder}: a kept flight is damaged ({error}): delete this folder") from error
