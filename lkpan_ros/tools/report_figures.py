"""The figures of a flight as SVG, each with words that say what is honest to read from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.flight_figures import error_cdfs, nees_series, reliability, risk_coverage
from lkpan_ros.localization.outcomes import CHI2_95, FALSE_FIX_M
from lkpan_ros.tools.svg_plot import Axis, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.outcomes import FrameOutcome

_NEES_SHOWN = 6.0
_KINDS = {"vehicle": "s1", "stated": "s1", "view": "s2"}
_NAMES = {"stated": "stated position", "view": "view"}


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page.

    Attributes:
        title: Its heading.
        svg: The plot; empty where the flight has nothing to draw.
        caption: How to read it, in plain text.
    """

    title: str
    svg: str
    caption: str


def page_figures(outcomes: Sequence[FrameOutcome], radius_m: float) -> list[PageFigure]:
    """All figures of a flight; `radius_m` is `gate.radius_m`."""
    return [
        _cdf(outcomes),
        _risk(outcomes),
        _median_error(outcomes),
        _nees(outcomes),
        _nees_overall(outcomes),
        _reliability(outcomes, radius_m),
    ]


def _cdf(outcomes: Sequence[FrameOutcome]) -> PageFigure:
    title, curves = "Error of the fixes", error_cdfs(outcomes)
    if not curves:
        return PageFigure(title, "", "No fix has a truth to be compared with.")
    worst = max(float(curve.error_m[-1]) for curve in curves)
    plot = Plot(
        "Share of the fixes against their error",
        Axis("error at most (m)", 0.1, max(100.0, 10 ** math.ceil(math.log10(max(worst, 1.0)))), log=True),
        Axis("share of the fixes", 0.0, 1.0, percent=True),
    )
    plot.upright(FALSE_FIX_M)
    for curve in curves:
        start = [(0.1, 0.0)]
        points = zip(curve.error_m, curve.share, strict=True)
        plot.line([*start, *points], _KINDS[curve.of], steps=True)
    legend = [(_KINDS[c.of], f"{c.of}, {len(c.error_m)} fixes") for c in curves]
    caption = (
        "Cumulative, over the fixes whose truth is known; refused frames state no position. "
        f"Dashed: {FALSE_FIX_M:g} m, beyond which a fix is false."
    )
    return PageFigure(title, plot.svg(legend), caption)


def _risk(outcomes: Sequence[FrameOutcome]) -> PageFigure:
    title, curve = "Risk and coverage", risk_coverage(outcomes)
    if not len(curve.coverage):
        return PageFigure(title, "", "No fix has both a truth and a stated probability.")
    plot = Plot(
        "Share of false fixes against the share of frames that get a fix",
        Axis("coverage: share of the frames that get a fix", 0.0, 1.0, percent=True),
        Axis("risk: share of false fixes", 0.0, max(0.05, float(curve.risk.max()) * 1.15), percent=True),
    )
    points = zip(curve.coverage, curve.risk, strict=True)
    plot.line([(0.0, float(curve.risk[0])), *points], "s3")
    plot.dots([(float(curve.coverage[-1]), float(curve.risk[-1]))], "s3", 3.5)
    caption = (
        "From left to right the threshold on the stated probability falls to the gate's, the dot. "
        f"False: more than {FALSE_FIX_M:g} m off, or of ground outside the gallery. A right order of the "
        f"probabilities keeps the left end at 0. Area under the curve: {curve.area:.4f}. "
        "It ends at the dot: beyond it are refused frames, which state no position."
    )
    return PageFigure(title, plot.svg(), caption)


def _median_error(outcomes: Sequence[FrameOutcome]) -> PageFigure:
    title, curve = "Error and coverage", risk_coverage(outcomes)
    known = curve.error_median_m[~np.isnan(curve.error_median_m)]
    if not len(known):
        return PageFigure(title, "", "No fix has both a truth and a stated probability.")
    plot = Plot(
        "Median error against the share of frames that get a fix",
        Axis("coverage: share of the frames that get a fix", 0.0, 1.0, percent=True),
        Axis("median error (m)", 0.0, float(known.max()) * 1.2 + 1e-9),
    )
    plot.line(zip(curve.coverage, curve.error_median_m, strict=True), "s1")
    plot.dots([(float(curve.coverage[-1]), float(curve.error_median_m[-1]))], "s1", 3.5)
    caption = (
        "Median error of the fixes at least as probable as a threshold that falls from left to right; "
        f"at the left end it is {curve.threshold[0]:.3f}, at the dot, all fixes, {curve.threshold[-1]:.3f}."
    )
    return PageFigure(title, plot.svg(), caption)


