"""Does what is told beside the pictures contradict them?

GNSS that is jammed, spoofed or led away slowly does. While the track is sure of itself, a prior that leaves no room for it is not
used: the pictures win, and the disagreement is told. Before there is a track, and after it is lost, the prior counts.

So does a wrong height or focal length: then the map shows the ground in another size than it should have.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import PLACE, SensorErrors
from lkpan_ros.localization.geodesy import distance_m
from lkpan_ros.localization.integrity import most_probable_place

if TYPE_CHECKING:
    from lkpan_ros.localization.belief import Belief
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.geodesy import LocalFrame
    from lkpan_ros.localization.integrity import Place
    from lkpan_ros.localization.lever import Lever
    from lkpan_ros.localization.types import Prior

_DOUBTFUL_SIGMAS = 1.7
_SURE = 0.9  # mass from which on the track is believed rather than the prior


def prior_conflict(
    prior: Prior | None, belief: Belief, frame: LocalFrame, radius_m: float, offset_sigma_m: float
) -> str:
    """What contradicts a prior, in words; empty: nothing does.

    Args:
        prior: Of the vehicle.
        belief: Of the same moment, from the frames before.
        frame: Of the belief.
        radius_m: What the track's statements are meant to be right within (`gate.radius_m`).
        offset_sigma_m: Standard deviation of the vehicle about what the belief is of; 0 where that is the vehicle.
    """
    place = None if prior is None else most_probable_place(belief, radius_m)
    if prior is None or place is None or place.mass < _SURE:
        return ""
    sigma_m = math.sqrt(float(np.linalg.eigvalsh(place.covariance[PLACE, PLACE])[-1]) + offset_sigma_m**2)
    apart_m = distance_m(prior.position, frame.point(*(float(x) for x in place.mean[PLACE])))
    if apart_m <= prior.radius_m + radius_m + 3.0 * sigma_m:
        return ""
    return (
        f"prior_fix (within {prior.radius_m:.0f} m) lies {apart_m:.0f} m from where the pictures have the vehicle "
        f"(within {radius_m + 3.0 * sigma_m:.0f} m): it is not used"
    )


def contradicts_height(place: Place, lever: Lever, config: LocalizerConfig) -> bool:
    """Whether the map shows the ground in another size than it should have by the height and tilt that are sensed.

    A wrong height or tilt would move the vehicle, a wrong focal length would not: nothing tells which it is. So the vehicle is not
    stated long before the sensors' own errors become impossible.

    Args:
        place: Where the vehicle most probably is.
        lever: From it to the middle of the view.
        config: Of the localizer.
    """
    errors = SensorErrors.of(config.view, heading_known=False)
    sigma = math.hypot(lever.stretch_sigma(errors), config.registration.scale_sigma)
    return abs(lever.stretch(place.mean)) > _DOUBTFUL_SIGMAS * sigma


def height_conflict(belief: Belief, lever: Lever, config: LocalizerConfig) -> str:
    """What contradicts height, tilt and focal length, in words; empty: nothing does."""
    place = most_probable_place(belief, config.gate.radius_m)
    if place is None or place.mass < _SURE or not contradicts_height(place, lever, config):
        return ""
    return (
        f"the map shows the ground {1.0 + lever.stretch(place.mean):.2f} times as large as height, tilt and focal length say: "
        "check height above ground, attitude and camera_info; until then fixes are of the view"
    )
