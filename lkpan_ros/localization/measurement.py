"""From registrations to evidence: what a frame says of the place of its view, in odds and with honest errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_ros.localization.belief import Evidence, SensorErrors
from lkpan_ros.localization.config import PATCH_PX
from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.lever import Lever
from lkpan_ros.localization.refinement import SCALE_STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.background import Chance
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import GroundView, Registrations

    Array = NDArray[np.float64]

# Standard deviations above foreign places of the tiles that a search brings. A track leads to others too, of which nothing
# was calibrated: what they fall short of that counts half, since a right place may look little alike.
_LEAST_ALIKE, _UNSOUGHT_SHARE = 1.5, 0.5
_WRONG_SHARE = 0.75  # of a frame's registrations, the worst of them
# Below what qualities by chance differ. Most windows have no features that agree, and four agree by chance easily.
_QUALITY_NOISE = {"correlation": 0.005, "features": 0.05}
# Eight headings find more by chance than one: off simulated maps the best of one look in a hundred is e^1.1 surer.
_ANY_HEADING = 1.0 / 3.0
# Where nothing is found for long, the fault may be the heading's, the place's (off the map) or the look's.
_ASTRAY = 1.0 / 3.0
_SCALE_ASTRAY = 0.05  # of another scale than height and focal length say: either may be wrong
_ANY_SCALE = 1.0  # standard deviation where nothing is known
_SAME_M = 15.0  # a place may be found in several windows, and along a road
_MOST_LOG_ODDS = 8.0  # no single frame is surer than that: no more has been seen of them


def log_odds(
    quality: Array,
    similarity: NDArray[np.floating[Any]],
    chance: Chance,
    config: LocalizerConfig,
    sought: NDArray[np.bool_] | None = None,
) -> Array:
    """Of each registration being right against none of them, (N,) float64.

    How similar foreign tiles are and how well a view fits by chance depends on the map, the camera and the day, so both
    are measured in standard deviations of the frame's own.

    Args:
        quality: (N,) float64, of the registrations.
        similarity: (N,) of the tiles that they lie about.
        chance: Similarities of the frame to foreign places.
        config: Its sections `similarity` and `registration` are used.
        sought: (N,) bool, which were found only because they were expected; None: none.
    """
    return _bounded(_unbounded(quality, similarity, chance, config, sought))


def _unbounded(
    quality: Array,
    similarity: NDArray[np.floating[Any]],
    chance: Chance,
    config: LocalizerConfig,
    sought: NDArray[np.bool_] | None,
) -> Array:
    above = chance.exceeded_by(similarity)
    alike = above + _UNSOUGHT_SHARE * np.maximum(_LEAST_ALIKE - above, 0.0) - config.similarity.none_of_these
    found = quality if sought is None else quality[~sought]
    fit = _fit_above_chance(quality, found, _QUALITY_NOISE[config.refinement.method])
    log_odds: Array = alike / config.similarity.temperature + config.registration.quality_slope * fit
    return log_odds


def _bounded(log_odds: Array) -> Array:
    """All lowered by as much, so that the bound on the best does not raise the others to it."""
    return log_odds - max(0.0, float(log_odds.max(initial=-np.inf)) - _MOST_LOG_ODDS)


def _fit_above_chance(quality: Array, found: Array, noise: float) -> Array:
    """Qualities above those of a frame's wrong registrations, in standard deviations of these; (N,) float64.

    Most of what is found without being sought is wrong: the worst of it says what chance gives.
    """
    if len(found) == 0:
        return np.zeros_like(quality)
    wrong = np.sort(found)[: max(1, int(_WRONG_SHARE * len(found)))]
    above: Array = (quality - wrong.mean()) / (wrong.std() + noise)
    return above


def measure(
    registrations: Registrations,
    views: Sequence[GroundView],
    chance: Chance,
    gallery: Gallery,
    config: LocalizerConfig,
    tries_deg: Sequence[float],
) -> Evidence:
    """What a frame says of the place of its view.

    Args:
        registrations: Of its views.
        views: One for each heading it may have.
        chance: Similarities of the frame to foreign places.
        gallery: That they were registered to.
        config: Of the localizer.
        tries_deg: Turns of each view that were tried.
    """
    known, placed = views[0].heading_known, views[0].offset_m is not None
    drawn = np.array([view.turn_deg for view in views])
    turn, turn_sigma = turns_found(registrations, drawn, config)
    stretch, stretch_sigma = stretches_found(registrations, config, placed=placed)
    lever, errors = Lever.of(views[0]), SensorErrors.of(config.view, heading_known=known)
    by_heading = heading_prior(turn, turn_sigma, errors)
    by_scale = scale_prior(stretch, stretch_sigma, lever, errors)
    log_odds = _above_rivals(registrations, chance, config)
    return Evidence(
        odds=np.exp(_bounded(log_odds)),
        sought=registrations.sought,
        prior=_prior(log_odds, by_heading, by_scale, looks=len(views)),
        view_m=registrations.position_m,
        covariance_m2=registrations.spread_m2 + np.eye(2) * fit_sigma_m(gallery, config) ** 2,
        turn_deg=turn,
        turn_sigma_deg=turn_sigma,
        stretch=stretch,
        stretch_sigma=stretch_sigma,
        lever=lever,
        errors=errors,
        looks_deg=np.add.outer(drawn, tries_deg).ravel(),
    )


def _above_rivals(registrations: Registrations, chance: Chance, config: LocalizerConfig) -> Array:
    """Log odds of registrations, (N,) and not bounded, less those of the best place that is not the best of all.

    A view shows one place. If two look more like it than chance would have it, then one of them is chance: so much is to be
    had for nothing in this frame, over fields that are all alike or along a river, and counts for none of them.
    """
    found, place_m = registrations, registrations.position_m
    log_odds = _unbounded(found.quality, found.similarity, chance, config, found.sought)
    if len(log_odds) == 0:
        return log_odds
    apart_m = np.hypot(*(place_m - place_m[log_odds.argmax()]).T)
    rivals = log_odds[apart_m > max(config.gate.radius_m, _SAME_M)]
    return log_odds - max(0.0, float(rivals.max(initial=-np.inf)))


def _prior(log_odds: Array, by_heading: Array | None, by_scale: Array, *, looks: int) -> Array:
    """How probable the alternatives are by what is known of heading and scale, where no hypothesis is known better, (N,).

    Sensors fail, so nothing that they contradict is impossible; but looks under many headings and scales find something
    more often. That is weighed before odds are bounded: what a look shows far beyond the bound makes up for it.

    Args:
        log_odds: (N,) float64, before they are bounded.
        by_heading: (N,) float64, by the sensed heading; None: none is.
        by_scale: (N,) float64, by height and tilt.
        looks: Headings that were looked under.
    """
    probable = np.maximum(by_scale, _SCALE_ASTRAY)
    if by_heading is None:
        probable *= _ANY_HEADING
    elif looks > 1:
        probable *= np.maximum(by_heading, _ANY_HEADING * _ASTRAY)
    else:
        probable *= by_heading
    prior: Array = np.exp(_bounded(log_odds + np.log(np.maximum(probable, 1e-300))) - _bounded(log_odds))
    return prior


def turns_found(
    registrations: Registrations, drawn_deg: Array, config: LocalizerConfig
) -> tuple[Array, Array]:
    """Errors of the heading, or headings where none is sensed, and their standard deviations, (N,) degrees each.

    Args:
        registrations: Of the views of a frame.
        drawn_deg: (V,) float64, turns that the views were drawn under.
        config: Of the localizer.
    """
    turn = wrap_degrees(drawn_deg[registrations.view] + registrations.turn_deg)
    step_deg = config.refinement.turn_step_deg
    return turn, np.where(registrations.fitted, config.registration.turn_sigma_deg, step_deg / 2.0)


def stretches_found(
    registrations: Registrations, config: LocalizerConfig, *, placed: bool
) -> tuple[Array, Array]:
    """By how much the ground is larger than the sensors say, as a share, and its standard deviations, (N,) each.

    Args:
        registrations: Of the views of a frame.
        config: Of the localizer.
        placed: Height, attitude and camera are known; else a scale says nothing.
    """
    # As the sensors say is how it was laid, not what was found.
    tried = np.where(registrations.scale == 1.0, _ANY_SCALE, (SCALE_STEP - 1.0) / 2.0)
    sigma = np.where(registrations.fitted, config.registration.scale_sigma, tried)
    return registrations.scale - 1.0, sigma if placed else np.full_like(sigma, _ANY_SCALE)


def heading_prior(turn_deg: Array, turn_sigma_deg: Array, errors: SensorErrors) -> Array | None:
    """How probable errors of a sensed heading are, against none, (N,) float64; None where none is sensed."""
    if errors.heading_deg is None:
        return None
    prior: Array = np.exp(-0.5 * np.square(turn_deg) / (errors.heading_deg**2 + np.square(turn_sigma_deg)))
    return prior


def scale_prior(stretch: Array, stretch_sigma: Array, lever: Lever, errors: SensorErrors) -> Array:
    """How probable stretches of the ground are by height and tilt, against none; (N,) float64."""
    variance = lever.stretch_sigma(errors) ** 2 + np.square(stretch_sigma)
    prior: Array = np.exp(-0.5 * np.square(stretch) / variance)
    return prior


def fit_sigma_m(gallery: Gallery, config: LocalizerConfig) -> float:
    """Standard deviation of a registration on each axis, metres."""
    return config.registration.sigma_px * gallery.tile_size_m / PATCH_PX
