"""Short ways to say what a frame says and what is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.localization.belief import HEIGHT, PLACE, STATES, TURN, Belief, Evidence, SensorErrors
from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.types import GroundView
from lkpan_ros.localization.view import Pose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


NO_HEADING = SensorErrors(heading_deg=None, height_ratio=0.05, tilt_deg=2.0)
NO_LEVER = Lever(np.zeros(2), np.zeros((2, 2)), np.zeros(2))  # the view stands for the vehicle


def evidence(
    *places: Sequence[float],
    sigma_m: float = 2.0,
    turn_deg: Sequence[float] | None = None,
    turn_sigma_deg: float = 2.0,
    stretch: float = 0.0,
    stretch_sigma: float = 1.0,
    sought: bool = False,
    prior: float = 1.0,
    lever: Lever = NO_LEVER,
    errors: SensorErrors = NO_HEADING,
) -> Evidence:
    """Alternatives as (east, north, odds) of the view; the rest is the same for all of them."""
    table = np.array(places, float).reshape(-1, 3)
    count = len(table)
    return Evidence(
        odds=table[:, 2],
        sought=np.full(count, sought),
        prior=np.full(count, prior),
        view_m=table[:, :2],
        covariance_m2=np.tile(np.eye(2) * sigma_m**2, (count, 1, 1)),
        turn_deg=np.zeros(count) if turn_deg is None else np.array(turn_deg, float),
        turn_sigma_deg=np.full(count, turn_sigma_deg),
        stretch=np.full(count, stretch),
        stretch_sigma=np.full(count, stretch_sigma),
        lever=lever,
        errors=errors,
    )


def believed(
    *hypotheses: Sequence[float],
    sigma_m: float = 5.0,
    rate_sigma_mps: float = 2.0,
    turn_sigma_deg: float = 2.0,
    height_sigma: float = 0.05,
    tilt_sigma_deg: float = 2.0,
    track: Sequence[int] | None = None,
) -> Belief:
    """Hypotheses as (weight, east, north) or (weight, east, north, turn); what is left of 1 is elsewhere.

    Nothing in one state says anything of another; each is a track of its own unless tracks are given.
    """
    table = np.array([(*h, 0.0)[:4] for h in hypotheses], float).reshape(-1, 4)
    count = len(table)
    mean = np.zeros((count, STATES))
    mean[:, PLACE], mean[:, TURN] = table[:, 1:3], table[:, 3]
    sigma = [sigma_m] * 2 + [rate_sigma_mps] * 2 + [turn_sigma_deg, height_sigma] + [tilt_sigma_deg] * 2
    covariance = np.tile(np.diag(np.square(sigma)), (count, 1, 1))
    elsewhere = max(0.0, 1.0 - float(table[:, 0].sum()))
    tracks = np.arange(count) if track is None else np.array(track, np.int64)
    return Belief(table[:, 0], mean, covariance, tracks, elsewhere)


def states(**errors: float) -> NDArray[np.float64]:
    """(1, STATES) of a vehicle in the middle: east, north, turn, height, pitch, roll."""
    rows = {"east": 0, "north": 1, "turn": TURN, "height": HEIGHT, "pitch": 6, "roll": 7}
    state: NDArray[np.float64] = np.zeros((1, STATES))
    for name, value in errors.items():
        state[0, rows[name]] = value
    return state


def pose_of(attitude: Attitude, height_m: float = 100.0) -> Pose:
    """Of a camera above the ground, all of it known."""
    return Pose(Intrinsics.from_field_of_view(320, 240, 70.0), attitude, height_m, placed=True)


def lever_of(attitude: Attitude, height_m: float = 100.0) -> Lever:
    """Of such a camera."""
    return Lever.of(view_from(pose_of(attitude, height_m)))


def view_from(pose: Pose, *, heading_known: bool = True) -> GroundView:
    """What it shows, which is nothing."""
    patch, mask = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.bool_)
    turn_deg = 0.0 if heading_known else pose.attitude.heading_deg or 0.0
    return GroundView(patch, mask, heading_known, pose.offset_m(), pose, turn_deg)


def everywhere(view_m: NDArray[np.float64]) -> NDArray[np.bool_]:
    """All of it lies on the map."""
    return np.ones(len(view_m), np.bool_)


def nowhere(view_m: NDArray[np.float64]) -> NDArray[np.bool_]:
    """None of it lies on the map."""
    return np.zeros(len(view_m), np.bool_)


def mass_near(belief: Belief, place_m: Sequence[float], radius_m: float = 30.0) -> float:
    """Weight of the hypotheses about a place."""
    near = np.hypot(*(belief.mean[:, PLACE] - place_m).T) <= radius_m
    return float(belief.weight[near].sum())


def fields_of(belief: Belief) -> list[Any]:
    """Its numbers, to be compared."""
    return [np.asarray(value).tolist() for value in vars(belief).values()]
