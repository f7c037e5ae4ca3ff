"""Short ways to say what a frame says and what is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.localization.belief import Belief, Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def evidence(
    *places: Sequence[float],
    sigma_m: float = 2.0,
    turn_deg: Sequence[float] | None = None,
    turn_sigma_deg: float = 2.0,
) -> Evidence:
    """Alternatives as (east, north, odds)."""
    table = np.array(places, float).reshape(-1, 3)
    count = len(table)
    return Evidence(
        odds=table[:, 2],
        position_m=table[:, :2],
        covariance_m2=np.tile(np.eye(2) * sigma_m**2, (count, 1, 1)),
        turn_deg=np.zeros(count) if turn_deg is None else np.array(turn_deg, float),
        turn_sigma_deg=np.full(count, turn_sigma_deg),
    )


def believed(
    *hypotheses: Sequence[float],
    sigma_m: float = 5.0,
    rate_sigma_mps: float = 2.0,
    turn_sigma_deg: float = 2.0,
) -> Belief:
    """Hypotheses as (weight, east, north) or (weight, east, north, turn); what is left of 1 is elsewhere."""
    table = np.array([(*h, 0.0)[:4] for h in hypotheses], float).reshape(-1, 4)
    count = len(table)
    mean = np.zeros((count, 4))
    mean[:, :2] = table[:, 1:3]
    covariance = np.tile(np.diag([sigma_m**2] * 2 + [rate_sigma_mps**2] * 2), (count, 1, 1))
    elsewhere = max(0.0, 1.0 - float(table[:, 0].sum()))
    return Belief(table[:, 0], mean, covariance, table[:, 3], np.full(count, turn_sigma_deg), elsewhere)


def everywhere(belief: Belief) -> NDArray[np.bool_]:
    """All of it lies on the map."""
    return np.ones(len(belief), np.bool_)


def nowhere(belief: Belief) -> NDArray[np.bool_]:
    """None of it lies on the map."""
    return np.zeros(len(belief), np.bool_)


def mass_near(belief: Belief, place_m: Sequence[float], radius_m: float = 30.0) -> float:
    """Weight of the hypotheses about a place."""
    near = np.hypot(*(belief.mean[:, :2] - place_m).T) <= radius_m
    return float(belief.weight[near].sum())


def fields_of(belief: Belief) -> list[Any]:
    """Its numbers, to be compared."""
    return [np.asarray(value).tolist() for value in vars(belief).values()]
