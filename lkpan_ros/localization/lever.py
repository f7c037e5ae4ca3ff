"""From the vehicle to the middle of its view, and how that way changes with what the sensors err by.

The view is what is found on the map, the vehicle is what is asked for. Between them lies the lever: the height times the
tangent of the tilt, some 120 m at 45 degrees from 120 m. Its errors (heading, height, pitch and roll) are states of the
filter beside the vehicle's place, so that what one frame says of them helps the next, and what no frame says stays in
the covariance. First order in pitch, roll and height; exact in the turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import HEIGHT, PLACE, STATES, TILT, TURN
from lkpan_ros.localization.view import turned_clockwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.belief import Belief, SensorErrors
    from lkpan_ros.localization.types import GroundView
    from lkpan_ros.localization.view import Pose

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lever:
    """The way to the view under a turn of 0; all zero where the geometry is unknown, and the view stands for the vehicle.

    Attributes:
        ahead_m: (2,) float64, east and north, by the sensors.
        per_tilt_m: (2, 2) float64, row 0 what a degree of pitch (axis up) adds, row 1 a degree of roll.
        stretch_per_tilt: (2,) float64, by how much a degree of pitch or of roll stretches the ground about the middle of
            the view, as a share.
    """

    ahead_m: Array
    per_tilt_m: Array
    stretch_per_tilt: Array

    @classmethod
    def of(cls, view: GroundView) -> Lever:
        """Of a frame, by any of its views."""
        if view.offset_m is None:
            return cls(np.zeros(2), np.zeros((2, 2)), np.zeros(2))
        drawn = view.turn_deg
        per_tilt_m, stretch_per_tilt = _per_tilt(view.pose)
        return cls(
            turned_clockwise(view.offset_m, -drawn),
            np.array([turned_clockwise(row, -drawn) for row in per_tilt_m]),
            stretch_per_tilt,
        )

    def offset_m(self, states: Array) -> Array:
        """From the vehicle to the view under (K, STATES) states, (K, 2) metres east and north."""
        ahead: Array = np.einsum("kij,kj->ki", _turns(states[:, TURN]), self._along(states))
        return ahead

    def jacobian(self, states: Array) -> Array:
        """Of the view's place by (K, STATES) states, (K, 2, STATES)."""
        turn, along = _turns(states[:, TURN]), self._along(states)
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])  # derivative of a clockwise turn at 0
        jacobian: Array = np.zeros((len(states), 2, STATES))
        jacobian[:, [0, 1], [0, 1]] = 1.0
        jacobian[:, :, TURN] = np.einsum("kij,jl,kl->ki", turn, quarter, along) * math.radians(1.0)
        jacobian[:, :, HEIGHT] = turn @ self.ahead_m
        jacobian[:, :, TILT] = turn @ self.per_tilt_m.T
        return jacobian

    def view_m(self, states: Array) -> Array:
        """Where states put the middle of the view, (K, 2)."""
        view: Array = states[:, PLACE] + self.offset_m(states)
        return view

    def view_covariance_m2(self, states: Array, covariance: Array) -> Array:
        """Of that, (K, 2, 2), from (K, STATES, STATES)."""
        jacobian = self.jacobian(states)
        view: Array = jacobian @ covariance @ jacobian.transpose(0, 2, 1)
        return view

    def stretch(self, state: Array) -> float:
        """By how much a (STATES,) state says that the ground is larger than the sensors say, as a share."""
        return float(state[HEIGHT] + state[TILT] @ self.stretch_per_tilt)

    def stretch_sigma(self, errors: SensorErrors) -> float:
        """Standard deviation of the ground's size by height and tilt, as a share."""
        by_tilt = errors.tilt_deg * float(np.linalg.norm(self.stretch_per_tilt))
        return math.hypot(errors.height_ratio, by_tilt)

    def seen(self, belief: Belief) -> Belief:
        """What is believed of the view: hypotheses with the middle of the view for their place.

        Hypotheses that differ in tilt put one view's vehicle at places far apart. What the other states say of the place
        is left out.
        """
        mean, covariance = belief.mean.copy(), belief.covariance.copy()
        mean[:, PLACE] = self.view_m(belief.mean)
        covariance[:, PLACE] = covariance[:, :, PLACE] = 0.0
        covariance[:, PLACE, PLACE] = self.view_covariance_m2(belief.mean, belief.covariance)
        return replace(belief, mean=mean, covariance=covariance)

    def _along(self, states: Array) -> Array:
        along: Array = self.ahead_m * (1.0 + states[:, [HEIGHT]]) + states[:, TILT] @ self.per_tilt_m
        return along


def _turns(turn_deg: Array) -> Array:
    """Clockwise turns of (east, north) vectors, (K, 2, 2)."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turns: Array = np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=-2)
    return turns


def _per_tilt(pose: Pose) -> tuple[Array, Array]:
    """What a degree of pitch and of roll adds to a pose's offset, (2, 2), and by how much it stretches the ground, (2,).

    The camera's right names the axes. With `down` the cosine of the tilt, the ground in a pixel is height / down wide
    and height / down² long.
    """
    rotation = pose.attitude.rotation()
    axis, right = rotation[:, 2], rotation[:, 0] * (1.0, 1.0, 0.0)
    right = right / max(float(np.linalg.norm(right)), 1e-9)
    forward = np.array([-right[1], right[0], 0.0])
    change = np.cross([right, forward], axis) * math.radians(1.0)  # of the axis
    down = -axis[2]
    per_tilt_m: Array = pose.height_m * (change[:, :2] / down + axis[:2] * change[:, 2:] / down**2)
    stretch: Array = 1.5 * change[:, 2] / down  # the mean of width and length
    return per_tilt_m, stretch
