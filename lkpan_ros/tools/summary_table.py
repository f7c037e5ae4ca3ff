"""The figures of a flight as rows of words, for a terminal and for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.flight_figures import outcome_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lkpan_ros.localization.flight_figures import OutcomeGroup
    from lkpan_ros.localization.flight_summary import Summary
    from lkpan_ros.localization.outcomes import FrameOutcome

STAGES = ("view", "encode", "search", "refine", "filter", "decide")


def summary_rows(summary: Summary, outcomes: Sequence[FrameOutcome]) -> list[tuple[str, str]]:
    """Name and value of every figure; rows that belong to the one above begin with spaces."""
    groups = outcome_groups(outcomes)
    return [
        ("frames", f"{summary.frames}"),
        ("fixes", f"{summary.fixes} ({summary.availability:.1%})"),
        *((f"  of the {group.name}", f"{group.frames}") for group in groups if group.fix),
        *(row for group in groups if not group.fix for row in _refused(group)),
        ("view error, median / 90 %", _pair(summary.view_error_median_m, summary.view_error_p90_m)),
        ("vehicle error, median / 90 %", _pair(summary.vehicle_error_median_m, summary.vehicle_error_p90_m)),
        ("frames with the view within 10 m", number(summary.view_within_10m, "", "{:.1%}")),
        ("false fixes (> 30 m, outside the gallery)", number(summary.false_fix_rate, "", "{:.1%}")),
        ("  outside the gallery", number(summary.outside_map_fixes, "", "{}")),
        (
            "fixes outside their 99 % ellipse (1 % is honest)",
            number(summary.outside_99_ellipse, "", "{:.1%}"),
        ),
        ("NEES (1 is honest)", number(summary.nees, "", "{:.2f}")),
        ("  of the view", number(summary.view_nees, "", "{:.2f}")),
        ("area under risk-coverage", number(summary.area_under_risk_coverage, "", "{:.4f}")),
        *((f"recall at {k}", number(getattr(summary, f"recall_at_{k}"), "", "{:.1%}")) for k in (1, 5, 10)),
        ("frame to fix, median", number(summary.latency_p50_ms, " ms")),
        *((f"  {stage}", number(_median(outcomes, f"{stage}_ms"), " ms")) for stage in STAGES),
    ]


def _refused(group: OutcomeGroup) -> Iterator[tuple[str, str]]:
    yield f"refused: {group.name}", f"{group.frames}"
    if group.example:
        yield "  for example", group.example


def headline_rows(summary: Summary) -> list[tuple[str, str]]:
    """The few figures that one asks for first."""
    return [
        ("frames", f"{summary.frames}"),
        ("availability", f"{summary.availability:.1%}"),
        ("view error, median / 90 %", _pair(summary.view_error_median_m, summary.view_error_p90_m)),
        ("vehicle error, median / 90 %", _pair(summary.vehicle_error_median_m, summary.vehicle_error_p90_m)),
        ("false fixes", number(summary.false_fix_rate, "", "{:.1%}")),
        ("NEES (1 is honest)", number(summary.nees, "", "{:.2f}")),
        ("frame to fix, median", number(summary.latency_p50_ms, " ms")),
    ]


def as_text(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _median(outcomes: Sequence[FrameOutcome], column: str) -> float | None:
    """Of the frames that went all the way."""
    values = [getattr(o, column) for o in outcomes if o.decide_ms and getattr(o, column) is not None]
    return float(np.median(values)) if values else None


def number(value: float | None, unit: str, form: str = "{:.1f}") -> str:
    """A figure with its unit, or that it is unknown."""
    return "unknown" if value is None else form.format(value) + unit


def _pair(first: float | None, second: float | None) -> str:
    return "unknown" if first is None or second is None else f"{first:.1f} / {second:.1f} m"
