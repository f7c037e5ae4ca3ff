"""A flight over its map, as a picture: the true track, the fixes with their ellipses, the refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # a file is drawn, no window

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from lkpan_model.whole_file import whole_file
from lkpan_ros.localization.types import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.outcomes import FrameOutcome

_CHI2_95 = 5.991  # 95 % of a Gaussian in the plane lies within this squared Mahalanobis distance
_MARGIN_M = 80.0
_MAP_PX = 1400
_COLOURS = {Reference.VEHICLE.value: "#00d0ff", Reference.VIEW.value: "#ff9d00"}
_TRUTH, _TRUE_VIEW, _REFUSED = "#ffffff", "#b6ff7a", "#ff2d55"


def draw_track(path: Path, gallery: Gallery, outcomes: Sequence[FrameOutcome], title: str) -> None:
    """Draw a flight as a PNG.

    Args:
        path: Of the picture.
        gallery: Its map is the background; its frame gives the axes, metres east and north of its datum.
        outcomes: Of the frames, in their order.
        title: Stands above.
    """
    figure = Figure(figsize=(11, 11), layout="constrained")
    axes = figure.add_subplot()
    truth = _local(gallery, [(o.true_lat, o.true_lon) for o in outcomes])
    views = _local(gallery, [(o.true_view_lat, o.true_view_lon) for o in outcomes])
    stated = _local(gallery, [(o.lat, o.lon) for o in outcomes])
    _draw_map(axes, gallery, np.concatenate([truth, views, stated]))
    axes.plot(*truth.T, color=_TRUTH, linewidth=1.6, zorder=3)
    axes.plot(*views.T, color=_TRUE_VIEW, linewidth=1.0, linestyle=":", zorder=3)
    _draw_fixes(axes, outcomes, stated, truth, views)
    refused = np.array([not o.fix for o in outcomes], bool)
    axes.plot(*truth[refused].T, "x", color=_REFUSED, markersize=4, markeredgewidth=1.0, zorder=5)
    axes.legend(
        handles=_legend(outcomes), loc="upper left", fontsize=9, facecolor="0.2", labelcolor="white"
    )  # the tracks are light, for the map
    axes.set(xlabel="east of the gallery's datum (m)", ylabel="north (m)", title=title, aspect="equal")
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _draw_map(axes: Axes, gallery: Gallery, points_m: NDArray[np.float64]) -> None:
    known = points_m[~np.isnan(points_m).any(1)]
    if not len(known):
        known = gallery.positions_m
    low, high = known.min(0) - _MARGIN_M, known.max(0) + _MARGIN_M
    size_m = float((high - low).max())
    centre = (low + high) / 2
    picture, _ = gallery.window(float(centre[0]), float(centre[1]), size_m, _MAP_PX)
    half = size_m / 2
    west, south = centre - half
    east, north = centre + half
    axes.imshow(picture, extent=(west, east, south, north), interpolation="bilinear", zorder=0)
    axes.set_autoscale_on(False)


def _draw_fixes(
    axes: Axes,
    outcomes: Sequence[FrameOutcome],
    stated: NDArray[np.float64],
    truth: NDArray[np.float64],
    views: NDArray[np.float64],
) -> None:
    for outcome, position, vehicle, view in zip(outcomes, stated, truth, views, strict=True):
        covariance = outcome.covariance_m2
        if not outcome.fix or covariance is None:
            continue
        colour = _COLOURS[outcome.reference]
        target = view if outcome.reference == Reference.VIEW.value else vehicle
        axes.plot(*np.stack([position, target]).T, color=colour, linewidth=0.6, alpha=0.8, zorder=4)
        axes.plot(*position, ".", color=colour, markersize=4, zorder=5)
        axes.add_patch(_ellipse(position, covariance, colour))


def _ellipse(position: NDArray[np.float64], covariance: NDArray[np.float64], colour: str) -> Ellipse:
    variances, directions = np.linalg.eigh(covariance)
    width, height = 2.0 * np.sqrt(variances * _CHI2_95)
    angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
    return Ellipse(
        (float(position[0]), float(position[1])), float(width), float(height), angle=float(angle),
        fill=False, edgecolor=colour, linewidth=0.5, alpha=0.6, zorder=4,
    )  # fmt: skip


def _legend(outcomes: Sequence[FrameOutcome]) -> list[Line2D]:
    refused = sum(not o.fix for o in outcomes)
    entries = [
        Line2D([], [], color="white", linewidth=1.6, label="true track of the vehicle"),
        Line2D([], [], color=_TRUE_VIEW, linestyle=":", label="true middle of the view"),
    ]
    for reference, colour in _COLOURS.items():
        count = sum(o.fix and o.reference == reference for o in outcomes)
        if count:
            label = f"fixes of the {reference}: {count}, 95 % ellipse, line to the truth"
            entries.append(Line2D([], [], color=colour, marker=".", label=label))
    entries.append(
        Line2D([], [], color=_REFUSED, marker="x", linestyle="", label=f"refused frames: {refused}")
    )
    return entries


def _local(gallery: Gallery, points: Sequence[tuple[float | None, float | None]]) -> NDArray[np.float64]:
    """(N, 2) float64 east and north; NaN where unknown."""
    degrees = np.array([(np.nan, np.nan) if None in point else point for point in points], np.float64)
    local = np.full((len(points), 2), np.nan)
    known = ~np.isnan(degrees).any(1)
    if known.any():
        local[known] = gallery.frame.to_local(degrees[known, 0], degrees[known, 1])
    return local
