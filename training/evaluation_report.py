"""The figures of an evaluation as tables, JSON and a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from lkpan_model.whole_file import write_whole
from training.evaluation_run import BEST, ONE, SUM
from training.metrics import RetrievalMetrics, percent_depth
from training.offsets import CENTRE, MAX_STEP, SOURCE_SIDE, VARIANTS, Variant, describe_scaling

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from training.evaluation_run import Outcome

_TITLES = {ONE: "one view", SUM: "sum of 4 rotations", BEST: "best of 4 rotations"}
_FIELDS = {"R@1": "r1", "R@5": "r5", "R@10": "r10", "R@1%": "r1_percent", "AP": "ap"}
_STEP_SHARE = 3 / 128  # of the image's side


@dataclass(frozen=True)
class OffsetSummary:
    """What the 40 variants come to.

    Attributes:
        centre: Through the centred window.
        mean: Of each metric over the 40.
        worst_r1, worst_ap: The variants with the lowest R@1 and AP, the first of equals.
        retention_r1, retention_ap: Mean over the 40, over the centre; None where the centre is 0.
    """

    centre: RetrievalMetrics
    mean: RetrievalMetrics
    worst_r1: Variant
    worst_ap: Variant
    retention_r1: float | None
    retention_ap: float | None

    @classmethod
    def of(cls, offsets: dict[Variant, RetrievalMetrics]) -> OffsetSummary:
        """The summary of the figures of the centre and of the 40 variants."""

        def mean_of(name: str) -> float:
            return float(np.mean([getattr(offsets[variant], name) for variant in VARIANTS]))

        centre, mean = offsets[CENTRE], RetrievalMetrics(**{name: mean_of(name) for name in _FIELDS.values()})
        worst_r1, worst_ap = (
            min(VARIANTS, key=lambda variant: float(getattr(offsets[variant], name))) for name in ("r1", "ap")
        )
        r1, ap = (mean.r1 / centre.r1 if centre.r1 else None, mean.ap / centre.ap if centre.ap else None)
        return cls(centre, mean, worst_r1, worst_ap, r1, ap)


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The figures of a direction as plain JSON values, each metric from 0 to 1."""
    cited = outcome.whole[outcome.reading]
    return {
        "direction": outcome.direction.name,
        "queries": str(outcome.direction.queries),
        "gallery": str(outcome.direction.gallery),
        "query_count": outcome.queries,
        "gallery_count": outcome.gallery,
        "gallery_places": outcome.places,
        "unmatched_queries": outcome.unmatched,
        "r1_percent_depth": percent_depth(outcome.gallery),
        "reading": outcome.reading,
        **cited.to_dict(),
        "readings": {reading: metrics.to_dict() for reading, metrics in outcome.whole.items()},
        **({"offsets": _offsets_to_json(outcome)} if outcome.offsets else {}),
    }


def _offsets_to_json(outcome: Outcome) -> dict[str, Any]:
    summary, figures = OffsetSummary.of(outcome.offsets), outcome.offsets
    return {
        "reading": outcome.reading,
        "images_px": list(outcome.sides_px),
        "geometry_scaled": outcome.sides_px != (SOURCE_SIDE,),
        "centre": summary.centre.to_dict(),
        "variants": {variant.name: figures[variant].to_dict() for variant in VARIANTS},
        "mean": summary.mean.to_dict(),
        "worst": {
            "r1": {"variant": summary.worst_r1.name, "value": figures[summary.worst_r1].r1},
            "ap": {"variant": summary.worst_ap.name, "value": figures[summary.worst_ap].ap},
        },
        "retention": {"r1": summary.retention_r1, "ap": summary.retention_ap},
    }


def table(outcome: Outcome) -> str:
    """The figures of a direction in percent, to be read on a screen."""
    depth = percent_depth(outcome.gallery)
    lines = [
        (
            f"{outcome.direction.name}: {outcome.queries:,} queries in {outcome.direction.queries}, gallery of "
            f"{outcome.gallery:,} ({outcome.places:,} places) in {outcome.direction.gallery}"
        )
    ]
    if outcome.unmatched:
        lines.append(f"{outcome.unmatched:,} queries have no true match in the gallery and count as zero")
    lines += [
        f"R@1% looks at the first {depth} (round(G / 100) + 1, as the University-1652 baseline)",
        _row("whole image", *_FIELDS),
        *(_metrics_row(_TITLES[reading], metrics) for reading, metrics in outcome.whole.items()),
    ]
    return "\n".join(lines + (_offset_lines(outcome) if outcome.offsets else []))


