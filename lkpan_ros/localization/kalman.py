"""Gaussian hypotheses in motion, corrected by what a frame says: the algebra of the filter (an extended Kalman filter).

Motion is odometry's where there is any, else a velocity that wanders (Ornstein-Uhlenbeck); errors of height and tilt
drift back to none. A frame measures the view, of which the vehicle's place is a lever away, the turn and the scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.belief import (
    HEIGHT,
    NEW_TRACK,
    PLACE,
    RATE,
    STATES,
    TILT,
    TURN,
    Belief,
    Evidence,
    SensorErrors,
)
from lkpan_ros.localization.geodesy import wrap_degrees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.config import FilterSettings

    Array = NDArray[np.float64]

LEAST_WEIGHT = 1e-6  # lighter hypotheses are not kept
_ASTRAY_SIGMAS = 3.0  # what errs by more is broken, not merely inexact
_DIRECTIONS = 8.0  # a sensed heading agrees by chance with one in so many
_COMPASS_FAILS = 0.05  # so often it is far off
_LOOK_DEG = 10.0  # a view is found under a turn that is off by so much
_LEAST_SCALE = 0.1  # of the odds of what is found in another size than a hypothesis expects
_PLACE_M = 15.0  # as far as a place reaches
# How long errors of the sensors last: of the attitude's drift, of the height over ground that rises and falls.
_TILT_MEMORY_S, _HEIGHT_MEMORY_S = 60.0, 20.0


def wandered(belief: Belief, elapsed_s: float, settings: FilterSettings) -> tuple[Array, Array]:
    """Means and covariances after a time of which nothing is known but how fast a vehicle can be."""
    step, noise = _wandering(elapsed_s, settings)
    return belief.mean @ step.T, step @ belief.covariance @ step.T + noise


def displaced(belief: Belief, elapsed_s: float, displacement_m: Array, sigma_m: float) -> tuple[Array, Array]:
    """Means and covariances after a displacement by odometry, which also gives the velocity.

    The displacement was laid out by the heading: where that errs, the vehicle went another way.
    """
    displacement_m = np.broadcast_to(displacement_m, belief.mean[:, PLACE].shape)
    mean, step = belief.mean.copy(), np.tile(np.eye(STATES), (len(belief), 1, 1))
    mean[:, PLACE] += displacement_m
    mean[:, RATE] = displacement_m / elapsed_s
    step[:, PLACE, TURN] = displacement_m[:, ::-1] * (1.0, -1.0) * math.radians(1.0)  # clockwise
    covariance = step @ belief.covariance @ step.transpose(0, 2, 1)
    covariance[:, [0, 1], [0, 1]] += sigma_m**2
    return mean, covariance


def drifted(mean: Array, covariance: Array, elapsed_s: float, errors: SensorErrors) -> tuple[Array, Array]:
    """The same once the errors of height and tilt have drifted, no further than the sensors err."""
    keep = np.ones(STATES)
    keep[HEIGHT] = math.exp(-elapsed_s / _HEIGHT_MEMORY_S)
    keep[TILT] = math.exp(-elapsed_s / _TILT_MEMORY_S)
    sigma = np.zeros(STATES)
    sigma[HEIGHT], sigma[TILT] = errors.height_ratio, errors.tilt_deg
    return mean * keep, covariance * np.outer(keep, keep) + np.diag(sigma**2 * (1.0 - keep**2))


def _wandering(elapsed_s: float, settings: FilterSettings) -> tuple[Array, Array]:
    """Transition and noise, 4 x 4 each, of an Ornstein-Uhlenbeck velocity and its integral."""
    memory_s, sigma = settings.velocity_memory_s, settings.max_speed_mps / 2.0
    ratio = elapsed_s / memory_s
    keep = math.exp(-ratio)
    step = np.eye(STATES)
    step[[0, 1], [2, 3]] = memory_s * (1.0 - keep)
    step[[2, 3], [2, 3]] = keep
    place = (sigma * memory_s) ** 2 * max(0.0, 2.0 * ratio - 3.0 + 4.0 * keep - keep**2)
    both = sigma**2 * memory_s * (1.0 - keep) ** 2
    rate = sigma**2 * (1.0 - keep**2)
    noise = np.diag([place, place, rate, rate, *[0.0] * (STATES - 4)])
    noise[[0, 1, 2, 3], [2, 3, 0, 1]] = both
    return step, noise


def astray(belief: Belief, sigma_deg: float) -> NDArray[np.bool_]:
    """(K,): under which hypotheses the compass, which errs by `sigma_deg` where it works, is broken."""
    off: NDArray[np.bool_] = np.abs(belief.turn_deg) > _ASTRAY_SIGMAS * np.hypot(
        sigma_deg, belief.turn_sigma_deg
    )
    return off


def with_recovery(belief: Belief, share: float, sigma_deg: float) -> Belief:
    """Hypotheses under which the compass is broken, split into those and what they are should it work again.

    A heading taken from the way flown errs by any angle while the vehicle hovers, and no longer once it flies.

    Args:
        belief: Of it those that are astray are meant.
        share: Of their weight that recovers.
        sigma_deg: Of the error of a compass that works.
    """
    off = astray(belief, sigma_deg)
    rows = np.concatenate([np.arange(len(belief)), np.flatnonzero(off)])
    weight, mean, covariance = belief.weight[rows], belief.mean[rows], belief.covariance[rows]
    works = slice(len(belief), None)
    weight[: len(belief)][off] *= 1.0 - share
    weight[works] *= share
    mean[works, TURN] = 0.0
    covariance[works, TURN] = covariance[works, :, TURN] = 0.0
    covariance[works, TURN, TURN] = sigma_deg**2
    return Belief(weight, mean, covariance, belief.track[rows], belief.elsewhere)


def looked_at(belief: Belief, evidence: Evidence) -> NDArray[np.bool_]:
    """(K,): whether the view was laid on the map under the turn of each hypothesis: else it could not be found."""
    if evidence.looks_deg is None:
        return np.ones(len(belief), np.bool_)
    apart = np.abs(wrap_degrees(belief.turn_deg[:, None] - evidence.looks_deg[None])).min(
        axis=1, initial=360.0
    )
    looked: NDArray[np.bool_] = apart <= _LOOK_DEG + belief.turn_sigma_deg
    return looked


def with_heading(belief: Belief, sigma_deg: float) -> Belief:
    """Hypotheses once a heading is sensed: those that it contradicts lose weight, the others their doubt of it."""
    turn, variance = belief.turn_deg, belief.turn_sigma_deg**2 + sigma_deg**2
    odds = np.maximum(_DIRECTIONS * np.exp(-0.5 * np.square(turn) / variance), _COMPASS_FAILS)
    gain = np.where(odds > 1.0, 1.0, 0.0)[:, None] * belief.covariance[:, :, TURN] / variance[:, None]
    mean = belief.mean - gain * turn[:, None]
    covariance = belief.covariance - gain[:, :, None] * gain[:, None, :] * variance[:, None, None]
    total = float((belief.weight * odds).sum()) + belief.elsewhere
    return Belief(belief.weight * odds / total, mean, covariance, belief.track, belief.elsewhere / total)


def likelihoods(belief: Belief, evidence: Evidence, upholding: float) -> Array:
    """K x N: how much each alternative upholds each hypothesis, by view, heading and scale."""
    jacobian = _jacobian(belief.mean, evidence)
    expected = jacobian @ belief.covariance @ jacobian.transpose(0, 2, 1)  # K x 4 x 4
    spread = expected[:, None] + _noise(evidence)[None]  # K x N x 4 x 4
    apart = _innovations(belief.mean, evidence)
    # Scales of poor fits are poor: what contradicts is improbable, not impossible.
    scale = np.exp(-0.5 * np.square(apart[..., 3]) / spread[..., 3, 3])
    spread, apart = spread[..., :3, :3], apart[..., :3]
    solved = np.linalg.solve(spread, apart[..., None])[..., 0]
    squared = np.einsum("kni,kni->kn", apart, solved)
    area = spread[..., 0, 0] * spread[..., 1, 1] - spread[..., 0, 1] ** 2
    # Of a vague hypothesis only that part is upheld which lies at the place.
    part = np.minimum(1.0, _PLACE_M**2 / np.sqrt(np.maximum(area, 1e-9)))
    # What was found without being expected there upholds by more than its odds.
    worth = np.where(evidence.sought, 1.0, upholding) * evidence.odds
    worth = worth[None] * np.maximum(scale, _LEAST_SCALE) * part
    gain: Array = worth * np.exp(-0.5 * np.minimum(squared, 600.0))
    return gain


def _innovations(mean: Array, evidence: Evidence) -> Array:
    """What N alternatives say beyond what K states expect of view, turn and scale, K x N x 4."""
    apart: Array = np.empty((len(mean), len(evidence.odds), 4))
    apart[..., :2] = evidence.view_m[None] - evidence.lever.view_m(mean)[:, None]
    apart[..., 2] = wrap_degrees(evidence.turn_deg[None] - mean[:, None, TURN])
    expected = mean[:, HEIGHT] + mean[:, TILT] @ evidence.lever.stretch_per_tilt
    apart[..., 3] = evidence.stretch[None] - expected[:, None]
    return apart


def _jacobian(mean: Array, evidence: Evidence) -> Array:
    """Of view, turn and scale by K states, K x 4 x STATES."""
    jacobian: Array = np.zeros((len(mean), 4, STATES))
    jacobian[:, :2] = evidence.lever.jacobian(mean)
    jacobian[:, 2, TURN] = jacobian[:, 3, HEIGHT] = 1.0
    jacobian[:, 3, TILT] = evidence.lever.stretch_per_tilt
    return jacobian


def _noise(evidence: Evidence) -> Array:
    """Covariances of view, turn and scale, N x 4 x 4."""
    noise: Array = np.zeros((len(evidence.odds), 4, 4))
    noise[:, :2, :2] = evidence.covariance_m2
    noise[:, 2, 2], noise[:, 3, 3] = evidence.turn_sigma_deg**2, evidence.stretch_sigma**2
    return noise


def corrected_by(belief: Belief, evidence: Evidence, weight: Array) -> Belief:
    """Every hypothesis corrected (Kalman, extended) by every alternative that it gives weight to."""
    parent, cause = np.nonzero(weight > LEAST_WEIGHT * max(float(weight.max(initial=0.0)), 1e-300))
    jacobian = _jacobian(belief.mean, evidence)[parent]
    covariance = belief.covariance[parent]
    across = jacobian @ covariance  # C x 4 x STATES
    spread = across @ jacobian.transpose(0, 2, 1) + _noise(evidence)[cause]
    gain = np.linalg.solve(spread, across).transpose(0, 2, 1)
    apart = _innovations(belief.mean, evidence)[parent, cause]
    mean = belief.mean[parent] + (gain @ apart[..., None])[..., 0]
    mean[:, TURN] = wrap_degrees(mean[:, TURN])
    corrected = covariance - gain @ across
    symmetric = (corrected + corrected.transpose(0, 2, 1)) / 2.0
    return Belief(weight[parent, cause], mean, symmetric, belief.track[parent], 0.0)


def born_of(evidence: Evidence, weight: Array, max_speed_mps: float) -> Belief:
    """A hypothesis where each alternative is, its velocity unknown, its sensors as good as they are said to be."""
    count, errors = len(evidence.odds), evidence.errors
    mean: Array = np.zeros((count, STATES))
    # What is known of a working compass says nothing of a broken one.
    mean[:, TURN], turn_m2 = _both(
        evidence.turn_deg, evidence.turn_sigma_deg, errors.heading_deg, up_to_sigmas=_ASTRAY_SIGMAS
    )
    covariance: Array = np.zeros((count, STATES, STATES))
    covariance[:, TURN, TURN] = turn_m2
    mean[:, HEIGHT:], covariance[:, HEIGHT:, HEIGHT:] = _height_and_tilt(evidence)
    mean[:, PLACE] = evidence.view_m - evidence.lever.offset_m(mean)
    covariance[:, [2, 3], [2, 3]] = (max_speed_mps / 2.0) ** 2
    # Were the lever longer than it is taken to be, the vehicle would be further back.
    back = -evidence.lever.jacobian(mean)
    back[:, [0, 1], [0, 1]] = 0.0
    across = back @ covariance  # N x 2 x STATES
    covariance[:, PLACE, PLACE] = across @ back.transpose(0, 2, 1) + evidence.covariance_m2
    covariance[:, PLACE, TURN:] = across[:, :, TURN:]
    covariance[:, TURN:, PLACE] = across[:, :, TURN:].transpose(0, 2, 1)
    return Belief(weight, mean, covariance, np.full(count, NEW_TRACK), 0.0)


def _height_and_tilt(evidence: Evidence) -> tuple[Array, Array]:
    """Errors of height, pitch and roll by sensors and scale, (N, 3), and their covariance, (N, 3, 3).

    A scale beyond what all of them may err by together is put down to the height: a focal length has the same effect.
    """
    errors, stretch = evidence.errors, evidence.stretch
    known = np.diag([errors.height_ratio, errors.tilt_deg, errors.tilt_deg]) ** 2
    by_state = np.array([1.0, *evidence.lever.stretch_per_tilt])
    across = known @ by_state
    spread = by_state @ across + evidence.stretch_sigma**2
    agree = np.abs(stretch) <= _ASTRAY_SIGMAS * np.sqrt(spread)
    gain = np.where(agree[:, None], across / spread[:, None], (1.0, 0.0, 0.0))
    covariance = known - np.where(agree, 1.0 / spread, 0.0)[:, None, None] * np.outer(across, across)
    covariance[~agree, 0, 0] = evidence.stretch_sigma[~agree] ** 2 + across[1:] @ by_state[1:]
    covariance[~agree, 0, 1:] = covariance[~agree, 1:, 0] = -across[1:]
    return gain * stretch[:, None], covariance


def _both(
    value: Array, sigma: Array, known_sigma: float | None, *, up_to_sigmas: float = math.inf
) -> tuple[Array, Array]:
    """Mean and variance of what is measured and known to be 0 within `known_sigma`.

    Args:
        value: (N,) float64, measured.
        sigma: (N,) float64, of that.
        known_sigma: None: nothing is known.
        up_to_sigmas: What is measured further off contradicts what is known, and counts alone.
    """
    if known_sigma is None:
        return value, sigma**2
    agree = np.abs(value) <= up_to_sigmas * np.hypot(known_sigma, sigma)
    share = np.where(agree, known_sigma**2 / (known_sigma**2 + sigma**2), 1.0)
    return share * value, share * sigma**2
