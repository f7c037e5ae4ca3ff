"""An audit over its map, as a picture: which places look alike or show nothing, and what a flight may expect."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # a file is drawn, no window

from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from lkpan_model.whole_file import whole_file
from lkpan_ros.localization.outcomes import FALSE_FIX_M
from lkpan_ros.tools.audit_summary import CAVEAT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from lkpan_ros.tools.audit_flights import PlaceFigures
    from lkpan_ros.tools.audit_summary import Audit, AuditSummary

_MAP_PX = 1400
_TITLE_PAD = 24.0  # points, room for the legend
_PANEL_IN = 7.0  # longer side of a panel
_SHOWN_BELOW = 0.3  # tiles less similar to their look-alike than the ambiguous by this are left clear
_PAIRS = 5
_ERRORS_M = (0.5, 1.0, 2.0, 5.0, 10.0, FALSE_FIX_M)
_AMBIGUOUS, _TEXTURELESS, _FALSE = "#e6007e", "#00b7ff", "#e6007e"
_ALIKE = LinearSegmentedColormap.from_list("alike", ["#fff3b000", "#ffc233b0", "#ff5a1fe0"])
_FOUND = LinearSegmentedColormap.from_list("found", ["#b40426", "#f4a582", "#f7f7a0", "#5ec8b0", "#08519c"])


def draw_audit(path: Path, audit: Audit, summary: AuditSummary) -> None:
    """Draw an audit as a PNG: the look-alikes; beside or below them the passes' figures, if any were flown.

    Raises:
        OSError: It cannot be written.
        GalleryError: The map's pixels are damaged.
    """
    extent, picture = _map(audit)
    aspect = (extent[1] - extent[0]) / (extent[3] - extent[2])
    panels = 3 if summary.places else 1
    rows, columns = (panels, 1) if aspect > 1.6 else (1, panels)
    width, depth = _PANEL_IN * min(1.0, aspect), _PANEL_IN / max(1.0, aspect)
    size_in = ((max(width, 4.5) + 1.7) * columns, (depth + 1.2) * rows + 0.5)
    figure = Figure(figsize=size_in, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.imshow(picture, extent=extent, interpolation="bilinear", zorder=0)
        panel.set(xlabel="east of the gallery's datum (m)", ylabel="north (m)", aspect="equal")
        _draw_scale_bar(panel)
        panel.set_autoscale_on(False)
    _draw_look_alikes(axes[0], audit, summary)
    if summary.places:
        flown = [place for place in audit.places if place.frames]
        _draw_availability(axes[1], audit, flown, summary)
        _draw_errors(axes[2], audit, flown, summary)
        figure.supxlabel("\n".join(textwrap.wrap(CAVEAT, 110 * columns)), fontsize=9, color="#444444")
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", dpi=110, bbox_inches="tight", pad_inches=0.15)


def _map(audit: Audit) -> tuple[tuple[float, float, float, float], NDArray[np.uint8]]:
    """West, east, south and north of the tiles in metres, and the map there, grey and pale under what is drawn."""
    gallery = audit.gallery
    half_m = gallery.tile_size_m / 2
    west, south = gallery.positions_m.min(axis=0) - half_m
    east, north = gallery.positions_m.max(axis=0) + half_m
    gsd_m = max(gallery.gsd_m, max(east - west, north - south) / _MAP_PX)
    columns, rows = max(1, round((east - west) / gsd_m)), max(1, round((north - south) / gsd_m))
    rgb, mask = gallery.mosaic.read_local(float(west), float(north), columns, rows, float(gsd_m))
    grey = rgb.mean(axis=2, keepdims=True)
    pale = np.where(mask[..., None], 70.0 + 0.6 * (0.75 * grey + 0.25 * rgb), 255.0)
    return (float(west), float(east), float(south), float(north)), pale.astype(np.uint8)


def _draw_look_alikes(axes: Axes, audit: Audit, summary: AuditSummary) -> None:
    gallery = audit.gallery
    level = 1.0 if summary.ambiguous_similarity is None else summary.ambiguous_similarity
    norm = Normalize(level - _SHOWN_BELOW, level)
    shown = audit.look_alikes.similarity.clip(level - _SHOWN_BELOW, level)
    cells, extent = _cells(audit, _ALIKE(norm(shown)))
    image = axes.imshow(cells, extent=extent, cmap=_ALIKE, norm=norm, interpolation="nearest", zorder=1)
    marks = np.zeros((len(gallery), 4))
    marks[audit.ambiguous] = mpl.colors.to_rgba(_AMBIGUOUS, 0.6)
    marks[audit.textureless] = mpl.colors.to_rgba(_TEXTURELESS, 0.6)  # which is why they look alike
    axes.imshow(_cells(audit, marks)[0], extent=extent, interpolation="nearest", zorder=2)
    for pair in audit.pairs(_PAIRS):
        ends_m = gallery.positions_m[list(pair)]
        colour = _AMBIGUOUS if audit.ambiguous[pair[0]] else "#222222"
        axes.plot(*ends_m.T, color="white", linewidth=2.2, zorder=3)
        axes.plot(*ends_m.T, "o-", color=colour, linewidth=1.1, markersize=4, zorder=4)
    _draw_legend(
        axes,
        Patch(color=_AMBIGUOUS, alpha=0.6, label=f"ambiguous tile: {summary.ambiguous_tiles}"),
        Patch(color=_TEXTURELESS, alpha=0.6, label=f"tile without texture: {summary.textureless_tiles}"),
        Line2D(
            [],
            [],
            color="#222222",
            marker="o",
            markersize=4,
            label=f"most alike over {summary.foreign_m:g} m",
        ),
    )
    axes.set_title(
        f"{summary.ambiguous_tiles} of {summary.tiles} tiles ambiguous, {summary.textureless_tiles} without texture",
        fontsize=12,
        pad=_TITLE_PAD,
    )
    _draw_colour_bar(axes, image, "similarity to the look-alike\n(top: ambiguous)")


def _draw_availability(
    axes: Axes, audit: Audit, flown: Sequence[PlaceFigures], summary: AuditSummary
) -> None:
    _draw_spots(
        axes, audit, flown, [place.availability for place in flown], Normalize(0.0, 1.0), _FOUND,
        "fixes / frames of the pass",
    )  # fmt: skip
    wrong_m = _centres_m(audit, [place for place in flown if place.false_fixes])
    axes.plot(*wrong_m.T, "x", color="white", markersize=13, markeredgewidth=4.5, zorder=4)
    axes.plot(*wrong_m.T, "x", color=_FALSE, markersize=12, markeredgewidth=2.5, zorder=5)
    _draw_legend(
        axes,
        _spot(f"pass of {summary.frames / summary.places:.0f} frames: {summary.places}"),
        Line2D([], [], color=_FALSE, marker="x", markeredgewidth=2.5, markersize=10, linestyle="",
               label=f"place with a false fix: {summary.places_with_false_fix}"),
    )  # fmt: skip
    rate = "" if summary.false_fix_rate is None else f", {summary.false_fix_rate:.1%} of the fixes false"
    axes.set_title(f"expected availability {summary.availability:.1%}{rate}", fontsize=12, pad=_TITLE_PAD)


def _draw_errors(axes: Axes, audit: Audit, flown: Sequence[PlaceFigures], summary: AuditSummary) -> None:
    fixed = [place for place in flown if place.view_errors_m]
    errors_m = [max(_ERRORS_M[0], float(np.median(place.view_errors_m))) for place in fixed]
    norm = LogNorm(_ERRORS_M[0], _ERRORS_M[-1])
    label = "median error of the fixes of the pass (m)"
    _draw_spots(axes, audit, fixed, errors_m, norm, _FOUND.reversed(), label)
    without_m = _centres_m(audit, [place for place in flown if not place.view_errors_m])
    axes.plot(*without_m.T, "o", color="#222222", markerfacecolor="none", markersize=8, zorder=3)
    _draw_legend(
        axes,
        _spot(f"place with a fix: {len(fixed)}"),
        Line2D([], [], color="#222222", marker="o", markerfacecolor="none", linestyle="", markersize=8,
               label=f"place without: {len(without_m)}"),
    )  # fmt: skip
    title = "no fix, no error"
    if summary.view_error_median_m is not None:
        title = f"expected error at best {summary.view_error_median_m:.1f} m, 90 %: {summary.view_error_p90_m:.1f} m"
    axes.set_title(title, fontsize=12, pad=_TITLE_PAD)


def _draw_spots(
    axes: Axes, audit: Audit, places: Sequence[PlaceFigures], values: Sequence[float], norm: Normalize,
    colours: Colormap, label: str,
) -> None:  # fmt: skip
    area = float(np.clip(60_000.0 / max(1, len(places)), 30.0, 200.0))  # points squared; many are small
    east_m, north_m = _centres_m(audit, places).T
    spots = axes.scatter(
        east_m, north_m, c=values, cmap=colours, norm=norm, s=area, edgecolors="black",
        linewidths=0.6, zorder=3,
    )  # fmt: skip
    _draw_colour_bar(axes, spots, label)


def _draw_colour_bar(axes: Axes, drawn: ScalarMappable, label: str) -> None:
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label(label)
    if isinstance(drawn.norm, LogNorm):
        bar.set_ticks(_ERRORS_M, labels=[f"{error:g}" for error in _ERRORS_M])
        bar.minorticks_off()


def _draw_legend(axes: Axes, *handles: Line2D | Patch) -> None:
    """Between the panel and its title, where it covers no place."""
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=len(handles), fontsize=9,
        frameon=False, borderaxespad=0.2, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip


def _spot(label: str) -> Line2D:
    return Line2D(
        [], [], color="#5ec8b0", marker="o", markeredgecolor="black", linestyle="", markersize=9, label=label
    )


def _centres_m(audit: Audit, places: Sequence[PlaceFigures]) -> NDArray[np.float64]:
    """(P, 2) float64, east and north."""
    return audit.gallery.positions_m[np.array([place.tile for place in places], np.int64)]


def _cells(
    audit: Audit, colours: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """A picture with one pixel a stride, in the colour (RGBA) of the tile there, and its extent."""
    gallery = audit.gallery
    low, stride_m = gallery.positions_m.min(axis=0), gallery.stride_m
    column, row = np.rint((gallery.positions_m - low) / stride_m).astype(int).T
    cells = np.zeros((int(row.max()) + 1, int(column.max()) + 1, 4))
    cells[row, column] = colours
    west, south = low - stride_m / 2
    east, north = west + cells.shape[1] * stride_m, south + cells.shape[0] * stride_m
    return cells[::-1], (float(west), float(east), float(south), float(north))


def _draw_scale_bar(axes: Axes) -> None:
    west, east = axes.get_xlim()
    south, north = axes.get_ylim()
    length_m = _round_length(0.2 * (east - west))
    x, y = east - 0.03 * (east - west) - length_m, south + 0.04 * (north - south)
    outline = [withStroke(linewidth=5.0, foreground="white")]
    axes.plot([x, x + length_m], [y, y], color="black", linewidth=2.5, path_effects=outline, zorder=7)
    label = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
    axes.annotate(
        label, (x + length_m / 2, y), (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=9,
        path_effects=outline, zorder=7,
    )  # fmt: skip


def _round_length(most_m: float) -> float:
    """The largest of 1, 2, 5, 10, 20 ... that is at most `most_m`."""
    decade = 10.0 ** math.floor(math.log10(most_m))
    return max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= most_m * (1 + 1e-9))
