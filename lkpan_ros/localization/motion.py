"""How a vehicle moves between two frames: by odometry where there is any, else as far as its speed allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import SensorErrors
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.kalman import astray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.bayes_filter import BayesFilter
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.types import Frame, Odometry

_COMPASS_MEMORY_S = 60.0
_ODOMETRY_DRIFT_DPS = 1.0  # of its heading, degrees per square root of a second
_ODOMETRY_JITTER_M = 0.1


class Motion:
    """Lets a filter's time pass from frame to frame."""

    def __init__(self) -> None:
        self._before: Frame | None = None

    def advance(self, place: BayesFilter, frame: Frame, config: LocalizerConfig) -> None:
        """Predict up to a frame, which is later than those before."""
        before, self._before = self._before, frame
        if before is None:
            return
        elapsed_s = frame.stamp_s - before.stamp_s
        errors = SensorErrors.of(config.view, heading_known=before.heading_deg is not None)
        # What a hypothesis knows is the heading's error as long as a heading is sensed, else the heading itself.
        compared = None not in (before.heading_deg, frame.heading_deg)
        turn_deg = 0.0 if compared else (before.heading_deg or 0.0) - (frame.heading_deg or 0.0)
        drift: NDArray[np.float64] | float = config.filter.turn_rate_sigma_dps
        if compared and errors.heading_deg is not None:
            # From right to wrong by its own error within the memory; one that is broken tells nothing.
            working = errors.heading_deg * math.sqrt(2.0 / _COMPASS_MEMORY_S)
            drift = np.where(astray(place.belief, errors.heading_deg), drift, working)
        if before.odometry is None or frame.odometry is None:
            place.predict(elapsed_s, errors, turn_deg=turn_deg, turn_sigma_deg=drift * math.sqrt(elapsed_s))
        else:
            step_m, yaw_deg = _between(before.odometry, frame.odometry)
            headings = place.belief.turn_deg + (_heading(before) or 0.0)
            place.predict(
                elapsed_s,
                errors,
                displacement_m=_towards(step_m, headings),
                displacement_sigma_m=config.filter.odometry_sigma_ratio * math.hypot(*step_m)
                + _ODOMETRY_JITTER_M,
                turn_deg=turn_deg - (0.0 if compared else yaw_deg),
                turn_sigma_deg=np.minimum(drift, _ODOMETRY_DRIFT_DPS) * math.sqrt(elapsed_s),
            )
        if compared:
            place.let_compass_recover(-math.expm1(-elapsed_s / _COMPASS_MEMORY_S), errors)
        if before.heading_deg is None and frame.heading_deg is not None:
            place.hear_heading(SensorErrors.of(config.view, heading_known=True))


def _heading(frame: Frame) -> float | None:
    """Of the vehicle, to whose right the right of the picture points, however it pitches and banks."""
    if frame.attitude is None or frame.attitude.heading_deg is None:
        return None
    right = frame.attitude.rotation()[:, 0]
    return math.degrees(math.atan2(right[0], right[1])) - 90.0


def _between(before: Odometry, now: Odometry) -> tuple[NDArray[np.float64], float]:
    """The way forward and to the left, metres, seen from the first pose, and the turn to the left, degrees."""
    yaw_before, yaw_now = (math.atan2(o.rotation[1, 0], o.rotation[0, 0]) for o in (before, now))
    c, s = math.cos(yaw_before), math.sin(yaw_before)
    east, north = (now.position_m - before.position_m)[:2]
    turn = math.degrees(yaw_now - yaw_before)
    return np.array([c * east + s * north, -s * east + c * north]), wrap_degrees(turn)


def _towards(step_m: NDArray[np.float64], heading_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """A way forward and to the left as east and north, (K, 2), under each of (K,) headings."""
    heading = np.radians(heading_deg)
    forward = np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    left = np.stack([-np.cos(heading), np.sin(heading)], axis=-1)
    steps: NDArray[np.float64] = forward * step_m[0] + left * step_m[1]
    return steps
