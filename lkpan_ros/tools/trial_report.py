"""The figures of simulated trials as a table and as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # a file is drawn, no window

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from lkpan_model.whole_file import whole_file
from lkpan_ros.localization.outcomes import FALSE_FIX_M

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lkpan_ros.tools.trial_figures import TrialFigures, VariantFigures

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito: told apart by the colour-blind too
_NUMBERS = FuncFormatter(lambda value, _: f"{value:g}")
_SHARE, _METRES, _PLAIN, _MS, _SECONDS = "{:.1%}", "{:.1f} m", "{:.2f}", "{:.0f} ms", "{:.1f} s"
_ROWS = (
    ("availability", "availability", _SHARE),
    ("error, median", "error_median_m", _METRES),
    ("error, 90 %", "error_p90_m", _METRES),
    ("view error, median", "view_error_median_m", _METRES),
    ("view error, 90 %", "view_error_p90_m", _METRES),
    ("false fixes", "false_fix_rate", "{:.2%}"),
    ("outside 99 % ellipse", "outside_99_ellipse", _SHARE),
    ("NEES (1 is honest)", "nees", _PLAIN),
    ("view NEES", "view_nees", _PLAIN),
    ("recall at 1", "recall_at_1", _SHARE),
    ("recall at 10", "recall_at_10", _SHARE),
    ("frame to fix, median", "latency_p50_ms", _MS),
    ("frame to fix, 99 %", "latency_p99_ms", _MS),
    ("fixes far outside", "fix_rate_outside", "{:.2%}"),
    ("fix regained after", "regain_s", _SECONDS),
)
_SEED_ROWS = ("availability", "error_median_m", "error_p90_m", "false_fix_rate", "nees", "latency_p50_ms")


def table(variants: Mapping[str, VariantFigures]) -> str:
    """All figures: of each variant over all frames with the worst seed in brackets, then of each seed."""
    lines = [["over all frames (worst seed)", *variants]]
    lines += [["frames", *(f"{v.pooled.frames}" for v in variants.values())]]
    lines += [["fixes", *(f"{v.pooled.fixes}" for v in variants.values())]]
    for label, name, form in _ROWS:
        cells = [_with_worst(figures, name, form) for figures in variants.values()]
        lines += [[label, *cells]] if any(cells) else []
    reasons = {reason for figures in variants.values() for reason in figures.pooled.reasons}
    for reason in sorted(reasons):
        counts = [figures.pooled.reasons.get(reason, 0) for figures in variants.values()]
        lines.append([f"refused: {reason}", *(f"{count}" for count in counts)])
    parts = [aligned(lines)]
    parts += [_seed_table(name, figures) for name, figures in variants.items()]
    return "\n\n".join(parts)


def _seed_table(name: str, variant: VariantFigures) -> str:
    columns = [(label, key, form) for label, key, form in _ROWS if key in _SEED_ROWS]
    if variant.pooled.frames_outside:
        columns += [row for row in _ROWS if row[1] in {"fix_rate_outside", "regain_s"}]
    lines = [[name, *(label for label, _, _ in columns)]]
    for seed, figures in variant.by_seed.items():
        lines.append([f"seed {seed}", *(_cell(figures, key, form) for _, key, form in columns)])
    return aligned(lines)


def _with_worst(variant: VariantFigures, name: str, form: str) -> str:
    value, worst = _cell(variant.pooled, name, form), variant.worst(name)
    if worst is None or _formatted(worst[1], form) == value:
        return value
    return f"{value} ({_formatted(worst[1], form)}, {worst[0]})"


def _cell(figures: TrialFigures, name: str, form: str) -> str:
    value = getattr(figures, name)
    return "" if value is None else _formatted(value, form)


def _formatted(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else "never"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each, as columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def draw_trials(path: Path, variants: Mapping[str, VariantFigures], title: str) -> None:
    """Draw the errors' distribution and each seed's availability and NEES as a PNG."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    errors, availability, nees = figure.subplots(1, 3)
    seeds = {seed for variant in variants.values() for seed in variant.by_seed}
    for index, (name, variant) in enumerate(variants.items()):
        style = {"color": _COLOURS[index % len(_COLOURS)], "label": name}
        steps_m = np.concatenate([variant.errors_m[:1], variant.errors_m])  # from no share of the fixes on
        errors.step(steps_m, np.arange(len(steps_m)) / max(len(variant.errors_m), 1), where="post", **style)
        beside = np.array(list(variant.by_seed)) + 0.15 * (index - (len(variants) - 1) / 2)
        availability.plot(beside, variant.values("availability"), "o", **style)
        nees.plot(beside, variant.values("nees"), "o", **style)
    errors.axvline(FALSE_FIX_M, color="grey", linestyle=":", label=f"false beyond {FALSE_FIX_M:g} m")
    errors.set(
        xscale="log", xlabel="error of the stated position (m)", ylabel="share of the fixes", ylim=(0, 1.01)
    )
    errors.set_xlim(0.1, max([100.0, *(float(v.errors_m[-1]) for v in variants.values() if len(v.errors_m))]))
    availability.set(xlabel="seed", ylabel="availability over the map", ylim=(-0.01, 1.03))
    nees.axhline(1.0, color="grey", linestyle=":", label="honest")
    nees.set(xlabel="seed", ylabel="NEES", yscale="log")
    for axis in (errors.xaxis, nees.yaxis):
        axis.set_major_formatter(_NUMBERS)
        axis.set_minor_formatter(NullFormatter())
    for axes in (availability, nees):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(min(seeds) - 0.6, max(seeds) + 0.6)
    for axes in (errors, availability, nees):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
    figure.suptitle(title)
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", dpi=110)
