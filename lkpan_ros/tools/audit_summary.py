"""What an audit found: the figures, and the table for people."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.flight_summary import percentile
from lkpan_ros.tools.summary_table import as_text, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.look_alikes import LookAlikes
    from lkpan_ros.localization.texture import Texture
    from lkpan_ros.tools.audit_flights import PlaceFigures

CAVEAT = (
    "Optimistic: simulated over the gallery's own map, in other light and with random patches changed, but with the "
    "map's season, trees and buildings and on flat ground. "
    "Where it fails here, expect it to fail in the air; where it holds here, it may still fail there. "
    "Each pass starts knowing nothing of where it is."
)
_LISTED = 10


@dataclass(frozen=True, eq=False)
class Audit:
    """All that was found out about a gallery of N tiles.

    Attributes:
        gallery: The gallery.
        look_alikes: Of each tile the foreign tile most like it.
        retention: What share of a tile's lead over its look-alike a typical frame keeps; None: not measurable.
        least_lead: A tile of less lead over its look-alike is ambiguous.
        texture: Of each tile.
        textureless: (N,) bool.
        places: The simulated passes.
        flown: With what camera and from where, in words.
    """

    gallery: Gallery
    look_alikes: LookAlikes
    retention: float | None
    least_lead: float
    texture: Texture
    textureless: NDArray[np.bool_]
    places: tuple[PlaceFigures, ...]
    flown: str = ""

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """(N,) bool: whether a frame of the tile may as well be one of its look-alike."""
        return self.look_alikes.within(self.least_lead)

    def pairs(self, count: int = _LISTED) -> list[tuple[int, int]]:
        """The most alike places, most alike first: of overlapping tiles one pair each."""
        alike, positions_m = self.look_alikes, self.gallery.positions_m
        chosen: list[tuple[int, int]] = []
        for tile in np.argsort(-alike.similarity, kind="stable").tolist():
            pair = (tile, int(alike.tile[tile]))
            if len(chosen) == count or pair[1] < 0:
                break
            ends_m = positions_m[list(pair)]
            seen = any(
                np.linalg.norm(positions_m[list(order)] - ends_m, axis=1).max() < self.gallery.tile_size_m
                for known in chosen
                for order in (known, known[::-1])
            )
            if not seen:
                chosen.append(pair)
        return chosen


@dataclass(frozen=True)
class AuditSummary:
    """The figures of an audit. None: nothing was flown, or no fix had what it takes to know.

    Attributes:
        tiles: Of the gallery.
        index: How they are looked up: exact, or a FAISS factory string.
        index_recall_at_1: Of it, against exact search, on views that were no tiles; None: exact.
        index_recall_at_10: The same of the best ten.
        foreign_m: Tiles further apart than this show different places.
        retention: What share of a tile's lead over its look-alike a typical frame keeps.
        ambiguous_similarity: Tiles at least as similar to a foreign one are ambiguous.
        ambiguous_tiles: How many.
        ambiguous_share: Of all tiles.
        look_alike_similarity_median: Over the tiles.
        look_alike_similarity_max: Of the two places most alike.
        textureless_tiles: How many have too little contrast or too weak edges.
        textureless_share: Of all tiles.
        places: Flown over.
        frames: Flown, with their view in the gallery.
        fixes: Of these.
        availability: Fixes over frames.
        places_without_fix: Where no frame of the pass yielded one.
        view_error_median_m: Of the fixes' views against the truth.
        view_error_p90_m: 90 % of them are at most this far off.
        false_fixes: More than 30 m off.
        false_fix_rate: Of the fixes.
        places_with_false_fix: How many.
        first_fix_median_s: From the start of a pass, where it had a fix.
        main_reason: Why most of the refused frames were refused.
    """

    tiles: int
    index: str
    index_recall_at_1: float | None
    index_recall_at_10: float | None
    foreign_m: float
    retention: float | None
    ambiguous_similarity: float | None
    ambiguous_tiles: int
    ambiguous_share: float
    look_alike_similarity_median: float | None
    look_alike_similarity_max: float | None
    textureless_tiles: int
    textureless_share: float
    places: int
    frames: int
    fixes: int
    availability: float | None
    places_without_fix: int
    view_error_median_m: float | None
    view_error_p90_m: float | None
    false_fixes: int
    false_fix_rate: float | None
    places_with_false_fix: int
    first_fix_median_s: float | None
    main_reason: str | None


def summarize(audit: Audit) -> AuditSummary:
    """The figures of an audit."""
    flown = [place for place in audit.places if place.frames]
    frames, fixes = sum(p.frames for p in flown), sum(p.fixes for p in flown)
    false_fixes = sum(p.false_fixes for p in flown)
    errors = np.array([error for p in flown for error in p.view_errors_m])
    first = np.array([p.first_fix_s for p in flown if p.first_fix_s is not None])
    reasons = sum((Counter(p.reasons) for p in flown), Counter[str]())
    known = audit.look_alikes.similarity[audit.look_alikes.tile >= 0]
    level, index = 1.0 - audit.least_lead, audit.gallery.info.index
    return AuditSummary(
        tiles=len(audit.gallery),
        index=index.spec,
        index_recall_at_1=index.recall_at_1,
        index_recall_at_10=index.recall_at_10,
        foreign_m=audit.look_alikes.foreign_m,
        retention=audit.retention,
        ambiguous_similarity=level if math.isfinite(level) else None,
        ambiguous_tiles=int(audit.ambiguous.sum()),
        ambiguous_share=float(audit.ambiguous.mean()),
        look_alike_similarity_median=float(np.median(known)) if known.size else None,
        look_alike_similarity_max=float(known.max()) if known.size else None,
        textureless_tiles=int(audit.textureless.sum()),
        textureless_share=float(audit.textureless.mean()),
        places=len(flown),
        frames=frames,
        fixes=fixes,
        availability=fixes / frames if frames else None,
        places_without_fix=sum(not p.fixes for p in flown),
        view_error_median_m=percentile(errors, 50),
        view_error_p90_m=percentile(errors, 90),
        false_fixes=false_fixes,
        false_fix_rate=false_fixes / fixes if fixes else None,
        places_with_false_fix=sum(bool(p.false_fixes) for p in flown),
        first_fix_median_s=percentile(first, 50),
        main_reason=reasons.most_common(1)[0][0] if reasons else None,
    )


def table(audit: Audit, summary: AuditSummary) -> str:
    """The audit in words and numbers."""
    parts = [as_text(_static_rows(audit, summary)), *_pair_lines(audit)]
    if summary.places:
        rows = [("flown with", audit.flown), *_flight_rows(summary)]
        parts += ["", as_text(rows), *_worst_lines(audit), "", CAVEAT]
    return "\n".join(parts)


def _static_rows(audit: Audit, s: AuditSummary) -> list[tuple[str, str]]:
    gallery = audit.gallery
    level = "none" if s.ambiguous_similarity is None else f"{s.ambiguous_similarity:.3f}"
    kept = "unknown" if s.retention is None else f"{s.retention:.0%}"
    return [
        ("tiles", f"{s.tiles} of {gallery.tile_size_m:g} m every {gallery.stride_m:g} m"),
        ("index", str(gallery.info.index)),
        ("foreign tiles", f"further away than {s.foreign_m:g} m"),
        ("similarity to the most alike foreign tile", _range(s)),
        ("of a tile's lead a frame keeps", f"{kept} (typical of the simulated frames)"),
        ("ambiguous from a similarity of", level),
        ("ambiguous tiles", f"{s.ambiguous_tiles} ({s.ambiguous_share:.1%})"),
        ("tiles without texture", f"{s.textureless_tiles} ({s.textureless_share:.1%})"),
    ]


def _range(s: AuditSummary) -> str:
    if s.look_alike_similarity_median is None:
        return "none: the gallery is one place"
    return f"median {s.look_alike_similarity_median:.3f}, largest {s.look_alike_similarity_max:.3f}"


def _flight_rows(s: AuditSummary) -> list[tuple[str, str]]:
    return [
        ("simulated passes", f"{s.places}, {s.frames} frames"),
        ("expected availability", number(s.availability, "", "{:.1%}")),
        ("places without any fix", f"{s.places_without_fix} ({s.places_without_fix / s.places:.1%})"),
        ("first fix after, median", number(s.first_fix_median_s, " s")),
        (
            "view error, median / 90 %, at best",
            f"{number(s.view_error_median_m, '')} / {number(s.view_error_p90_m, ' m')}",
        ),
        ("false fixes (> 30 m)", f"{s.false_fixes} ({number(s.false_fix_rate, '', '{:.2%}')})"),
        ("places with a false fix", f"{s.places_with_false_fix}"),
        ("most frequent reason without a fix", s.main_reason or "none"),
    ]


def _pair_lines(audit: Audit) -> list[str]:
    alike, ambiguous = audit.look_alikes, audit.ambiguous
    lines = [
        f"  {alike.similarity[a]:.3f}  {_where(audit, a)}  {_where(audit, b)}  {alike.distance_m[a]:7.0f} m"
        + ("  ambiguous" if ambiguous[a] else "")
        for a, b in audit.pairs()
    ]
    return ["", "most alike places (similarity, centres, distance)", *lines] if lines else []


def _worst_lines(audit: Audit) -> list[str]:
    flown = [p for p in audit.places if p.frames and (p.false_fixes or p.fixes < p.frames)]
    worst = sorted(flown, key=lambda p: (-p.false_fixes, p.availability))[:_LISTED]
    lines = [
        f"  {_where(audit, p.tile)}  {p.fixes:3d} of {p.frames:3d} fixes, {p.false_fixes} false  {p.main_reason or ''}"
        for p in worst
    ]
    return ["", "worst places (centre, fixes, reason)", *lines] if lines else []


def _where(audit: Audit, tile: int) -> str:
    point = audit.gallery.frame.point(*audit.gallery.positions_m[tile])
    return f"{point.lat_deg:10.6f},{point.lon_deg:11.6f}"
