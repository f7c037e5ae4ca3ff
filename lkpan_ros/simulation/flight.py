"""A flight of a simulated camera over a ground, with the truth and with what the vehicle's sensors say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
from scipy.spatial.transform import Rotation

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.simulation.camera import CameraPose, Faults, SimulatedCamera
from lkpan_ros.simulation.trajectory import Loop, Wander

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.geodesy import LatLon
    from lkpan_ros.simulation.ground import Ground
    from lkpan_ros.simulation.trajectory import Way

_EDGE_M = 75.0  # the middle of the view keeps this far within the ground
_AROUND_M = 60.0  # and so much about it should be known
_LOOPS = 60  # tried over a map that is not known everywhere
_GUST_S = (2.0, 20.0)
_DRIFT_S = (20.0, 300.0)


@dataclass(frozen=True)
class FlightSettings:
    """How it is flown.

    Attributes:
        seconds: Duration.
        rate_hz: Pictures per second.
        speed_mps: Over ground.
        height_m: Above ground, on average.
        tilt_deg: Of the camera from straight down towards the vehicle's front when the vehicle is level, 0..80.
        wind: Strength of the gusts: 0 none, 1 a breeze that moves roll and pitch by 1.5 degrees, heading by 3
            degrees and height by 2 m (standard deviations).
        sensor_error: 0: sensors say the truth; 1: roll and pitch are off by 0.8 degrees, heading by 2.5 degrees,
            height by 2 % and 1 m (standard deviations of a bias and a drift together).
    """

    seconds: float = 150.0
    rate_hz: float = 3.0
    speed_mps: float = 12.0
    height_m: float = 120.0
    tilt_deg: float = 25.0
    wind: float = 1.0
    sensor_error: float = 1.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            least = 0.0 if entry.name in {"tilt_deg", "wind", "sensor_error", "speed_mps"} else 1e-3
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{entry.name} = {value}: give a number of {least:g} or more")
        if self.tilt_deg > 80.0:
            raise ValueError(f"tilt_deg = {self.tilt_deg}: give 0..80, from straight down")

    @property
    def count(self) -> int:
        """Number of pictures, the first at time 0."""
        return max(1, math.floor(self.seconds * self.rate_hz + 1e-9))


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """One picture, the truth about it, and what the vehicle's sensors say.

    Attributes:
        stamp_s: Since the start of the flight.
        image: H x W x 3 uint8, RGB.
        pose: Of the camera in the ground's frame, true.
        vehicle: True position of the vehicle, which is the camera's.
        view: True ground point in the middle of the picture (where the optical axis meets the flat ground), or None
            where that is beyond the ground's raster.
        attitude: Of the camera, as the sensors see it.
        body: The same of a camera that looks straight down from the vehicle; nearly level, its tilt may point
            anywhere, so its heading is not the vehicle's.
        heading_deg: Of the vehicle, as the sensors see it, 0..360 clockwise from north.
        height_m: Above the ground, as the sensors see it.
    """

    stamp_s: float
    image: NDArray[np.uint8]
    pose: CameraPose
    vehicle: LatLon
    view: LatLon | None
    attitude: Attitude
    body: Attitude
    heading_deg: float
    height_m: float


@dataclass(frozen=True, eq=False)
class _Body:
    """Heading (clockwise from north), pitch (nose down) and roll (right side down) of a vehicle, degrees."""

    heading_deg: float
    pitch_deg: float
    roll_deg: float

    def camera(self, mount_tilt_deg: float) -> Attitude:
        """The attitude of a camera on the vehicle (its axes, REP-103: forward, left, up)."""
        angles = [90.0 - self.heading_deg, self.pitch_deg, self.roll_deg]
        rotation = Rotation.from_euler("ZYX", angles, degrees=True).as_matrix()
        return Attitude.on_body(rotation, mount_tilt_deg)


@dataclass(frozen=True, eq=False)
class Flight(Sequence[SimulatedFrame]):
    """The frames of a flight, rendered when asked for, in any order; the same seed gives the same bytes.

    Attributes:
        ground: What is flown over.
        camera: What takes the pictures.
        settings: How it is flown.
        seed: Of the way, the wind, the sensors' errors and the pictures' noise.
        way: Where it is flown; None: a loop of the seed within the ground.
    """

    ground: Ground
    camera: SimulatedCamera
    settings: FlightSettings = field(default_factory=FlightSettings)
    seed: int = 0
    way: Way | None = None

    def __len__(self) -> int:
        return self.settings.count

    @cached_property
    def times_s(self) -> tuple[float, ...]:
        """When each picture is taken, since the start of the flight."""
        return tuple(index / self.settings.rate_hz for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> SimulatedFrame: ...
    @overload
    def __getitem__(self, index: slice) -> list[SimulatedFrame]: ...
    def __getitem__(self, index: int | slice) -> SimulatedFrame | list[SimulatedFrame]:
        if isinstance(index, slice):
            return [self._frame(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a flight of {len(self)}")
        return self._frame(index % len(self))

    def pose(self, time_s: float) -> CameraPose:
        """Where the camera truly is at a time, and how it is turned."""
        east, north, _ = self._way.at(self.settings.speed_mps * time_s)
        height = self.settings.height_m + self._winds["height"].at(time_s)
        attitude = self._body(time_s).camera(self.settings.tilt_deg)
        return CameraPose(east, north, max(height, 0.2 * self.settings.height_m), attitude)

    def _frame(self, index: int) -> SimulatedFrame:
        time_s = self.times_s[index]
        pose, frame, errors = self.pose(time_s), self.ground.frame, self._errors
        centre = pose.view_centre_m()
        seen = centre is not None and self.ground.contains(*centre)
        true = self._body(time_s)
        sensed = _Body(
            true.heading_deg + errors["heading"].at(time_s),
            true.pitch_deg + errors["pitch"].at(time_s),
            true.roll_deg + errors["roll"].at(time_s),
        )
        faults = self.camera.faults
        exposure = faults.exposure * (1.0 + self._winds["exposure"].at(time_s))
        picture = self._flawless.render(self.ground, pose)
        return SimulatedFrame(
            stamp_s=time_s,
            image=replace(faults, exposure=exposure).apply(picture, self.seed * 1_000_003 + index),
            pose=pose,
            vehicle=frame.point(pose.east_m, pose.north_m),
            view=frame.point(*centre) if centre is not None and seen else None,
            attitude=sensed.camera(self.settings.tilt_deg),
            body=sensed.camera(0.0),
            heading_deg=sensed.heading_deg % 360.0,
            height_m=pose.height_m * (1.0 + errors["scale"].mean) + errors["height"].at(time_s),
        )

    def _body(self, time_s: float) -> _Body:
        """The vehicle's true attitude."""
        _, _, track = self._way.at(self.settings.speed_mps * time_s)
        winds = self._winds
        return _Body(track + winds["heading"].at(time_s), winds["pitch"].at(time_s), winds["roll"].at(time_s))

    @cached_property
    def _flawless(self) -> SimulatedCamera:
        """The camera without its faults, which change from frame to frame."""
        return replace(self.camera, faults=Faults())

    @cached_property
    def _way(self) -> Way:
        return self._loop() if self.way is None else self.way

    def _loop(self) -> Loop:
        rng = np.random.default_rng([self.seed, 0xF1])
        ahead = self.settings.height_m * math.tan(math.radians(self.settings.tilt_deg))
        width, depth = self.ground.size_m
        half = np.array([max(side / 2 - ahead - _EDGE_M, 0.1 * side) for side in (width, depth)])
        centre = np.array([self.ground.west_m + width / 2, self.ground.north_m - depth / 2])
        loop = Loop.random(rng, centre, half)
        if self.ground.known is None:
            return loop
        tried = [loop]  # a map has holes and ragged edges: smaller loops elsewhere may lie better
        for _ in range(_LOOPS):
            share = rng.uniform(0.25, 1.0, 2)
            tried.append(Loop.random(rng, centre + rng.uniform(-1, 1, 2) * (1 - share) * half, share * half))
        return max(tried, key=lambda loop: self._share_known(loop, ahead))

    def _share_known(self, loop: Loop, ahead_m: float) -> float:
        """How much of what is to be flown shows known ground."""
        length = self.settings.speed_mps * self.times_s[-1]
        views = []
        for distance in np.arange(0.0, length + 1.0, 20.0):
            east, north, heading = loop.at(float(distance))
            turn = math.radians(heading)
            views.append((east + ahead_m * math.sin(turn), north + ahead_m * math.cos(turn)))
        about = (
            (0, 0),
            (-_AROUND_M, -_AROUND_M),
            (-_AROUND_M, _AROUND_M),
            (_AROUND_M, -_AROUND_M),
            (_AROUND_M, _AROUND_M),
        )
        return float(np.mean([self.ground.contains(e + x, n + y) for e, n in views for x, y in about]))

    @cached_property
    def _winds(self) -> dict[str, Wander]:
        """What the air does to the vehicle, and clouds to the exposure."""
        rng = np.random.default_rng([self.seed, 0xA1])
        sigmas = {"roll": 1.5, "pitch": 1.5, "heading": 3.0, "height": 2.0, "exposure": 0.06}
        return {
            name: Wander.random(rng, sigma * self.settings.wind, _GUST_S) for name, sigma in sigmas.items()
        }

    @cached_property
    def _errors(self) -> dict[str, Wander]:
        """By how much the sensors are wrong."""
        rng, share = np.random.default_rng([self.seed, 0xE4]), self.settings.sensor_error
        sigmas = {"roll": (0.5, 0.6), "pitch": (0.5, 0.6), "heading": (1.5, 2.0), "height": (1.0, 0.0)}
        errors = {
            name: Wander.random(rng, drift * share, _DRIFT_S, bias * share)
            for name, (drift, bias) in sigmas.items()
        }
        return errors | {"scale": Wander.random(rng, 0.0, _DRIFT_S, 0.02 * share)}
