"""A plot as SVG text that takes its colours from the page around it, so that it reads in light and in dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH, HEIGHT = 460, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 22, 12, 44
_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        label: With its unit.
        low: Value at its start.
        high: Value at its end, above `low`.
        log: Decades are equally long; `low` is then above 0.
        percent: Values are shares and are shown in percent.
    """

    label: str
    low: float
    high: float
    log: bool = False
    percent: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between start and end, from 0 to 1; beyond them at the end nearest."""
        if self.log:
            share = math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round values between start and end; no share is above 1, though its axis may leave room there."""
        high = min(self.high, 1.0) if self.percent else self.high
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / _TICKS
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def text(self, value: float) -> str:
        """A tick as people read it."""
        return f"{value * 100:.3g} %" if self.percent else f"{value:.4g}"


class Plot:
    """Collects marks; their `kind` names a class of the page's style sheet (`s1`, `s2`, ... are series).

    Args:
        title: What a screen reader says in place of the plot.
        x: Axis to the right.
        y: Axis upwards.
    """

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self._title = title
        self._x = x
        self._y = y
        self._marks: list[str] = []

    def line(self, points: Iterable[tuple[float, float]], kind: str, *, steps: bool = False) -> None:
        """Through points; with `steps` each value holds until the next x."""
        corners: list[tuple[float, float]] = []
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                if steps and corners:
                    corners.append((self._across(x), corners[-1][1]))
                corners.append((self._across(x), self._down(y)))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._marks.append(f'<polyline class="line {kind}" points="{path}"/>')

    def dots(self, points: Iterable[tuple[float, float]], kind: str, radius: float = 1.8) -> None:
        """One at each point."""
        self._marks += (
            f'<circle class="dot {kind}" cx="{self._across(x):.1f}" cy="{self._down(y):.1f}" r="{radius:g}"/>'
            for x, y in points
        )

    def interval(self, x: float, low: float, high: float, kind: str) -> None:
        """From low to high, upright, with a cap at each end."""
        at, top, bottom = self._across(x), self._down(high), self._down(low)
        caps = "".join(f"M{at - 4:.1f} {y:.1f}h8" for y in (top, bottom))
        self._marks.append(f'<path class="line {kind}" d="M{at:.1f} {top:.1f}V{bottom:.1f}{caps}"/>')

    def band(self, low: float, high: float, kind: str = "band") -> None:
        """Between two values of y, over the whole width."""
        top, bottom = self._down(high), self._down(low)
        self._marks.append(
            f'<rect class="{kind}" x="{_LEFT}" y="{top:.1f}" width="{WIDTH - _LEFT - _RIGHT}" '
            f'height="{max(bottom - top, 1.0):.1f}"/>'
        )

    def level(self, y: float, kind: str = "rule") -> None:
        """A line at a value of y."""
        self.line([(self._x.low, y), (self._x.high, y)], kind)

    def upright(self, x: float, kind: str = "rule") -> None:
        """A line at a value of x."""
        self.line([(x, self._y.low), (x, self._y.high)], kind)

    def note(self, x: float, y: float, text: str, anchor: str = "middle") -> None:
        """Small words just above a point."""
        self._marks.append(
            f'<text class="note" x="{self._across(x):.1f}" y="{self._down(y) - 5:.1f}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def svg(self, legend: Sequence[tuple[str, str]] = (), *, low: bool = False) -> str:
        """The plot. A legend pairs a kind with its words; it stands top left, or with `low` bottom right."""
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self._title)}">',
            *self._grid(),
            *self._marks,
            *_legend(legend, low=low),
            "</svg>",
        ]
        return "\n".join(parts)

    def _across(self, x: float) -> float:
        return _LEFT + self._x.share(x) * (WIDTH - _LEFT - _RIGHT)

    def _down(self, y: float) -> float:
        return HEIGHT - _BOTTOM - self._y.share(y) * (HEIGHT - _TOP - _BOTTOM)

    def _grid(self) -> Iterable[str]:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for value in self._x.ticks():
            x, text = self._across(value), self._x.text(value)
            yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{text}</text>'
        for value in self._y.ticks():
            y, text = self._down(value), self._y.text(value)
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
            yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
        yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
        middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
        yield f'<text class="label" x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self._x.label)}</text>'
        yield (
            f'<text class="label" transform="translate(11 {middle_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(self._y.label)}</text>"
        )


def _legend(entries: Sequence[tuple[str, str]], *, low: bool) -> Iterable[str]:
    """A row each."""
    left = WIDTH - _RIGHT - 150 if low else _LEFT + 10
    top = HEIGHT - _BOTTOM - 15 * len(entries) if low else _TOP + 12
    for row, (kind, text) in enumerate(entries):
        y = top + 15 * row
        yield f'<path class="line {kind}" d="M{left} {y - 4}h18"/>'
        yield f'<text class="note" x="{left + 24}" y="{y}">{escape(text)}</text>'