def _nees(outcomes: Sequence[FrameOutcome]) -> PageFigure:
    title, series = "Consistency over time (NEES)", nees_series(outcomes)
    if not series:
        return PageFigure(title, "", "No fix has both a truth and a covariance.")
    start = min(outcome.stamp_s for outcome in outcomes)
    last = max(float(one.stamp_s.max()) for one in series) - start
    highest = max(float(one.nees.max()) for one in series)
    plot = Plot(
        "Normalised estimation error squared of each fix over time",
        Axis("time (s)", 0.0, max(last, 1.0)),
        Axis("NEES", 0.01, max(10.0, 10 ** math.ceil(math.log10(max(highest, 1.0)))), log=True),
    )
    plot.band(0.01, CHI2_95 / 2.0)
    plot.level(1.0)
    for one in reversed(series):  # what is stated lies on top
        plot.dots(zip(one.stamp_s - start, one.nees, strict=True), _KINDS[one.of])
    legend = [(_KINDS[one.of], f"{_NAMES[one.of]}, mean {one.mean:.2f}") for one in series]
    caption = (
        "Squared error over its covariance, divided by 2; 1 on average (dashed) is honest, above: overconfident, "
        "below: too cautious. Shaded: where 95 % of honest fixes lie, each by itself."
    )
    return PageFigure(title, plot.svg(legend), caption)


def _nees_overall(outcomes: Sequence[FrameOutcome]) -> PageFigure:
    title, series = "Consistency overall (NEES)", nees_series(outcomes)
    if not series:
        return PageFigure(title, "", "No fix has both a truth and a covariance.")
    plot = Plot(
        "Share of the fixes against their normalised estimation error squared",
        Axis("NEES at most", 0.0, _NEES_SHOWN),
        Axis("share of the fixes", 0.0, 1.0, percent=True),
    )
    plot.line(
        [(x / 20, -math.expm1(-x / 20)) for x in range(int(20 * _NEES_SHOWN) + 1)], "rule"
    )  # chi-square of 2 over 2
    for one in reversed(series):
        within = np.sort(one.nees[one.nees <= _NEES_SHOWN])
        shares = np.arange(1, len(within) + 1) / len(one.nees)
        end = (_NEES_SHOWN, len(within) / len(one.nees))
        plot.line([(0.0, 0.0), *zip(within, shares, strict=True), end], _KINDS[one.of], steps=True)
    legend = [(_KINDS[one.of], _NAMES[one.of]) for one in series] + [("rule", "honest (chi-square)")]
    means = "; ".join(
        f"{_NAMES[one.of]} {one.mean:.2f} (honest and independent: {one.band[0]:.2f} to {one.band[1]:.2f})"
        for one in series
    )
    caption = (
        f"Means: {means}; 19 of 20 flights as long would fall within. Errors of successive frames are "
        "related, so read that band as the narrowest. A curve left of the dashed one is cautious, right of it "
        "overconfident."
    )
    return PageFigure(title, plot.svg(legend, low=True), caption)


def _reliability(outcomes: Sequence[FrameOutcome], radius_m: float) -> PageFigure:
    title, bins = "Does the stated probability hold?", reliability(outcomes, radius_m)
    if not bins:
        return PageFigure(title, "", "No fix has both a true view and a stated probability.")
    low = min(math.floor(20 * min(one.stated for one in bins) - 1e-9) / 20, 0.9)
    bottom = min(low, math.floor(10 * min(one.interval[0] for one in bins)) / 10)
    plot = Plot(
        "Share of the fixes that kept their promise against the stated probability",
        Axis("stated probability", max(low, 0.0), 1.0, percent=True),
        Axis(
            f"view within {radius_m:g} m",
            max(bottom, 0.0),
            1.0 + 0.1 * (1.0 - max(bottom, 0.0)),
            percent=True,
        ),
    )
    plot.line([(max(low, 0.0), max(low, 0.0)), (1.0, 1.0)], "rule")
    for one in bins:
        plot.interval(one.stated, *one.interval, "s1")
        plot.dots([(one.stated, one.kept / one.count)], "s1", 4.0)
        plot.note(one.stated, one.interval[1], f"{one.kept}/{one.count}")
    caption = (
        f"Fixes in bins of their stated probability: how many have their view within {radius_m:g} m of the truth, "
        "with a 95 % interval. On the dashed line the probability is right, above it cautious, below it boastful. "
        "Refused frames have no position and are not in it."
    )
    return PageFigure(title, plot.svg(), caption)
