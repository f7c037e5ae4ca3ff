"""Notices a camera that repeats one picture under new stamps while the vehicle moves.

A driver, an encoder or a link that hangs does that. The picture is found where it was taken, again and again, by a
localizer that is surer each time, while the vehicle flies on. The noise of a sensor never repeats, so equality to
the last bit is enough to tell; but a simulated camera has none, and may hang in the air: what says that the
vehicle has moved meanwhile must come from elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import RATE
from lkpan_ros.localization.types import Reason, Refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief
    from lkpan_ros.localization.types import Frame

# Beyond what sensors of a vehicle that stands still say.
_MOVED_M = 3.0
_TURNED_DEG = 1.5
_ODOMETRY_MOVED_M = 1.0


class FrozenPicture:
    """Remembers when the picture that is shown was new."""

    def __init__(self) -> None:
        self._new: Frame | None = None
        self._speed_mps = 0.0

    def check(self, frame: Frame, belief: Belief) -> None:
        """Look at the next frame.

        Args:
            frame: Later than those before.
            belief: Before the frame; how fast the vehicle moves is taken from the frame before a picture repeats.

        Raises:
            Refusal: BAD_IMAGE: its picture is that of an earlier frame, and the vehicle has moved since.
        """
        new = self._new
        if new is None or not np.array_equal(new.image, frame.image):
            self._new, self._speed_mps = frame, _speed_mps(belief)
            return
        elapsed_s = frame.stamp_s - new.stamp_s
        if moved := _moved(new, frame, self._speed_mps * elapsed_s):
            raise Refusal(
                Reason.BAD_IMAGE,
                f"the picture has been the same to the last bit for {elapsed_s:.1f} s although {moved}: "
                "the camera is frozen",
            )


def _moved(before: Frame, now: Frame, way_m: float) -> str:
    """What says that the vehicle has moved between two frames; empty: nothing does."""
    if before.odometry is not None and now.odometry is not None:
        step_m = math.dist(before.odometry.position_m, now.odometry.position_m)
        if step_m > _ODOMETRY_MOVED_M:
            return f"odometry has moved by {step_m:.1f} m"
    if before.attitude is not None and now.attitude is not None:
        turned_deg = _angle_deg(before.attitude.rotation(), now.attitude.rotation())
        alike = (before.attitude.heading_deg is None) == (now.attitude.heading_deg is None)
        if turned_deg > _TURNED_DEG and alike:
            return f"the camera has turned by {turned_deg:.1f} degrees"
    if way_m > _MOVED_M:
        return f"the vehicle was moving and should have gone {way_m:.0f} m"
    return ""


def _speed_mps(belief: Belief) -> float:
    """Of the heaviest hypothesis, less a standard deviation."""
    if len(belief) == 0:
        return 0.0
    best = int(belief.weight.argmax())
    deviation = math.sqrt(max(float(np.linalg.eigvalsh(belief.covariance[best, RATE, RATE])[-1]), 0.0))
    return max(0.0, float(np.hypot(*belief.mean[best, RATE])) - deviation)


def _angle_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Between two rotations, degrees."""
    cosine = (float(np.trace(one.T @ other)) - 1.0) / 2.0
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
