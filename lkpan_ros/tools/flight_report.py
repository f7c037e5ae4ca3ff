"""A flight as one HTML page that needs no network: map, frames, figures, and what was run."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from lkpan_model.whole_file import write_whole
from lkpan_ros.localization.flight_figures import OutcomeGroup, outcome_groups
from lkpan_ros.tools.report_data import page_data
from lkpan_ros.tools.report_figures import PageFigure, page_figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.outcomes import FrameOutcome
    from lkpan_ros.tools.flight_exhibits import Exhibits

_SCRIPTS = ("map.js", "layers.js", "timeline.js", "panel.js", "page.js")
_PART = ' class="part"'  # of a row that belongs to the one above
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class WhatWasRun:
    """What a page says of its making.

    Attributes:
        title: Heading of the page.
        facts: Name and value of all that was run: gallery, flight, weights, software, options.
        settings: Name and value of the localizer's settings.
        summary: Name and value of the figures that sum the flight up.
        headline: Name and value of the few among them that stand at the top.
        radius_m: `gate.radius_m`.
    """

    title: str
    facts: Rows
    settings: Rows
    summary: Rows
    headline: Rows
    radius_m: float


def write_report(
    path: Path, gallery: Gallery, outcomes: Sequence[FrameOutcome], exhibits: Exhibits, run: WhatWasRun
) -> None:
    """Write the page. It appears whole or not at all.

    Args:
        path: Of the page.
        gallery: Its map is the background, its frame gives the metres.
        outcomes: Of the frames, in their order.
        exhibits: Of the same frames.
        run: What the page says of its making.

    Raises:
        OSError: It cannot be written.
    """
    style, script = _part("page.css"), "\n".join(_part(name) for name in _SCRIPTS)
    text = Template(_part("page.html")).substitute(
        policy=_policy(style, script),
        title=escape(run.title),
        style=style,
        script=script,
        data=json_for_html(page_data(gallery, outcomes, exhibits, run.radius_m)),
        headline="\n".join(_tile(*row) for row in run.headline),
        figures="\n".join(_figure(figure) for figure in page_figures(outcomes, run.radius_m)),
        groups=_groups(outcome_groups(outcomes)),
        summary=_table(run.summary),
        facts=_table(run.facts),
        settings=_table(run.settings),
    )
    write_whole(path, text.encode())


def json_for_html(values: Any) -> str:
    """JSON that stands in a script element: nothing in it can end that element or begin a comment."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded, and only our own style and script run, even if a text got in unescaped."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(name: str) -> str:
    return files("lkpan_ros.tools").joinpath("report_page", name).read_text(encoding="utf-8")


def _tile(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _figure(figure: PageFigure) -> str:
    drawing = figure.svg or '<p class="nothing">nothing to draw</p>'
    return (
        f"<figure><h3>{escape(figure.title)}</h3>{drawing}"
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _table(rows: Rows) -> str:
    lines = (
        f'<tr><th scope="row"{_PART if name.startswith(" ") else ""}>{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return "<table>" + "".join(lines) + "</table>"


def _groups(groups: Sequence[OutcomeGroup]) -> str:
    heads = (
        "outcome",
        "frames",
        "",
        "outside the gallery",
        "best tile right",
        "median error",
        "90 % error",
        "false fixes",
    )
    total = sum(group.frames for group in groups)
    lines = [_group(group, total) for group in groups]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _group(group: OutcomeGroup, total: int) -> str:
    name = f"fix of the {group.name}" if group.fix else f"refused: {group.name}"
    share = group.frames / total
    bar = (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{"ok" if group.fix else "no"}" width="{100 * share:.1f}" height="10"/></svg>'
    )
    cells = (
        f"{group.frames} ({share:.1%})",
        str(group.outside),
        str(group.found),
        _metres(group.error_median_m),
        _metres(group.error_p90_m),
        str(group.false_fixes) if group.fix else "",
    )
    first, *others = (f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{first}<td>{bar}</td>{"".join(others)}</tr>'


def _metres(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} m"
