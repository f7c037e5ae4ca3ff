"""From registrations to evidence: what a frame says of the vehicle's place, in odds and with honest errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.localization.belief import Evidence
from lkpan_ros.localization.config import PATCH_PX
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.view import drawn_turn_deg, turned_clockwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import GroundView, Registrations

    Array = NDArray[np.float64]

_MOST_LOG_ODDS = 5.0  # no single frame is surer than that: the calibration has not seen enough of them


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a frame says.

    Attributes:
        evidence: Of the place of the vehicle, or of the view's where the geometry is unknown.
        offset_m: (N, 2) float64, from the vehicle to the middle of the view, under each alternative; 0 where unknown.
    """

    evidence: Evidence
    offset_m: Array


def log_odds(
    quality: Array, similarity: NDArray[np.floating[Any]], level: float, config: LocalizerConfig
) -> Array:
    """Of each registration being right against none of them, (N,) float64.

    How similar foreign tiles are and how well a view fits by chance depends on the map, the camera and the day, so both
    levels are the frame's own.

    Args:
        quality: (N,) float64, of the registrations; most of them are wrong, so their median is what chance gives.
        similarity: (N,) of the tiles that they lie about.
        level: Mean similarity of the frame's candidates.
        config: Its sections `similarity` and `registration` are used.
    """
    by_look = (np.asarray(similarity, np.float64) - level - config.similarity.none_of_these) / (
        config.similarity.temperature
    )
    chance = float(np.median(quality)) if len(quality) else 0.0
    by_fit = config.registration.quality_slope * (quality - chance)
    odds: Array = by_look + by_fit
    # All by as much, so that the bound on the best does not raise the others to it.
    return odds - max(0.0, float(odds.max(initial=-np.inf)) - _MOST_LOG_ODDS)


def measure(
    registrations: Registrations,
    views: Sequence[GroundView],
    level: float,
    gallery: Gallery,
    config: LocalizerConfig,
) -> Measurement:
    """The evidence of a frame.

    Args:
        registrations: Of its views.
        views: One for each heading it may have.
        level: Mean similarity of its candidates.
        gallery: That they were registered to.
        config: Of the localizer.
    """
    fit_m = fit_sigma_m(gallery, config)
    turn_sigma = np.where(
        registrations.fitted, config.registration.turn_sigma_deg, config.refinement.turn_step_deg / 2.0
    )
    turn = _turns(registrations, views)
    offset_m: Array = np.zeros((len(turn_sigma), 2))
    if views[0].offset_m is not None:
        offset_m = _offsets(registrations, views, turn_sigma, config)
    odds = log_odds(registrations.quality, registrations.similarity, level, config)
    evidence = Evidence(
        odds=np.exp(odds),
        position_m=registrations.position_m - offset_m,
        covariance_m2=registrations.spread_m2 + np.eye(2) * fit_m**2,
        turn_deg=turn,
        turn_sigma_deg=turn_sigma,
    )
    return Measurement(evidence, offset_m)


def fit_sigma_m(gallery: Gallery, config: LocalizerConfig) -> float:
    """Standard deviation of a registration on each axis, metres."""
    return config.registration.sigma_px * gallery.tile_size_m / PATCH_PX


def _turns(registrations: Registrations, views: Sequence[GroundView]) -> Array:
    """The heading's error where it is sensed, the heading where it is not, (N,) degrees."""
    drawn = np.array([drawn_turn_deg(view) for view in views])
    return wrap_degrees(drawn[registrations.view] + registrations.turn_deg)


def _offsets(
    registrations: Registrations, views: Sequence[GroundView], turn_sigma: Array, config: LocalizerConfig
) -> Array:
    """From the vehicle to the view, (N, 2) metres.

    The sensors' offset, corrected by turn and scale as far as the registration is the better sensor of the two.
    """
    heading, height = config.view.heading_sigma_deg, config.view.height_sigma_ratio
    trust = heading**2 / (heading**2 + turn_sigma**2) if views[0].north_up else np.ones_like(turn_sigma)
    trust_scale = height**2 / (height**2 + config.registration.scale_sigma**2) if height else 0.0
    offsets = []
    for row, view in enumerate(registrations.view):
        offset_m = views[view].offset_m
        assert offset_m is not None
        turned = turned_clockwise(offset_m, float(trust[row] * registrations.turn_deg[row]))
        offsets.append(turned * (1.0 + trust_scale * (registrations.scale[row] - 1.0)))
    return np.array(offsets).reshape(-1, 2)


def remaining_sigmas(*, known_heading: bool, config: LocalizerConfig) -> tuple[float, float]:
    """Standard deviations of heading (degrees) and height (share) once a registration has corrected both."""
    heading_deg = config.registration.turn_sigma_deg
    if known_heading:
        heading_deg = _both(heading_deg, config.view.heading_sigma_deg)
    return heading_deg, _both(config.registration.scale_sigma, config.view.height_sigma_ratio)


def _both(sigma: float, other: float) -> float:
    """Standard deviation of the best of two independent sensors of one thing."""
    return sigma * other / math.hypot(sigma, other)
