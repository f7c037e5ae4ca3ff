"""Where the camera node's pictures come from: a recorded flight folder or the simulator, as one kind of record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.image_file import read_image
from lkpan_ros.simulation.odometry import DriftingOdometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lkpan_ros.localization.flight_log import FlightRecord
    from lkpan_ros.localization.geodesy import LatLon
    from lkpan_ros.localization.types import Odometry
    from lkpan_ros.simulation.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture and what the vehicle's sensors and a perfect observer say about it.

    Attributes:
        time_s: Since the start of the flight, seconds.
        name: Of the picture, for messages.
        image: H x W x 3 uint8 RGB.
        intrinsics: The camera, or None where unknown.
        body: The vehicle's attitude as its sensors see it, of a camera that looks straight down; None where unknown.
        level_only: `body` has a heading only; roll and pitch are not measured.
        height_m: Height above ground as the sensors see it, or None where unknown.
        vehicle: True position of the vehicle, or None where unknown.
        view: True ground point in the middle of the picture, or None where unknown.
        odometry: Of the same moment, or None where there is none.
    """

    time_s: float
    name: str
    image: NDArray[np.uint8]
    intrinsics: Intrinsics | None
    body: Attitude | None
    level_only: bool
    height_m: float | None
    vehicle: LatLon | None
    view: LatLon | None
    odometry: Odometry | None = None


class ShotSource(Protocol):
    """A flight that can be played.

    Attributes:
        times_s: Of every shot, since the start of the flight.
    """

    times_s: tuple[float, ...]

    def shot(self, index: int) -> Shot:
        """The shot of that number.

        Raises:
            LkpanError: Its picture cannot be read.
        """


class FlightFolder:
    """A recorded flight: flight.csv and its pictures.

    Args:
        path: The CSV or its folder.
        focal_px: Focal length in pixels; 0: unknown.
        hfov_deg: Horizontal field of view in degrees, used where there is no focal length; 0: unknown.

    Raises:
        FlightError: The CSV cannot be read.
    """

    def __init__(self, path: Path, focal_px: float = 0.0, hfov_deg: float = 0.0) -> None:
        self._records = read_flight(path)
        self._focal_px = focal_px
        self._hfov_deg = hfov_deg
        start_s = self._records[0].stamp_s
        self.times_s = tuple(record.stamp_s - start_s for record in self._records)

    def shot(self, index: int) -> Shot:
        """The record of that number with its picture."""
        record = self._records[index]
        image = read_image(record.file)
        return Shot(
            time_s=self.times_s[index],
            name=str(record.file),
            image=image,
            intrinsics=self._intrinsics(image.shape[1], image.shape[0]),
            body=_heading_only(record),
            level_only=True,
            height_m=record.height_m,
            vehicle=record.vehicle,
            view=record.view_truth,
        )

    def _intrinsics(self, width_px: int, height_px: int) -> Intrinsics | None:
        if self._focal_px > 0.0:
            return Intrinsics.from_focal_length(width_px, height_px, self._focal_px)
        if self._hfov_deg > 0.0:
            return Intrinsics.from_field_of_view(width_px, height_px, self._hfov_deg)
        return None


class SimulatedFlight:
    """A flight over the built-in world, which is made first and takes some seconds.

    Args:
        scenario: World and flight.
        odometry: Whether the vehicle has one.
    """

    def __init__(self, scenario: Scenario, *, odometry: bool = False) -> None:
        self._flight = scenario.flight
        self._odometry = DriftingOdometry(self._flight) if odometry else None
        self.times_s = self._flight.times_s

    def shot(self, index: int) -> Shot:
        """Render the frame of that number."""
        frame = self._flight[index]
        return Shot(
            time_s=frame.stamp_s,
            name=f"simulated frame {index}",
            image=frame.image,
            intrinsics=self._flight.camera.intrinsics,
            body=frame.body,
            level_only=False,
            height_m=frame.height_m,
            vehicle=frame.vehicle,
            view=frame.view,
            odometry=None if self._odometry is None else self._odometry.at(frame.stamp_s),
        )


def play(source: ShotSource, start_s: float, end_s: float, limit: int) -> Iterator[int]:
    """Numbers of the shots within a stretch of a flight, at most `limit` of them (0: all)."""
    played = 0
    for index, time_s in enumerate(source.times_s):
        if start_s <= time_s and (end_s <= 0.0 or time_s <= end_s) and (limit == 0 or played < limit):
            played += 1
            yield index


def _heading_only(record: FlightRecord) -> Attitude | None:
    return None if record.heading_deg is None else Attitude(0.0, record.heading_deg)