def _offset_lines(outcome: Outcome) -> list[str]:
    summary = OffsetSummary.of(outcome.offsets)
    notes = [note for side in outcome.sides_px if (note := describe_scaling(side))]
    return [
        "",
        *(f"note: {note}" for note in notes),
        _row(f"drone image through windows, {_TITLES[outcome.reading]}", *_FIELDS),
        *(_metrics_row(variant.name, metrics) for variant, metrics in outcome.offsets.items()),
        _metrics_row("mean of the 40", summary.mean),
        (
            f"worst R@1 {outcome.offsets[summary.worst_r1].r1:.2%} at {summary.worst_r1.name}, "
            f"worst AP {outcome.offsets[summary.worst_ap].ap:.2%} at {summary.worst_ap.name}"
        ),
        (
            f"retention (mean of the 40 / centre): R@1 {_ratio(summary.retention_r1)}, "
            f"AP {_ratio(summary.retention_ap)}"
        ),
    ]


def _ratio(value: float | None) -> str:
    return "undefined (the centre is 0)" if value is None else f"{value:.2%}"


def _row(title: str, *cells: str) -> str:
    return f"{title:<48}" + "".join(f"{cell:>9}" for cell in cells)


def _metrics_row(title: str, metrics: RetrievalMetrics) -> str:
    return _row(title, *(f"{100 * getattr(metrics, name):.2f}" for name in _FIELDS.values()))


def draw_offsets(path: Path, outcome: Outcome, title: str) -> None:
    """R@1 and AP over the shift of the window as a PNG, one cell a variant.

    Raises:
        OSError: The file cannot be written.
    """
    figure = Figure(figsize=(17, 8.4), layout="constrained")
    summary = OffsetSummary.of(outcome.offsets)
    panels = (("R@1", "r1", summary.retention_r1), ("AP", "ap", summary.retention_ap))
    for axes, (label, name, retention) in zip(figure.subplots(1, 2), panels, strict=True):
        _draw_map(axes, outcome, name)
        kept = "undefined" if retention is None else f"{retention:.1%}"
        mean, centre = getattr(summary.mean, name), getattr(summary.centre, name)
        axes.set_title(
            f"{label} (%): centre {centre:.1%}, mean of the 40 {mean:.1%}, retention {kept}", fontsize=11
        )
    figure.suptitle(f"{outcome.direction.name}, {_TITLES[outcome.reading]} · {title}", fontsize=12)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_whole(path, buffer.getvalue())


def _draw_map(axes: Axes, outcome: Outcome, name: str) -> None:
    size = 2 * MAX_STEP + 1
    grid: NDArray[np.float64] = np.full((size, size), np.nan)  # rows: dy, columns: dx
    for variant, metrics in outcome.offsets.items():
        dx, dy = variant.shift
        grid[dy + MAX_STEP, dx + MAX_STEP] = 100 * getattr(metrics, name)
    low, high = np.nanmin(grid), np.nanmax(grid)
    image = axes.imshow(grid, cmap="viridis", vmin=low, vmax=max(high, low + 1))
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = value < (low + max(high, low + 1)) / 2
            axes.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=9, color="w" if dark else "k"
            )
    unit, labels = _ticks(outcome.sides_px)
    axes.set_xticks(range(size), labels)
    axes.set_yticks(range(size), labels)
    axes.set_xlabel(f"dx: window moves right (+) or left (-), {unit}")
    axes.set_ylabel(f"dy: window moves down (+) or up (-), {unit}")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="%")


def _ticks(sides_px: tuple[int, ...]) -> tuple[str, list[str]]:
    """What the axes count, and their labels: pixels of the source, or steps where the sources differ in size."""
    steps = range(-MAX_STEP, MAX_STEP + 1)
    if len(sides_px) != 1:
        return "steps of 3/128 of the image's side", [f"{step:+d}" if step else "0" for step in steps]
    step_px = sides_px[0] * _STEP_SHARE
    return f"px of the {sides_px[0]} px source", [f"{step * step_px:+g}" if step else "0" for step in steps]


def file_name(outcome: Outcome) -> str:
    """Name of a direction's picture."""
    return f"offsets_{outcome.direction.name.replace('->', '_to_')}.png"
