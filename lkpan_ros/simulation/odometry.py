"""The odometry of a simulated vehicle: dead reckoning whose scale is a little off and whose heading drifts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.types import Odometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.simulation.flight import Flight

_STEP_S = 0.2  # a straight line between two of them is off by a centimetre in a turn


@dataclass(frozen=True, eq=False)
class DriftingOdometry:
    """Where odometry has the vehicle at any time of a flight; the same flight gives the same.

    Its frame stands where the vehicle is at the start, x to its front there, z up.

    Attributes:
        flight: Of which; its seed draws the errors.
        scale_sigma: Standard deviation of the scale's error, as a share.
        heading_drift_dps: Standard deviation of the rate at which the heading drifts, degrees a second.
    """

    flight: Flight
    scale_sigma: float = 0.01
    heading_drift_dps: float = 0.03

    def at(self, time_s: float) -> Odometry:
        """The odometry of a time, from the start of the flight (0) to a second after its end."""
        times_s, track_m = self._track
        position_m = np.array([np.interp(time_s, times_s, axis) for axis in track_m.T], np.float64)
        return Odometry(position_m, self._turn(time_s).as_matrix() @ self._body(time_s))

    @cached_property
    def _errors(self) -> tuple[float, float]:
        """Scale, and rate of the heading's drift in radians a second."""
        rng = np.random.default_rng([self.flight.seed, 0x0D])
        scale = 1.0 + float(rng.normal(0.0, self.scale_sigma))
        return scale, math.radians(float(rng.normal(0.0, self.heading_drift_dps)))

    @cached_property
    def _track(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times, and (N, 3) positions: the true steps, each scaled and turned by the drift of its time."""
        end_s = self.flight.times_s[-1] + 1.0 + _STEP_S
        times_s = np.asarray(np.arange(0.0, end_s, _STEP_S), np.float64)
        poses = [self.flight.pose(float(time_s)) for time_s in times_s]
        true_m = np.array([[pose.east_m, pose.north_m, pose.height_m] for pose in poses])
        turns = Rotation.concatenate([self._turn(float(time_s)) for time_s in times_s[1:]])
        steps = self._errors[0] * turns.apply(np.diff(true_m, axis=0))
        track_m = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        return times_s, np.asarray(track_m, np.float64)

    def _turn(self, time_s: float) -> Rotation:
        """From east and north to the odometry's axes, as its heading has drifted by then."""
        forward = self._start[:, 0]
        yaw = math.atan2(float(forward[1]), float(forward[0]))
        return Rotation.from_rotvec([0.0, 0.0, self._errors[1] * time_s - yaw])

    @cached_property
    def _start(self) -> NDArray[np.float64]:
        return self._body(0.0)

    def _body(self, time_s: float) -> NDArray[np.float64]:
        """ENU from the vehicle's body, true: what is left of the camera's attitude without its mount."""
        mount = Attitude.on_body(np.eye(3), self.flight.settings.tilt_deg).rotation()
        world_from_body: NDArray[np.float64] = self.flight.pose(time_s).attitude.rotation() @ mount.T
        return world_from_body
